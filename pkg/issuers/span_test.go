package issuers_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/internal/span"
	"tokenreview.dev/webhook/internal/tracingtest"
	"tokenreview.dev/webhook/pkg/issuers"
)

// spans are those that have ended, as text.
func spans(recorder *tracetest.SpanRecorder) []string {
	var lines []string
	for _, ended := range recorder.Ended() {
		lines = append(lines, tracingtest.Text(ended))
	}
	return lines
}

func expectSpans(t *testing.T, recorder *tracetest.SpanRecorder, expected ...string) {
	t.Helper()
	if got := strings.Join(spans(recorder), "\n"); got != strings.Join(expected, "\n") {
		t.Errorf("expected spans\n%s\ngot\n%s", strings.Join(expected, "\n"), got)
	}
}

// expectNoTrace looks for what would tell an issuer of a trace.
func expectNoTrace(t *testing.T, r *http.Request) {
	t.Helper()
	for _, name := range []string{"Traceparent", "Tracestate", "Baggage"} {
		if r.Header.Get(name) != "" {
			t.Errorf("expected no %s to be sent", name)
		}
	}
}

func startTraced(t *testing.T, configs ...issuers.Config) (*issuers.Set, *tracetest.SpanRecorder, context.Context) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer(span.Scope)
	set, err := issuers.NewSet(configs, nil, issuers.Options{Now: func() time.Time { return now }, Tracer: tracer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close(nil) })
	set.AwaitFirstFetch(t.Context())
	ctx, _ := tracer.Start(t.Context(), "POST /authenticate")
	return set, recorder, ctx
}

func TestAFetchOfKeysIsATraceOfItsOwn(t *testing.T) {
	issuer := startIssuer(t, "")
	issuer.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		expectNoTrace(t, r)
		issuer.Genuine(w, r)
	}))
	_, recorder, _ := startTraced(t, remote(issuer))
	name := remote(issuer).Name
	expectSpans(t, recorder,
		"fetch discovery document client http.response.status_code=200",
		"fetch key set client http.response.status_code=200",
		"fetch keys internal tokenreview.issuer="+name)
	ended := recorder.Ended()
	if root := ended[2]; root.Parent().IsValid() || ended[0].Parent().SpanID() != root.SpanContext().SpanID() || ended[1].Parent().SpanID() != root.SpanContext().SpanID() {
		t.Error("expected the fetch to be a root, and both requests below it")
	}
}

func TestAFetchThatFailsSaysWhy(t *testing.T) {
	issuer := startIssuer(t, "")
	issuer.Answer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	_, recorder, _ := startTraced(t, remote(issuer))
	expectSpans(t, recorder,
		"fetch discovery document client http.response.status_code=503 error.type=failure",
		"fetch keys internal tokenreview.issuer="+remote(issuer).Name+" error.type=failure")
	status := recorder.Ended()[1].Status()
	if status.Code != codes.Error || status.Description != "fetch discovery document "+issuer.DiscoveryURL()+": the answer is 503 Service Unavailable" {
		t.Errorf("expected the fetch to say why, got %v", status)
	}
}

func TestKeysThatAreNotFetchedFromElsewhereHaveNoSpans(t *testing.T) {
	config := issuers.Config{Name: "static", URL: issuerURL, Audiences: []string{"cluster"}, Keys: issuers.KeysConfig{JWKS: issuertest.KeySet(issuertest.NewKey("key", "ES256"))}}
	_, recorder, _ := startTraced(t, config)
	expectSpans(t, recorder)
}

func TestATokenThatWaitsForKeysHasASpan(t *testing.T) {
	issuer := startIssuer(t, "")
	set, recorder, ctx := startTraced(t, remote(issuer))
	issuer.Rotate(jwa.RS256)
	verification, err := set.Verify(ctx, issuer.Sign(valid().With(claims{"iss": issuer.URL})), nil)
	if err != nil || !verification.Proven {
		t.Fatalf("expected the token to be proven, got %q, %v", verification.Refusal, err)
	}
	waits := 0
	for _, line := range spans(recorder) {
		if line == "wait for keys internal" {
			waits++
		}
	}
	if waits != 1 {
		t.Errorf("expected a span for the wait, got %q", spans(recorder))
	}
}

func TestAFetchOfAClaimHasASpanThatSaysNothingOfTheToken(t *testing.T) {
	issuer := startIssuer(t, "")
	endpoint := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		expectNoTrace(t, r)
		_, _ = w.Write([]byte(issuer.Sign(valid().With(claims{"iss": issuer.URL, "groups": []string{"a"}}))))
	}))
	defer endpoint.Close()
	config := remote(issuer)
	config.GroupsClaim = "groups"
	config.Keys.JWKS, config.Keys.DiscoveryURL = issuertest.KeySet(issuer.Key()), ""
	set, recorder, ctx := startTraced(t, config)
	verification, err := set.Verify(ctx, issuer.Sign(valid().With(claims{
		"iss":            issuer.URL,
		"_claim_names":   claims{"groups": "src1"},
		"_claim_sources": claims{"src1": claims{"endpoint": endpoint.URL + "/claims?sig=SECRET", "access_token": "secret"}},
	})), nil)
	if err != nil || verification.Claims == nil {
		t.Fatalf("expected claims, got %q, %v", verification.Refusal, err)
	}
	expectSpans(t, recorder, "fetch distributed claim client http.response.status_code=200")
}
