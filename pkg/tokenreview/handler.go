package tokenreview

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/gorilla/mux"
	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/internal/logging"
	"tokenreview.dev/webhook/pkg/audit"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/trace"
)

// maxBodyBytes is the largest TokenReview that is read: the longest token, each
// byte escaped at worst twofold, and room for the rest.
const maxBodyBytes = 2*issuers.MaxTokenBytes + 16<<10

// Options are what a Handler tells of its decisions to, each nil for nobody.
type Options struct {
	Metrics *Metrics
	Audit   *audit.Log
	// Log is required.
	Log *slog.Logger
}

// Handler answers TokenReviews POSTed to its endpoints, in the version they come in. It
// is safe for concurrent use.
type Handler struct {
	reviewer  *Reviewer
	recorder  *recorder
	router    *mux.Router
	endpoints map[string]*endpoint // by their paths
	buffers   buffers
	log       *slog.Logger
	// overload is log, bounded.
	overload *slog.Logger
}

// NewHandler returns a handler that answers as reviewer decides.
func NewHandler(reviewer *Reviewer, options Options) *Handler {
	options.Metrics.of(reviewer)
	h := &Handler{
		reviewer: reviewer, recorder: newRecorder(options), router: mux.NewRouter(), endpoints: make(map[string]*endpoint),
		log: options.Log, overload: logging.Limited(options.Log, 1),
	}
	for _, path := range []string{AuthenticatePath, TokenReviewPath} {
		h.endpoints[path] = &endpoint{
			Handler: h, path: path, forbidden: logging.Limited(options.Log, 1), unanswered: logging.Limited(options.Log, 1),
		}
		h.router.Handle(path, h.endpoints[path]).Methods(http.MethodPost)
	}
	h.router.NotFoundHandler = http.HandlerFunc(notFound)
	h.router.MethodNotAllowedHandler = http.HandlerFunc(methodNotAllowed)
	return h
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if endpoint, ok := h.endpoints[r.URL.Path]; ok && r.Method == http.MethodPost {
		// As the router would, but without its search.
		endpoint.ServeHTTP(w, r)
		return
	}
	h.router.ServeHTTP(w, r)
}

// endpoint is one of a Handler's.
type endpoint struct {
	*Handler
	path string
	// forbidden and unanswered are the log, each bounded for itself: callers who may not
	// ask here must hide nothing of those who may.
	forbidden, unanswered *slog.Logger
}

// requestIDHeader is how whoever asked can find what is recorded of it. API servers do not
// read it, and over HTTP/2 a header with another value each time costs both sides more than
// a decision that is used again: with a TokenReview they have it only if they send one,
// whose value is ignored.
const requestIDHeader = "X-Request-Id"

func (e *endpoint) namesRequest(r *http.Request) bool {
	return e.path != AuthenticatePath || r.Header[requestIDHeader] != nil
}

// untrustedReview is what is read of a TokenReview (authentication.k8s.io/v1 and
// v1beta1 agree on it). Other members are ignored, as the API server would.
type untrustedReview struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       struct {
		Token     string   `json:"token"`
		Audiences []string `json:"audiences"`
	} `json:"spec"`
}

// ServeHTTP answers one request. The stack for what most requests need stays below the four
// kilobytes that net/http's goroutine for one begins with: to move it to a larger one takes
// as long as all else.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	question := new(question)
	question.id, question.endpoint, question.at = rand.Text(), e.path, time.Now()
	question.caller, question.address = callerOf(r), r.RemoteAddr
	defer e.recover(w, r, question)
	if !e.reviewer.permits(e.path, question.caller) {
		e.refuse(w, question, forbidden(e.path, question.caller))
		return
	}
	// Before anything of the request is read: what is read is kept while it is under way.
	if !e.reviewer.enter() {
		e.shed(w, question, "")
		return
	}
	defer e.reviewer.leave()
	if e.namesRequest(r) {
		question.name(w)
	}
	status := e.receive(w, r, question)
	if status == nil {
		question.steps, status = e.steps(r)
	}
	switch {
	case status != nil:
		if status.Code == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		e.refuse(w, question, status)
	case question.same != nil:
		e.repeat(w, r, question)
	default:
		e.review(w, r, question)
	}
}

// repeat answers as it has answered the same request before.
func (e *endpoint) repeat(w http.ResponseWriter, r *http.Request, question *question) {
	same := question.same
	question.took, question.fingerprint = time.Since(question.read), same.fingerprint
	e.recorder.record(r.Context(), question, &same.answer, e.reviewer.auditLevel(same.answer.Issuer))
	writeBody(w, http.StatusOK, same.body)
}

// review answers with what the token comes to.
func (e *endpoint) review(w http.ResponseWriter, r *http.Request, question *question) {
	review := &question.review
	begun := time.Now()
	answer, used := e.reviewer.review(r.Context(), review.Spec.Token, review.Spec.Audiences, question.steps)
	question.took = time.Since(begun)
	if answer.Overloaded {
		e.shed(w, question, answer.Issuer)
		return
	}
	question.fingerprint = e.recorder.fingerprint(review.Spec.Token)
	before := e.recorder.record(r.Context(), question, &answer, e.reviewer.auditLevel(answer.Issuer))
	var annotations map[string]string
	if e.path == TokenReviewPath {
		annotations = question.annotations(&answer, before)
	}
	body := answer.tokenReviewJSON(review.APIVersion, annotations)
	writeBody(w, http.StatusOK, body)
	if used != nil {
		used.of.repeated(question, used, &answer, body)
	}
}

