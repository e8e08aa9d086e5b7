package tokenreview

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"runtime/debug"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/internal/logging"
	"tokenreview.dev/webhook/pkg/issuers"
)

// maxBodyBytes is the largest TokenReview that is read: the longest token, each
// byte escaped at worst twofold, and room for the rest.
const maxBodyBytes = 2*issuers.MaxTokenBytes + 16<<10

// reviewsPerSecond bounds what refused tokens add to the log at info, and again what
// those add that a policy would refuse: the ones must not hide the others.
const reviewsPerSecond = 10

// Handler answers TokenReviews POSTed to it, in the version they come in. It is
// safe for concurrent use.
type Handler struct {
	reviewer *Reviewer
	log      *slog.Logger
	// refusals, spared and overload are log, bounded.
	refusals, spared, overload *slog.Logger
}

// NewHandler returns a handler that answers as reviewer decides.
func NewHandler(reviewer *Reviewer, log *slog.Logger) *Handler {
	return &Handler{
		reviewer: reviewer, log: log,
		refusals: logging.Limited(log, reviewsPerSecond),
		spared:   logging.Limited(log, reviewsPerSecond),
		overload: logging.Limited(log, 1),
	}
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

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer h.recover(w, r)
	// Before anything of the request is read: what is read is kept while it is under way.
	if !h.reviewer.enter() {
		h.shed(w, "")
		return
	}
	defer h.reviewer.leave()
	request, status := decode(w, r)
	if status != nil {
		if status.Code == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		writeStatus(w, status)
		return
	}
	answer := h.reviewer.Review(r.Context(), request.Spec.Token, request.Spec.Audiences, nil)
	if answer.Overloaded {
		h.shed(w, answer.Issuer)
		return
	}
	h.logAnswer(r.Context(), &answer)
	writeReview(w, request.APIVersion, &answer)
}

// shed answers that too many requests are under way, or too many for tokens of an
// issuer. kube-apiserver tries again.
func (h *Handler) shed(w http.ResponseWriter, issuer string) {
	if issuer == "" {
		issuer = noIssuer
	}
	h.overload.Warn("too many requests at a time: answered 429", "issuer", issuer, "maxRequestsInFlight", h.reviewer.inForce.Load().limits.MaxRequestsInFlight)
	w.Header().Set("Retry-After", "1")
	writeStatus(w, newStatus(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "too many requests at a time"))
}

// logAnswer logs what becomes of a token that an issuer of ours has signed, at a
// bounded rate, since such a token can be sent again and again: at warn that it
// cannot be decided, at info that it is refused, or would be if its policy were
// enforced. What anybody can cause without such a token is logged at debug only.
func (h *Handler) logAnswer(ctx context.Context, answer *Answer) {
	log, level := h.log, slog.LevelDebug
	switch {
	case answer.Proven && answer.Undecided:
		log, level = h.refusals, slog.LevelWarn
	case answer.Proven && answer.User == nil:
		log, level = h.refusals, slog.LevelInfo
	case answer.Proven && !answer.WouldRefuse.IsZero():
		log, level = h.spared, slog.LevelInfo
	}
	if !log.Enabled(ctx, level) {
		return
	}
	attributes := []slog.Attr{slog.String("issuer", answer.Issuer), slog.String("reason", answer.Reason())}
	if answer.User != nil {
		attributes = append(attributes, slog.String("username", answer.User.Name))
	} else {
		attributes = append(attributes, slog.String("text", answer.Refusal.Text))
	}
	if !answer.WouldRefuse.IsZero() {
		attributes = append(attributes, slog.String("would_refuse", string(answer.WouldRefuse.Code)), slog.String("would_refuse_text", answer.WouldRefuse.Text))
	}
	log.LogAttrs(ctx, level, "token reviewed", attributes...)
}

// recover turns a panic into a 500, which kube-apiserver retries, and a log line
// that holds nothing of the request.
func (h *Handler) recover(w http.ResponseWriter, r *http.Request) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		h.log.ErrorContext(r.Context(), "panic while reviewing a token", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		writeStatus(w, newStatus(http.StatusInternalServerError, metav1.StatusReasonInternalError, "internal error"))
	}
}

// decode reads a TokenReview, or says why it is none.
func decode(w http.ResponseWriter, r *http.Request) (untrustedReview, *metav1.Status) {
	var request untrustedReview
	badRequest := func(format string, args ...any) (untrustedReview, *metav1.Status) {
		return untrustedReview{}, newStatus(http.StatusBadRequest, metav1.StatusReasonBadRequest, fmt.Sprintf(format, args...))
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return request, newStatus(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType,
			"the body must be a TokenReview with Content-Type: application/json")
	}
	body, err := readBody(w, r)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return request, newStatus(http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge,
				fmt.Sprintf("the body is larger than %d bytes", maxBodyBytes))
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// The caller is slow, or this machine is: both may be better next time.
			return request, newStatus(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "the body did not come in time")
		}
		return badRequest("the body could not be read")
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

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBodyBytes {
		return nil, &http.MaxBytesError{Limit: maxBodyBytes}
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
}
