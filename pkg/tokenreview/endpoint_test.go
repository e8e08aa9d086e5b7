package tokenreview_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/audit"
	"tokenreview.dev/webhook/pkg/tokenreview"
	"tokenreview.dev/webhook/pkg/trace"
)

// audited is a handler behind Callers, and its audit log.
type audited struct {
	*served
	ca       *authority
	callers  *tokenreview.Callers
	reviewer *tokenreview.Reviewer
	audit    *audit.Log
	lines    bytes.Buffer // complete once the audit log is closed
}

// startAudited serves an issuer "main", with spec in the WebhookConfiguration and policy
// added to the issuer's.
func startAudited(t *testing.T, spec, policy string) *audited {
	t.Helper()
	issuer := issuertest.Start("https://issuer.example")
	t.Cleanup(issuer.Close)
	reviewer, loaded := newReviewer(t, []byte(configurationOf(issuer, spec, policy)))
	s := &audited{served: &served{issuer: issuer, log: &bytes.Buffer{}}, ca: newAuthority(t), reviewer: reviewer}
	s.audit = audit.New(audit.Options{Stdout: &s.lines, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { s.closeAudit(t) })
	if err := s.audit.Use(loaded.AuditConfig()); err != nil {
		t.Fatal(err)
	}
	s.handler = tokenreview.NewHandler(reviewer, tokenreview.Options{Audit: s.audit, Log: slog.New(slog.NewTextHandler(s.log, nil))})
	s.callers = tokenreview.NewCallers(func() (x509.VerifyOptions, bool) { return s.ca.options(), true }, time.Now, slog.New(slog.DiscardHandler))
	return s
}

func configurationOf(issuer *issuertest.Issuer, spec, policy string) string {
	return string(authentication(issuer, "claimMappings:\n  username: {claim: sub, prefix: 'oidc:'}\n  groups: {claim: groups, prefix: ''}\n")) + `---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: main}
spec: {issuer: "https://issuer.example"` + policy + `}
---
apiVersion: tokenreview.dev/v1alpha1
kind: WebhookConfiguration
spec: {` + spec + `}
`
}

func (s *audited) closeAudit(t *testing.T) {
	t.Helper()
	if err := s.audit.Close(t.Context()); err != nil && t.Context().Err() == nil {
		t.Error(err)
	}
}

// certificate is one of the client CA's.
func (s *audited) certificate(t *testing.T, subject pkix.Name, uris ...string) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	for _, uri := range uris {
		parsed, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, parsed)
	}
	return s.ca.create(t, template, newKey(t))
}

func (s *audited) auditor(t *testing.T) *x509.Certificate {
	t.Helper()
	return s.certificate(t, pkix.Name{CommonName: "auditor", Organization: []string{"staff", "tokenreview:auditors"}})
}

func (s *audited) apiserver(t *testing.T) *x509.Certificate {
	t.Helper()
	return s.certificate(t, pkix.Name{CommonName: "kube-apiserver"})
}

// ask POSTs a token as the holder of a certificate, nil for none.
func (s *audited) ask(certificate *x509.Certificate, target, token string) *httptest.ResponseRecorder {
	return s.askWith(http.Header{"X-Request-Id": {"?"}}, certificate, target, token)
}

func (s *audited) askWith(header http.Header, certificate *x509.Certificate, target, token string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, target, strings.NewReader(review("authentication.k8s.io/v1", token)))
	request.Header = header
	request.Header.Set("Content-Type", "application/json")
	request.RemoteAddr = "192.0.2.1:1234"
	request = request.WithContext(s.callers.ConnContext(request.Context(), nil))
	request.TLS = &tls.ConnectionState{}
	if certificate != nil {
		request.TLS.PeerCertificates = []*x509.Certificate{certificate}
	}
	recorder := httptest.NewRecorder()
	s.callers.Wrap(s.handler).ServeHTTP(recorder, request)
	return recorder
}