// steps returns where the steps of the decision are to be recorded: nowhere, unless an
// auditor has asked for them.
func (e *endpoint) steps(r *http.Request) (*trace.Trace, *metav1.Status) {
	if e.path != TokenReviewPath {
		return nil, nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, newStatus(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the query cannot be read: expected ?explain=true or nothing")
	}
	given := query.Get("explain")
	if given == "" {
		return nil, nil
	}
	explain, err := strconv.ParseBool(given)
	if err != nil {
		return nil, newStatus(http.StatusBadRequest, metav1.StatusReasonBadRequest, fmt.Sprintf("explain: expected true or false, got %.50q", given))
	}
	if !explain {
		return nil, nil
	}
	return &trace.Trace{}, nil
}

// refuse answers a request that is not decided about, and tells people: it may be the
// API server's.
func (e *endpoint) refuse(w http.ResponseWriter, question *question, status *metav1.Status) {
	log := e.unanswered
	if status.Code == http.StatusForbidden {
		log = e.forbidden
	}
	log.Warn("request not answered with a TokenReview", "endpoint", e.path, "code", status.Code, "text", status.Message,
		"caller", question.caller.name(), "remote", question.address, "request_id", question.id)
	question.name(w)
	writeStatus(w, status)
}

// shed answers that too many requests are under way, or too many for tokens of an
// issuer. kube-apiserver tries again.
func (h *Handler) shed(w http.ResponseWriter, question *question, issuer string) {
	h.recorder.metrics.overloaded(issuer)
	h.overload.Warn("too many requests at a time: answered 429", "issuer", orNoIssuer(issuer), "maxRequestsInFlight", h.reviewer.inForce.Load().limits.MaxRequestsInFlight)
	question.name(w)
	w.Header().Set("Retry-After", "1")
	writeStatus(w, newStatus(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "too many requests at a time"))
}

// recover turns a panic into a 500, which kube-apiserver retries, and a log line
// that holds nothing of the request.
func (h *Handler) recover(w http.ResponseWriter, r *http.Request, question *question) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		h.log.ErrorContext(r.Context(), "panic while reviewing a token", "request_id", question.id, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		question.name(w)
		writeStatus(w, newStatus(http.StatusInternalServerError, metav1.StatusReasonInternalError, "internal error"))
	}
}

// receive reads a request, or says what is wrong with it.
func (e *endpoint) receive(w http.ResponseWriter, r *http.Request, question *question) *metav1.Status {
	if !isJSON(r.Header.Get("Content-Type")) {
		return newStatus(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType,
			"the body must be a TokenReview with Content-Type: application/json")
	}
	buffer := e.buffers.get()
	defer e.buffers.put(buffer)
	if err := readBody(buffer, w, r); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return newStatus(http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge,
				fmt.Sprintf("the body is larger than %d bytes", maxBodyBytes))
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// The caller is slow, or this machine is: both may be better next time.
			return newStatus(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "the body did not come in time")
		}
		return newStatus(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the body could not be read")
	}
	// Auditors are answered each time anew.
	if e.path == AuthenticatePath && buffer.Len() <= maxKeptToken {
		question.read = time.Now()
		question.body = e.reviewer.names.Bytes(buffer.Bytes())
		if question.same = e.reviewer.same(question.body); question.same != nil {
			return nil
		}
	}
	growStack()
	var status *metav1.Status
	question.review, status = decode(buffer.Bytes())
	return status
}

// decode decodes a TokenReview, or says why it is none.
func decode(body []byte) (untrustedReview, *metav1.Status) {
	var request untrustedReview
	badRequest := func(format string, args ...any) (untrustedReview, *metav1.Status) {
		return untrustedReview{}, newStatus(http.StatusBadRequest, metav1.StatusReasonBadRequest, fmt.Sprintf(format, args...))
	}
	if err := json.Unmarshal(body, &request); err != nil {
		// Without the error's own text, which may quote the token.
		var syntactic *jsontext.SyntacticError
		if errors.As(err, &syntactic) {
			return badRequest("the body is not JSON: error at byte %d", syntactic.ByteOffset)
		}
		var semantic *json.SemanticError
		if errors.As(err, &semantic) {
			return badRequest("the body is not a TokenReview: wrong type at %q", semantic.JSONPointer)
		}
		return badRequest("the body is not a TokenReview")
	}
	if request.Kind != "TokenReview" {
		return badRequest("expected kind TokenReview, got %.50q", request.Kind)
	}
	switch request.APIVersion {
	case authenticationv1.SchemeGroupVersion.String(), authenticationv1beta1.SchemeGroupVersion.String():
		return request, nil
	default:
		return badRequest("expected apiVersion %s or %s, got %.50q",
			authenticationv1.SchemeGroupVersion, authenticationv1beta1.SchemeGroupVersion, request.APIVersion)
	}
}

func isJSON(contentType string) bool {
	if contentType == "application/json" { // as kube-apiserver says
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && mediaType == "application/json"
}

func readBody(buffer *bytes.Buffer, w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength > maxBodyBytes {
		return &http.MaxBytesError{Limit: maxBodyBytes}
	}
	_, err := buffer.ReadFrom(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	return err
}
