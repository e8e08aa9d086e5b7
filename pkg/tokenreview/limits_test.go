package tokenreview_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// asking is a cluster that is being asked until it is let answer.
type asking struct {
	asked  chan struct{}
	answer chan struct{}
}

func (a *asking) Check(context.Context, string, []string, string) (string, error) {
	a.asked <- struct{}{}
	<-a.answer
	return "", nil
}

// limited is a handler over issuers "asks", whose policy asks a cluster that hangs, and
// "local", each with the same key.
type limited struct {
	handler  *tokenreview.Handler
	registry *prometheus.Registry
	log      *bytes.Buffer
	key      issuertest.Key
	cluster  *asking
	rules    *tokenreview.Rules
	reviewer *tokenreview.Reviewer
}

func newLimited(t *testing.T, limits tokenreview.Limits) *limited {
	t.Helper()
	l := &limited{
		registry: prometheus.NewRegistry(), log: &bytes.Buffer{}, key: issuertest.NewKey("key", "ES256"),
		cluster: &asking{asked: make(chan struct{}), answer: make(chan struct{})},
	}
	loaded, err := config.Parse("test.yaml", []byte(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- {issuer: {url: "https://asks.example", audiences: [a]}, claimMappings: {username: {claim: sub, prefix: "asks:"}}}
- {issuer: {url: "https://local.example", audiences: [a]}, claimMappings: {username: {claim: sub, prefix: "local:"}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	rules := &tokenreview.Rules{Policies: map[string]*policy.Policy{}, Limits: limits}
	var configs []issuers.Config
	for _, issuer := range loaded.Issuers {
		configs = append(configs, issuers.Config{Name: issuer.Name, URL: issuer.JWT.Issuer.URL, Audiences: []string{"a"}, Keys: issuers.KeysConfig{JWKS: issuertest.KeySet(l.key)}})
		decides := policy.Config{Authenticator: issuer.JWT, Expressions: issuer.Expressions, Policy: issuer.Policy}
		if issuer.Name == "asks.example" {
			decides.Policy.Kubernetes = &v1alpha1.Kubernetes{ClusterName: "build", Liveness: v1alpha1.LivenessTokenReview, LivenessOnFailure: v1alpha1.LivenessFailureDeny}
			decides.Liveness = l.cluster
		}
		rules.Policies[issuer.Name] = policy.New(decides)
	}
	if rules.Issuers, err = issuers.NewSet(configs, nil, issuers.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rules.Issuers.Close(nil) })
	rules.Issuers.AwaitFirstFetch(t.Context())
	l.rules = rules
	l.reviewer = tokenreview.NewReviewer(rules)
	l.handler = tokenreview.NewHandler(l.reviewer, tokenreview.Options{Metrics: tokenreview.NewMetrics(l.registry), Log: slog.New(slog.NewTextHandler(l.log, nil))})
	return l
}

func (l *limited) request(issuer string) *http.Request {
	token := l.key.Sign(claims{
		"iss": "https://" + issuer + ".example", "aud": "a", "exp": time.Now().Add(time.Hour).Unix(), "sub": "system:serviceaccount:ci:deployer",
		"kubernetes.io": claims{"namespace": "ci", "serviceaccount": claims{"name": "deployer", "uid": "u"}},
	})
	request := httptest.NewRequest(http.MethodPost, "/authenticate", strings.NewReader(review("authentication.k8s.io/v1", token)))
	request.Header.Set("Content-Type", "application/json")
	return request
}

func (l *limited) serve(request *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	l.handler.ServeHTTP(recorder, request)
	return recorder
}

func (l *limited) metric(t *testing.T, text string) {
	t.Helper()
	name, _, _ := strings.Cut(text, "{")
	name, _, _ = strings.Cut(name, " ")
	got, err := testutil.GatherAndFormat(l.registry, expfmt.TypeTextPlain, name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(got), text+"\n") {
		t.Errorf("expected %s, got\n%s", text, got)
	}
}

func wantTooMany(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	var status metav1.Status
	if err := json.Unmarshal(answer.Body.Bytes(), &status); err != nil {
		t.Fatal(err)
	}
	if answer.Code != http.StatusTooManyRequests || status.Kind != "Status" || status.Code != http.StatusTooManyRequests || status.Reason != metav1.StatusReasonTooManyRequests {
		t.Errorf("expected 429 with a Status, got %d %s", answer.Code, answer.Body)
	}
	// Which is what has kube-apiserver's client try again.
	if after := answer.Header().Get("Retry-After"); after != "1" {
		t.Errorf("expected Retry-After: 1, got %q", after)
	}
}

func wantAccepted(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), `"authenticated":true`) {
		t.Errorf("expected the token to be accepted, got %d %s", answer.Code, answer.Body)
	}
}

// slowBody says when it is being read, and ends when it is let.
type slowBody struct{ reading, end chan struct{} }

func (b slowBody) Read([]byte) (int, error) {
	b.reading <- struct{}{}
	<-b.end
	return 0, io.EOF
}

func TestRequestsBeyondTheLimitAreAnswered429AtOnce(t *testing.T) {
	l := newLimited(t, tokenreview.Limits{MaxRequestsInFlight: 2})
	body := slowBody{make(chan struct{}), make(chan struct{})}
	var slow sync.WaitGroup
	for range 2 {
		request := l.request("local")
		request.Body, request.ContentLength = io.NopCloser(body), -1
		slow.Go(func() { l.serve(request) })
		<-body.reading
	}
	l.metric(t, `tokenreview_requests_in_flight 2`)
	wantTooMany(t, l.serve(l.request("local")))
	l.metric(t, `tokenreview_requests_shed_total{issuer="-"} 1`)
	if log := l.log.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "answered 429") || !strings.Contains(log, "maxRequestsInFlight=2") {
		t.Errorf("expected a warning, got %s", log)
	}
	close(body.end)
	slow.Wait()
	l.metric(t, `tokenreview_requests_in_flight 0`)
	wantAccepted(t, l.serve(l.request("local")))
}

