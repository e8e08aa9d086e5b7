package tokenreview_test

import (
	"bytes"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"

	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// maxFuzzedBody is more than any TokenReview has that is read.
const maxFuzzedBody = 3 * issuers.MaxTokenBytes

// FuzzHandler sends any body under any content type, and one that never ends. What is
// answered is a TokenReview or a Status, costs little, repeats nothing of the token,
// and lets nobody in but by the token that was signed.
func FuzzHandler(f *testing.F) {
	reviewer, _ := newFuzzReviewer(f)
	s := signers()[0]
	good := s.Sign(fuzzClaims(s).With(claims{"aud": []string{"cluster", "second"}}))
	for _, version := range []string{"authentication.k8s.io/v1", "authentication.k8s.io/v1beta1", "v2"} {
		body := review(version, good, "second")
		for _, variant := range []string{
			body, body[1:], body + "{}", body + "\n", "[" + body + "]", "\ufeff" + body, strings.Replace(body, `"spec"`, `"Spec"`, 1),
			strings.Replace(body, `"token":"e`, `"token":"\u0065`, 1), strings.Replace(body, `"token":"e`, `"token":" e`, 1),
			strings.Replace(body, `"spec":`, `"spec":null,"spec":`, 1), strings.Replace(body, `"token":`, `"token":5,"x":`, 1),
			strings.Replace(body, "TokenReview", good, 1), review(version, good[:len(good)-2]), review(version, "opaque-token-of-somebody"), review(version, ""),
		} {
			f.Add("application/json", []byte(variant), false)
		}
		f.Add("application/json; charset=utf-8", []byte(body), true)
		f.Add("application/vnd.kubernetes.protobuf", []byte(body), false)
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte, endless bool) {
		sent := &counting{Reader: bytes.NewReader(body)}
		if endless {
			sent.Reader = io.MultiReader(sent.Reader, blanks{})
		}
		request := httptest.NewRequest(http.MethodPost, "/authenticate", io.NopCloser(sent))
		request.Header["Content-Type"] = []string{contentType}
		log := &bytes.Buffer{}
		handler := tokenreview.NewHandler(reviewer, tokenreview.Options{Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)

		if sent.n > maxFuzzedBody {
			t.Errorf("%d bytes of the body are read", sent.n)
		}
		if endless && response.Code != http.StatusRequestEntityTooLarge && response.Code != http.StatusUnsupportedMediaType {
			t.Errorf("a body without end is answered with %d", response.Code)
		}
		// The reference reads as the API server does. What it cannot read is no TokenReview.
		var asked authenticationv1.TokenReview
		var read struct {
			metav1.TypeMeta `json:",inline"`
			Spec            authenticationv1.TokenReviewSpec `json:"spec"`
		}
		if err := kjson.UnmarshalCaseSensitivePreserveInts(body, &read); err == nil {
			asked.TypeMeta, asked.Spec = read.TypeMeta, read.Spec
		}
		expectAnswer(t, response, contentType, asked, good)
		expectUntold(t, response.Body.String(), asked)
		expectUntold(t, log.String(), asked)
	})
}

// expectAnswer checks an answer to what a caller has asked.
func expectAnswer(t *testing.T, response *httptest.ResponseRecorder, contentType string, asked authenticationv1.TokenReview, good string) {
	t.Helper()
	body := response.Body.Bytes()
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Content-Length": strconv.Itoa(len(body))} {
		if got := response.Header().Get(name); got != want {
			t.Errorf("%s: expected %q, got %q", name, want, got)
		}
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	if isJSON := err == nil && mediaType == "application/json"; isJSON == (response.Code == http.StatusUnsupportedMediaType) {
		t.Errorf("%q is answered with %d", contentType, response.Code)
	}
	if response.Code != http.StatusOK {
		var status metav1.Status
		if err := json.Unmarshal(body, &status, json.RejectUnknownMembers(true)); err != nil {
			t.Fatalf("no Status: %v: %s", err, body)
		}
		if status.Kind != "Status" || status.APIVersion != "v1" || status.Status != metav1.StatusFailure || int(status.Code) != response.Code || status.Message == "" {
			t.Errorf("got the Status %s", body)
		}
		if !slices.Contains([]int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}, response.Code) {
			t.Errorf("got %d, which no document names: %s", response.Code, body)
		}
		return
	}
	var answer authenticationv1.TokenReview
	if err := json.Unmarshal(body, &answer, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("no TokenReview: %v: %s", err, body)
	}
	if answer.Kind != "TokenReview" || asked.Kind != "TokenReview" || answer.APIVersion != asked.APIVersion || !strings.HasPrefix(answer.APIVersion, "authentication.k8s.io/v1") {
		t.Errorf("asked in %s and answered in %s", asked.TypeMeta, answer.TypeMeta)
	}
	if answer.Spec.Token != "" || len(answer.Spec.Audiences) > 0 {
		t.Errorf("the answer repeats the question: %s", body)
	}
	status := answer.Status
	if want := asked.Spec.Token == good; status.Authenticated != want || (status.User.Username == "oidc:jane") != want {
		t.Errorf("expected the signed token (%t) to be let in, got %s", want, body)
	}
	if status.Authenticated && status.Error != "" {
		t.Errorf("let in with the error %q", status.Error)
	}
	for i, audience := range status.Audiences {
		if !status.Authenticated || !slices.Contains(asked.Spec.Audiences, audience) || slices.Contains(status.Audiences[:i], audience) {
			t.Errorf("asked about %q and answered %q", asked.Spec.Audiences, status.Audiences)
		}
	}
}

// expectUntold wants a text to be bounded and to hold nothing of the token but what the
// token's claims, or other members of the request, say as well.
func expectUntold(t *testing.T, text string, asked authenticationv1.TokenReview) {
	t.Helper()
	if token := asked.Spec.Token; len(token) > 12 {
		const always = `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1beta1","metadata":{},"spec":{},"status":{"user":{}}}`
		said := strings.Join(append(asked.Spec.Audiences, asked.Kind, asked.APIVersion, claimed(token), always), "\n")
		if strings.Contains(text, token) && !strings.Contains(said, token) {
			t.Errorf("the token %q is told: %s", token, text)
		}
		expectTold(t, text, token, said)
	} else {
		expectTold(t, text, "", "")
	}
}

// counting counts what is read.
type counting struct {
	io.Reader
	n int
}

func (c *counting) Read(data []byte) (int, error) {
	n, err := c.Reader.Read(data)
	c.n += n
	return n, err
}

// blanks never ends.
type blanks struct{}

func (blanks) Read(data []byte) (int, error) {
	for i := range data {
		data[i] = ' '
	}
	return len(data), nil
}
