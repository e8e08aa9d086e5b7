package tokenreview_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unsafe"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// written notes what it is given to write, as it is in memory: an answer that is there
// once is written again.
type written struct {
	header http.Header
	body   []byte
}

func (w *written) Header() http.Header { return w.header }

func (w *written) WriteHeader(code int) {
	if code != http.StatusOK {
		w.header.Set("Code", fmt.Sprint(code))
	}
}

func (w *written) Write(body []byte) (int, error) {
	w.body = body
	return len(body), nil
}

func (w *written) same(other *written) bool {
	return unsafe.SliceData(w.body) == unsafe.SliceData(other.body)
}

// post sends a body as it is.
func post(handler http.Handler, path, body string) *written {
	request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	answer := &written{header: http.Header{}}
	handler.ServeHTTP(answer, request)
	return answer
}

func (r *remembering) handler() http.Handler {
	return tokenreview.NewHandler(r.reviewer, tokenreview.Options{Log: slog.New(slog.DiscardHandler)})
}

func TestForHowLongAnAnswerIsWrittenAgain(t *testing.T) {
	const admitted, expired = `"username":"main:jane"`, "(Expired)"
	good := func() claims { return nil }
	for _, test := range []struct {
		name   string
		token  func() claims
		change func(t *testing.T, r *remembering)
		same   bool
		then   string
	}{
		{"as long as its decision holds", good, func(*testing.T, *remembering) { time.Sleep(10 * time.Second) }, true, admitted},
		{"no longer", good, func(*testing.T, *remembering) { time.Sleep(10*time.Second + time.Nanosecond) }, false, admitted},
		{"until exp", func() claims { return claims{"exp": in(4 * time.Second)} }, func(*testing.T, *remembering) { time.Sleep(4 * time.Second) }, true, admitted},
		{"not after exp", func() claims { return claims{"exp": in(4 * time.Second)} }, func(*testing.T, *remembering) { time.Sleep(4*time.Second + time.Nanosecond) }, false, expired},
		{"a refusal as long as it holds", func() claims { return claims{"aud": "c"} }, func(*testing.T, *remembering) { time.Sleep(5 * time.Second) }, true, "(AudienceMismatch)"},
		{"a refusal no longer", func() claims { return claims{"aud": "c"} }, func(*testing.T, *remembering) { time.Sleep(5*time.Second + time.Nanosecond) }, false, "(AudienceMismatch)"},
		{"not when the issuer has withdrawn its key", good, func(t *testing.T, r *remembering) {
			next := issuertest.NewKey("next", "ES256")
			r.publish(t, next)
			time.Sleep(2 * time.Second)
			_, _ = r.reviewer.Rules().Issuers.Verify(t.Context(), next.Sign(claims{"iss": "https://main.example"}), nil) // has the keys fetched
		}, false, "(KeyUnknown)"},
		{"not when the rules were replaced", good, func(_ *testing.T, r *remembering) { r.reviewer.Use(r.reviewer.Rules()) }, false, admitted},
		{"not when the clock was put back", good, func(_ *testing.T, r *remembering) { r.off.Store(int64(-time.Second)) }, false, admitted},
	} {
		t.Run(test.name, func(t *testing.T) {
			remember(t, "", func(t *testing.T, r *remembering) {
				handler, body := r.handler(), review("authentication.k8s.io/v1", r.token(test.token()))
				decided, used, again := post(handler, "/authenticate", body), post(handler, "/authenticate", body), post(handler, "/authenticate", body)
				if !bytes.Equal(decided.body, again.body) || !bytes.Equal(decided.body, used.body) || decided.same(used) || !used.same(again) {
					t.Fatalf("expected the third answer to be the second, got %s, %s and %s", decided.body, used.body, again.body)
				}
				test.change(t, r)
				then := post(handler, "/authenticate", body)
				if then.same(used) != test.same || !bytes.Contains(then.body, []byte(test.then)) {
					t.Errorf("expected the same: %t, and %s, got %t, %s", test.same, test.then, then.same(used), then.body)
				}
			})
		})
	}
}