func TestTokensOfAnIssuerWhosePolicyHangsLeaveRoomForOthers(t *testing.T) {
	l := newLimited(t, tokenreview.Limits{MaxRequestsInFlight: 4})
	var hung sync.WaitGroup
	answers := make(chan *httptest.ResponseRecorder, 2)
	for range 2 { // of four requests, and two issuers
		hung.Go(func() { answers <- l.serve(l.request("asks")) })
		<-l.cluster.asked
	}
	wantTooMany(t, l.serve(l.request("asks")))
	l.metric(t, `tokenreview_requests_shed_total{issuer="asks.example"} 1`)
	// Nor does a change of the configuration make room for more of them.
	l.reviewer.Use(l.rules)
	wantTooMany(t, l.serve(l.request("asks")))
	for range 10 {
		wantAccepted(t, l.serve(l.request("local")))
	}
	// Nobody has decided about the token, so no review is counted.
	l.metric(t, `tokenreview_reviews_total{issuer="local.example",reason="Allowed"} 10`)
	close(l.cluster.answer)
	hung.Wait()
	for range 2 {
		wantAccepted(t, <-answers)
	}
	l.metric(t, `tokenreview_reviews_total{issuer="asks.example",reason="Allowed"} 2`)
}

// A token that is not proven costs the issuer's own none of their part.
func TestForgedTokensTakeNoPartOfTheirIssuers(t *testing.T) {
	l := newLimited(t, tokenreview.Limits{MaxRequestsInFlight: 1})
	forger := issuertest.NewKey("key", "ES256")
	for range 3 {
		genuine := l.key
		l.key = forger
		request := l.request("asks")
		l.key = genuine
		if answer := l.serve(request); !strings.Contains(answer.Body.String(), "SignatureInvalid") {
			t.Errorf("expected the forged token to be refused, got %s", answer.Body)
		}
	}
	wantAccepted(t, l.serve(l.request("local")))
}

func TestASingleIssuerHasAllRequestsToItself(t *testing.T) {
	limits := tokenreview.DefaultLimits()
	if limits.MaxRequestsInFlight < 250 || limits.MaxConnections < 64 {
		t.Errorf("expected room for an API server's connection, got %+v", limits)
	}
	l := newLimited(t, tokenreview.Limits{MaxRequestsInFlight: 2})
	delete(l.rules.Policies, "local.example")
	reviewer := tokenreview.NewReviewer(l.rules)
	l.handler = tokenreview.NewHandler(reviewer, tokenreview.Options{Log: slog.New(slog.DiscardHandler)})
	var hung sync.WaitGroup
	for range 2 {
		hung.Go(func() { wantAccepted(t, l.serve(l.request("asks"))) })
		<-l.cluster.asked
	}
	close(l.cluster.answer)
	hung.Wait()
}