// annotations of an answer, with the values that differ each time cut to a word.
func annotations(t *testing.T, answer *httptest.ResponseRecorder) map[string]string {
	t.Helper()
	var got authenticationv1.TokenReview
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || answer.Code != http.StatusOK || got.Spec.Token != "" {
		t.Fatalf("not a TokenReview: %d %s, %v", answer.Code, answer.Body, err)
	}
	for name, length := range map[string]int{"tokenreview.dev/request-id": 26, "tokenreview.dev/fingerprint": 32} {
		if value, ok := got.Annotations[name]; ok && len(value) == length {
			got.Annotations[name] = "random"
		}
	}
	return got.Annotations
}

func TestAnAuditorIsToldWhy(t *testing.T) {
	s := startAudited(t, "", ", enforcement: Audit, token: {maxLifetime: 2h}")
	auditor, apiserver := s.auditor(t), s.apiserver(t)
	const spared = "the token does not say when it was issued (iat), and token.maxLifetime is 2h0m0s"
	for _, test := range []struct {
		name, token string
		want        map[string]string
	}{
		{"a token that is accepted", s.sign(claims{"iat": time.Now().Unix()}), map[string]string{
			"tokenreview.dev/issuer": "main", "tokenreview.dev/reason": "Allowed",
		}},
		{"a token that would be refused", s.sign(nil), map[string]string{
			"tokenreview.dev/issuer": "main", "tokenreview.dev/reason": "Allowed",
			"tokenreview.dev/would-refuse": "LifetimeTooLong", "tokenreview.dev/would-refuse-message": spared,
		}},
		{"a token that is refused", s.sign(claims{"aud": "elsewhere"}), map[string]string{
			"tokenreview.dev/issuer": "main", "tokenreview.dev/reason": "AudienceMismatch", "tokenreview.dev/message": `expected an aud among ["cluster" "second"], got ["elsewhere"]`,
		}},
		{"a token of none of ours", "opaque", map[string]string{
			"tokenreview.dev/reason": "TokenMalformed", "tokenreview.dev/message": "the token is not a JWT",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range []string{"tokenreview.dev/request-id", "tokenreview.dev/fingerprint"} {
				test.want[name] = "random"
			}
			answer := s.ask(auditor, "/tokenreview?explain=false", test.token)
			if diff := cmp.Diff(test.want, annotations(t, answer)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			told := s.ask(apiserver, "/authenticate?explain=true", test.token)
			if got := annotations(t, told); got != nil {
				t.Errorf("the API server is told %v", got)
			}
			var mine, others authenticationv1.TokenReview
			for recorder, into := range map[*httptest.ResponseRecorder]*authenticationv1.TokenReview{answer: &mine, told: &others} {
				if err := json.Unmarshal(recorder.Body.Bytes(), into); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(others.Status, mine.Status); diff != "" {
				t.Errorf("an auditor gets another decision (-API server's +auditor's)\n%s", diff)
			}
		})
	}
}

func TestAnAuditorWhoAsksIsToldEveryCheck(t *testing.T) {
	s := startAudited(t, "", "")
	auditor := s.auditor(t)
	var steps []trace.Step
	got := annotations(t, s.ask(auditor, "/tokenreview?explain=true", s.sign(claims{"aud": "elsewhere"})))
	if err := json.Unmarshal([]byte(got["tokenreview.dev/trace"]), &steps); err != nil {
		t.Fatalf("%v: %v", got, err)
	}
	var ran []string
	for _, step := range steps {
		ran = append(ran, step.Check+" "+string(step.Outcome))
	}
	if diff := cmp.Diff([]string{"iss passed", "alg passed", "signature passed", "aud failed"}, ran); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if last := steps[len(steps)-1].Detail; last != got["tokenreview.dev/message"] {
		t.Errorf("the last check says %q, the answer %q", last, got["tokenreview.dev/message"])
	}
	for _, query := range []string{"explain=%zz", "explain=true;x"} {
		if answer := s.ask(auditor, "/tokenreview?"+query, "x"); answer.Code != http.StatusBadRequest || !strings.Contains(answer.Body.String(), "the query cannot be read") {
			t.Errorf("%s: got %d %s", query, answer.Code, answer.Body)
		}
	}
	for _, asked := range []string{"perhaps", "yes"} {
		if answer := s.ask(auditor, "/tokenreview?explain="+asked, "x"); answer.Code != http.StatusBadRequest || !strings.Contains(answer.Body.String(), `explain: expected true or false, got \"`+asked) {
			t.Errorf("%s: got %d %s", asked, answer.Code, answer.Body)
		}
	}
}

func TestAnAuditorIsToldWhatHappenedToTheSameTokenRecently(t *testing.T) {
	s := startAudited(t, "", "")
	auditor, apiserver := s.auditor(t), s.apiserver(t)
	token, other := s.sign(nil), s.sign(claims{"sub": "joe"})
	recent := func(token string) (events []tokenreview.Event) {
		t.Helper()
		got := annotations(t, s.ask(auditor, "/tokenreview", token))
		if text, ok := got["tokenreview.dev/recent"]; ok {
			if err := json.Unmarshal([]byte(text), &events); err != nil {
				t.Fatal(err)
			}
		}
		return events
	}
	if events := recent(token); len(events) != 0 {
		t.Errorf("a token that nobody has seen: %v", events)
	}
	first := s.ask(apiserver, "/authenticate", token).Header().Get("X-Request-Id")
	s.ask(apiserver, "/authenticate", other)
	// Tokens that anybody can make up push out none that an issuer has signed.
	for n := range 5000 {
		s.ask(apiserver, "/authenticate", fmt.Sprintf("made up %d", n))
	}
	events := recent(token)
	if len(events) != 2 {
		t.Fatalf("got %v", events)
	}
	events[0].Time, events[1].Time, events[1].RequestID = time.Time{}, time.Time{}, ""
	if diff := cmp.Diff([]tokenreview.Event{
		{RequestID: first, Endpoint: "/authenticate", Caller: "kube-apiserver", Reason: "Allowed"},
		{Endpoint: "/tokenreview", Caller: "auditor", Reason: "Allowed"},
	}, events); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for range 10 {
		recent(token)
	}
	if events := recent(token); len(events) != 5 || !slices.IsSortedFunc(events, func(a, b tokenreview.Event) int { return b.Time.Compare(a.Time) }) {
		t.Errorf("expected the last five, the latest first, got %v", events)
	}
	if events := recent("made up 4999"); len(events) != 1 || events[0].Reason != "TokenMalformed" {
		t.Errorf("got %v", events)
	}
}

func TestWhichAnswersNameTheirRequest(t *testing.T) {
	s := startAudited(t, "callers: {authenticate: [{commonName: kube-apiserver}]}", "")
	auditor, apiserver, token := s.auditor(t), s.apiserver(t), s.sign(nil)
	seen := map[string]bool{"": true, "mine": true}
	for _, test := range []struct {
		name   string
		by     *x509.Certificate
		target string
		token  string
		header http.Header
		code   int
		named  bool
	}{
		{"a TokenReview for an auditor", auditor, "/tokenreview", "opaque", http.Header{}, 200, true},
		{"a question of an auditor that cannot be answered", auditor, "/tokenreview?explain=x", "opaque", http.Header{}, 400, true},
		{"a caller who may not ask", auditor, "/authenticate", "opaque", http.Header{}, 403, true},
		{"a TokenReview for an API server", apiserver, "/authenticate", token, http.Header{}, 200, false},
		{"a TokenReview for whoever names their request", apiserver, "/authenticate", token, http.Header{"X-Request-Id": {"mine"}}, 200, true},
		{"a TokenReview as it was answered before", apiserver, "/authenticate", token, http.Header{}, 200, false},
		{"a TokenReview as before, for whoever names their request", apiserver, "/authenticate", token, http.Header{"X-Request-Id": {""}}, 200, true},
	} {
		answer := s.askWith(test.header, test.by, test.target, test.token)
		id := answer.Header().Get("X-Request-Id")
		if answer.Code != test.code || test.named == seen[id] || !test.named && id != "" {
			t.Errorf("%s: expected %d, with an id of its own: %t, got %d with the id %q", test.name, test.code, test.named, answer.Code, id)
		}
		seen[id] = true
	}
	if text := s.log.String(); !strings.Contains(text, `msg="request not answered with a TokenReview" endpoint=/tokenreview code=400`) ||
		!strings.Contains(text, "endpoint=/authenticate code=403") || !strings.Contains(text, "caller=auditor remote=192.0.2.1:1234 request_id=") {
		t.Errorf("the log has\n%s", text)
	}
}