func TestARequestIsTheSameToTheLastByteOnly(t *testing.T) {
	remember(t, "", func(t *testing.T, r *remembering) {
		handler, token := r.handler(), r.token(nil)
		for _, test := range []struct{ path, body, want string }{
			{"/authenticate", review("authentication.k8s.io/v1", token), `"apiVersion":"authentication.k8s.io/v1",`},
			{"/authenticate", review("authentication.k8s.io/v1beta1", token), `"apiVersion":"authentication.k8s.io/v1beta1",`},
			{"/authenticate", review("authentication.k8s.io/v1", token, "b"), `"audiences":["b"]`},
			{"/authenticate", review("authentication.k8s.io/v1", token, "c", "a"), `"audiences":["a"]`},
			{"/authenticate", review("authentication.k8s.io/v1", token) + " ", `"apiVersion":"authentication.k8s.io/v1",`},
			{"/authenticate", review("authentication.k8s.io/v1", r.token(claims{"sub": "john"})), `"username":"main:john"`},
		} {
			first := post(handler, test.path, test.body)
			for range 3 {
				if next := post(handler, test.path, test.body); !bytes.Equal(next.body, first.body) || !bytes.Contains(next.body, []byte(test.want)) {
					t.Errorf("expected %s with %s, got %s", first.body, test.want, next.body)
				}
			}
		}
	})
}

func TestAnAuditorIsToldOfTheirOwnRequest(t *testing.T) {
	s := startAudited(t, "", "")
	auditor, token := s.auditor(t), s.sign(nil)
	for range 2 {
		s.ask(auditor, "/tokenreview", token)
	}
	if n := s.reviewer.Repeats(); n != 0 {
		t.Errorf("expected no request of an auditor to be remembered, got %d", n)
	}
	for range 4 {
		s.ask(auditor, "/authenticate", token)
		answer := s.ask(auditor, "/tokenreview", token)
		if id := answer.Header().Get("X-Request-Id"); id == "" || !strings.Contains(answer.Body.String(), `"tokenreview.dev/request-id":"`+id+`"`) {
			t.Errorf("expected the request's own id %s, got %s", id, answer.Body)
		}
	}
}

func TestARequestThatMustBeRefusedIsRefusedThoughItCameBefore(t *testing.T) {
	s := startAudited(t, "callers: {authenticate: [{commonName: kube-apiserver}]}", "")
	s.handler = tokenreview.NewHandler(s.reviewer, tokenreview.Options{Log: slog.New(slog.DiscardHandler)})
	token := s.sign(nil)
	for range 3 {
		if answer := s.ask(s.apiserver(t), "/authenticate", token); answer.Code != http.StatusOK {
			t.Fatalf("expected 200, got %d %s", answer.Code, answer.Body)
		}
	}
	if answer := s.ask(s.auditor(t), "/authenticate", token); answer.Code != http.StatusForbidden {
		t.Errorf("expected a caller who may not ask to be refused, got %d %s", answer.Code, answer.Body)
	}
}

func TestWhatIsRememberedOfRequestsIsBounded(t *testing.T) {
	remember(t, "", func(t *testing.T, r *remembering) {
		var groups []string
		for n := range 1000 {
			groups = append(groups, fmt.Sprint("group-", n))
		}
		for name, body := range map[string]string{
			"a long answer":  review("authentication.k8s.io/v1", r.token(claims{"groups": groups})),
			"a long request": review("authentication.k8s.io/v1", r.token(nil)) + strings.Repeat(" ", 16<<10),
		} {
			handler := r.handler()
			post(handler, "/authenticate", body)
			second, third := post(handler, "/authenticate", body), post(handler, "/authenticate", body)
			if second.same(third) || !bytes.Equal(second.body, third.body) || r.reviewer.Repeats() != 0 {
				t.Errorf("%s: expected it to be written anew, and to say the same, got %.500s and %.500s", name, second.body, third.body)
			}
		}
	})
}
