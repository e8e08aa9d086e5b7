package reviewclient_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tokenreview.dev/webhook/internal/reviewclient"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/tokenreview"
	"tokenreview.dev/webhook/pkg/trace"
)

const noReview = "the answer is not a TokenReview of authentication.k8s.io/v1 as /tokenreview gives it"

// answering is a server that answers with a text.
func answering(t *testing.T, text string) *server {
	return start(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

// annotated is an answer with annotations.
func annotated(annotations map[string]string, status string) string {
	said, _ := json.Marshal(annotations)
	return fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","metadata":{"annotations":%s},"spec":{"token":%q},"status":%s}`, said, token, status)
}

func TestTheAnswer(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		want         reviewclient.Answer
	}{
		{"all that can be said", annotated(map[string]string{
			"tokenreview.dev/request-id": "ID1", "tokenreview.dev/fingerprint": "f00d", "tokenreview.dev/issuer": "main",
			"tokenreview.dev/reason": "Allowed", "tokenreview.dev/would-refuse": "TenantNotAllowed", "tokenreview.dev/would-refuse-message": "the tenant",
			"tokenreview.dev/recent": `[{"time":"2026-11-22T12:00:00Z","requestID":"ID0","endpoint":"/authenticate","caller":"kube-apiserver","reason":"Allowed"}]`,
			"tokenreview.dev/trace":  `[{"check":"iss","outcome":"passed","detail":"https://i.example"},{"check":"alg","outcome":"would fail"}]`,
		}, `{"authenticated":true,"user":{"username":"jane"}}`), reviewclient.Answer{
			RequestID: "ID1", Fingerprint: "f00d", Issuer: "main", WouldRefuse: reason.Refusal{Code: "TenantNotAllowed", Text: "the tenant"},
			Recent: []tokenreview.Event{{Time: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), RequestID: "ID0", Endpoint: "/authenticate", Caller: "kube-apiserver", Reason: "Allowed"}},
			Steps:  []trace.Step{{Check: "iss", Outcome: trace.Passed, Detail: "https://i.example"}, {Check: "alg", Outcome: trace.WouldFail}},
		}},
		{"a refusal", annotated(map[string]string{"tokenreview.dev/issuer": "main", "tokenreview.dev/reason": "Expired", "tokenreview.dev/message": "too old"}, `{"error":"main: too old (Expired)"}`),
			reviewclient.Answer{Issuer: "main", Refusal: reason.Refusal{Code: reason.Expired, Text: "too old"}}},
		{"a token of nobody's", annotated(map[string]string{"tokenreview.dev/reason": "TokenMalformed", "tokenreview.dev/message": "not a JWT"}, `{}`),
			reviewclient.Answer{Refusal: reason.Refusal{Code: reason.TokenMalformed, Text: "not a JWT"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer, err := review(t.Context(), t, answering(t, test.answer).options(), reviewclient.Request{Token: token})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, *answer, cmpopts.IgnoreFields(reviewclient.Answer{}, "Review")); diff != "" {
				t.Errorf("expected -, got +:\n%s", diff)
			}
			whole, err := json.Marshal(answer.Review)
			if err != nil {
				t.Fatal(err)
			}
			expectNothingOfTheToken(t, string(whole))
			var want, got map[string]any
			if err := json.Unmarshal([]byte(strings.Replace(test.answer, fmt.Sprintf(`{"token":%q}`, token), "{}", 1)), &want); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(whole, &got); err != nil {
				t.Fatal(err)
			}
			want["status"], got["status"] = nil, nil // spelled with defaults
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("expected the review as it came, but for the token; expected -, got +:\n%s", diff)
			}
		})
	}
}

