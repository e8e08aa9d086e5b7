package tokenreview

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/internal/jsonobject"
)

// Status is the answer as the status of a TokenReview. v1beta1 spells it in the
// same way as v1.
//
// The API server caches a refusal that has no error, for two minutes by default.
// So there is one for every token that is ours, and none for those that are not:
// nothing here could change about them soon.
func (a *Answer) Status() authenticationv1.TokenReviewStatus {
	switch {
	case a.User != nil:
		status := authenticationv1.TokenReviewStatus{
			Authenticated: true,
			User:          authenticationv1.UserInfo{Username: a.User.Name, UID: a.User.UID, Groups: a.User.Groups},
			Audiences:     a.Audiences,
		}
		if len(a.User.Extra) > 0 {
			status.User.Extra = make(map[string]authenticationv1.ExtraValue, len(a.User.Extra))
			for key, values := range a.User.Extra {
				status.User.Extra[key] = values
			}
		}
		return status
	case a.Issuer == "":
		return authenticationv1.TokenReviewStatus{}
	default:
		return authenticationv1.TokenReviewStatus{Error: a.errorText()}
	}
}

func (a *Answer) errorText() string { return a.Issuer + ": " + a.Refusal.String() }

// TokenReview is the answer as a whole TokenReview of the given version, without
// the token.
func (a *Answer) TokenReview(apiVersion string) *authenticationv1.TokenReview {
	return &authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "TokenReview"},
		Status:   a.Status(),
	}
}

// answerSize is enough for most answers.
const answerSize = 1 << 10

// tokenReviewJSON is TokenReview with annotations, as JSON. What is not UTF-8 is replaced,
// as json.Marshal does.
func (a *Answer) tokenReviewJSON(apiVersion string, annotations map[string]string) []byte {
	w := jsonobject.New(make([]byte, 0, answerSize))
	w.Text("kind", "TokenReview")
	w.Text("apiVersion", apiVersion)
	w.Begin("metadata")
	if len(annotations) > 0 {
		w.Begin("annotations")
		for _, name := range jsonobject.Names(annotations) {
			w.Text(name, annotations[name])
		}
		w.Finish()
	}
	w.Finish()
	w.Begin("spec")
	w.Finish()
	w.Begin("status")
	if a.User != nil {
		w.Bool("authenticated", true)
	}
	w.Begin("user")
	if a.User != nil {
		a.writeUser(w)
	}
	w.Finish()
	if a.User != nil {
		w.OptionalTexts("audiences", a.Audiences)
	} else if a.Issuer != "" {
		w.Text("error", a.errorText())
	}
	w.Finish()
	data, _ := w.End()
	return data
}

func (a *Answer) writeUser(w *jsonobject.Writer) {
	w.OptionalText("username", a.User.Name)
	w.OptionalText("uid", a.User.UID)
	w.OptionalTexts("groups", a.User.Groups)
	if len(a.User.Extra) == 0 {
		return
	}
	w.Begin("extra")
	for _, key := range jsonobject.Names(a.User.Extra) {
		w.Texts(key, a.User.Extra[key])
	}
	w.Finish()
}

func newStatus(code int32, status metav1.StatusReason, message string) *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure,
		Code:     code,
		Reason:   status,
		Message:  message,
	}
}

func writeStatus(w http.ResponseWriter, status *metav1.Status) {
	writeJSON(w, int(status.Code), status)
}

// forbidden is for a caller who may not use an endpoint.
func forbidden(endpoint string, caller *Caller) *metav1.Status {
	if caller == nil {
		return newStatus(http.StatusForbidden, metav1.StatusReasonForbidden,
			endpoint+" is for callers with a client certificate, and this server asks for none: start it with --client-ca-file")
	}
	return newStatus(http.StatusForbidden, metav1.StatusReasonForbidden,
		fmt.Sprintf("the client certificate of %s may not use %s: spec.callers.%s of the WebhookConfiguration says whose may", caller, endpoint, endpoint[1:]))
}

// notFound answers requests for any other path, as a Kubernetes Status.
func notFound(w http.ResponseWriter, _ *http.Request) {
	writeStatus(w, newStatus(http.StatusNotFound, metav1.StatusReasonNotFound, "there is nothing here; TokenReviews are POSTed to "+AuthenticatePath+" and "+TokenReviewPath))
}

// methodNotAllowed answers requests that are no POST, as a Kubernetes Status.
func methodNotAllowed(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", http.MethodPost)
	writeStatus(w, newStatus(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "TokenReviews are POSTed"))
}

func writeJSON(w http.ResponseWriter, code int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		// Cannot be: the types are Kubernetes' own, made of text and lists.
		panic(err)
	}
	writeBody(w, code, body)
}

// These headers are the same in all answers, which share them.
var inJSON, notStored = []string{"application/json"}, []string{"no-store"}

func writeBody(w http.ResponseWriter, code int, body []byte) {
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = inJSON, notStored
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	// The caller may be gone; there is nobody else to tell.
	_, _ = w.Write(body)
}