// Whoever reads an answer takes the token for good, or for bad.
func TestAnswersThatAreNotClear(t *testing.T) {
	allowed := map[string]string{"tokenreview.dev/reason": "Allowed"}
	jane := `{"authenticated":true,"user":{"username":"jane"}}`
	for name, answer := range map[string]string{
		"nothing":                             ``,
		"a list":                              `[]`,
		"null":                                `null`,
		"another version":                     strings.Replace(accepted, "k8s.io/v1", "k8s.io/v1beta1", 1),
		"another kind":                        strings.Replace(accepted, "TokenReview", "SelfSubjectReview", 1),
		"two of them":                         accepted + accepted,
		"a user of another form":              annotated(allowed, `{"authenticated":true,"user":"jane"}`),
		"no annotations, as of /authenticate": annotated(nil, jane),
		"a refusal of an accepted token":      annotated(map[string]string{"tokenreview.dev/reason": "Expired"}, jane),
		"no refusal of one that is not":       annotated(allowed, `{"authenticated":false}`),
		"an accepted token of a user unnamed": annotated(allowed, `{"authenticated":true,"user":{"groups":["a"]}}`),
		"a trace that is none":                annotated(map[string]string{"tokenreview.dev/reason": "Allowed", "tokenreview.dev/trace": "{}"}, jane),
		"a past that is none":                 annotated(map[string]string{"tokenreview.dev/reason": "Allowed", "tokenreview.dev/recent": "yes"}, jane),
		"a past at no time":                   annotated(map[string]string{"tokenreview.dev/reason": "Allowed", "tokenreview.dev/recent": `[{"time":"noon"}]`}, jane),
		"annotations of another form":         strings.Replace(accepted, `"Allowed"`, `true`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			s := answering(t, answer)
			got, err := review(t.Context(), t, s.options(), reviewclient.Request{Token: token})
			if want := "server " + s.Listener.Addr().String() + ": " + noReview; err == nil || err.Error() != want {
				t.Errorf("expected %q, got %v, answer %+v", want, err, got)
			}
		})
	}
}

// A server, or what stands in its place, that sends the token back does not get it
// printed.
func TestNothingOfTheTokenIsInAnAnswer(t *testing.T) {
	signature := token[strings.LastIndex(token, ".")+1:]
	var escaped string
	for _, c := range token {
		escaped += fmt.Sprintf(`\u%04x`, c)
	}
	echo := func(text string) string {
		return annotated(map[string]string{
			"tokenreview.dev/reason": "Expired", "tokenreview.dev/message": text, "tokenreview.dev/issuer": text, "tokenreview.dev/request-id": text,
			"tokenreview.dev/fingerprint": text, text: text, "tokenreview.dev/would-refuse-message": text,
			"tokenreview.dev/trace":  fmt.Sprintf(`[{"check":"%[1]s","outcome":"%[1]s","detail":"a %[1]s b"}]`, text),
			"tokenreview.dev/recent": fmt.Sprintf(`[{"time":"2026-11-22T12:00:00Z","requestID":"%[1]s","endpoint":"%[1]s","caller":"%[1]s","reason":"%[1]s"}]`, text),
		}, fmt.Sprintf(`{"error":"%[1]s","user":{"username":"%[1]s","groups":["%[1]s"],"extra":{"%[1]s":["%[1]s"]}}}`, text))
	}
	for name, text := range map[string]string{"whole": token, "its signature": signature, "a part": token[30:60], "twice": token + token, "in the midst": "<" + token + ">", "with escapes": escaped} {
		t.Run(name, func(t *testing.T) {
			answer, err := review(t.Context(), t, answering(t, echo(text)).options(), reviewclient.Request{Token: token})
			if err != nil {
				t.Fatal(err)
			}
			if name == "with escapes" {
				// As it stands in the annotations it is not the token yet.
				clear(answer.Review.Annotations)
			}
			whole, err := json.Marshal(answer)
			if err != nil {
				t.Fatal(err)
			}
			expectNothingOfTheToken(t, string(whole))
			if detail := answer.Steps[0].Detail; !strings.HasPrefix(detail, "a ") || !strings.Contains(detail, "[redacted]") || !strings.HasSuffix(detail, " b") {
				t.Errorf("expected what is not of the token to stay, got %q", detail)
			}
		})
	}
}
