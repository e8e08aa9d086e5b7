package server_test

import (
	"crypto/tls"
	"maps"
	"net/http"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"tokenreview.dev/webhook/internal/span"
)

const (
	foreignTrace = "0af7651916cd43dd8448eb211c80319c"
	foreignSpan  = "b7ad6b7169203331"
)

// traced is a server that makes spans.
func traced(t *testing.T, f *fixture) *tracetest.SpanRecorder {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	f.options.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer(span.Scope)
	return recorder
}

// send sends a request of somebody else's trace.
func (f *fixture) send(t *testing.T, client *http.Client, method, path, body, flags string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "https://"+f.address()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Traceparent": "00-" + foreignTrace + "-" + foreignSpan + "-" + flags,
		"Tracestate": "stranger=words", "Baggage": "stranger=words", "User-Agent": "stranger-words",
	} {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// ended is the one span that has ended when the server has.
func ended(t *testing.T, stop func() error, recorder *tracetest.SpanRecorder) sdktrace.ReadOnlySpan {
	t.Helper()
	if err := stop(); err != nil {
		t.Error(err)
	}
	spans := recorder.Ended()
	if len(spans) != 1 {
		t.Fatalf("expected one span, got %d", len(spans))
	}
	return spans[0]
}

func expectAttributes(t *testing.T, got sdktrace.ReadOnlySpan, status string) {
	t.Helper()
	attributes := map[string]string{}
	for _, attribute := range got.Attributes() {
		attributes[string(attribute.Key)] = attribute.Value.String()
	}
	if id := attributes["tokenreview.request_id"]; status == "200" && len(id) != 26 {
		t.Errorf("got request id %q", id)
	}
	delete(attributes, "tokenreview.request_id")
	expected := map[string]string{"http.request.method": "POST", "http.route": "/authenticate", "url.scheme": "https", "http.response.status_code": status}
	if status == "200" { // a review of a token of nobody
		expected["tokenreview.issuer"], expected["tokenreview.reason"] = "", "TokenMalformed"
	}
	if got.Name() != "POST /authenticate" || got.SpanKind() != oteltrace.SpanKindServer || !maps.Equal(attributes, expected) || len(got.Links()) != 0 {
		t.Errorf("expected a server's span POST /authenticate with %v, got %s %s with %v and links %v", expected, got.SpanKind(), got.Name(), attributes, got.Links())
	}
}

func TestARequestGoesOnWithItsCallersTrace(t *testing.T) {
	for name, test := range map[string]struct{ body, status string }{
		"a token that is reviewed": {opaqueReview, "200"},
		"what is no TokenReview":   {"stranger-words", "400"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withKeys("main"))
			recorder := traced(t, f)
			stop := f.run(t)
			f.send(t, f.client(t), http.MethodPost, "/authenticate?stranger-words", test.body, "01")
			got := ended(t, stop, recorder)
			expectAttributes(t, got, test.status)
			if got.SpanContext().TraceID().String() != foreignTrace || got.Parent().SpanID().String() != foreignSpan || !got.Parent().IsRemote() {
				t.Errorf("expected the caller's trace, got %v below %v", got.SpanContext(), got.Parent())
			}
		})
	}
}

func TestACallerMayNotWantItsTraceSampled(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	recorder := traced(t, f)
	stop := f.run(t)
	if code := f.send(t, f.client(t), http.MethodPost, "/authenticate", opaqueReview, "00"); code != http.StatusOK {
		t.Errorf("expected 200, got %d", code)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if spans := recorder.Ended(); len(spans) != 0 {
		t.Errorf("expected no span, got %d", len(spans))
	}
}

func TestWhereAnyCallerIsLetInNobodyChoosesTheTrace(t *testing.T) {
	for name, flags := range map[string]string{"sampled": "01", "not sampled": "00"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withKeys("main"))
			recorder := traced(t, f)
			f.options.ClientCAFile, f.options.AllowAnyCaller = "", true
			stop := f.run(t)
			f.send(t, f.client(t), http.MethodPost, "/authenticate", opaqueReview, flags)
			got := ended(t, stop, recorder)
			expectAttributes(t, got, "200")
			if got.SpanContext().TraceID().String() == foreignTrace || got.Parent().IsValid() || got.SpanContext().TraceState().Len() != 0 {
				t.Errorf("expected a trace of our own, got %v below %v", got.SpanContext(), got.Parent())
			}
		})
	}
}

func TestStrangersAndWhatIsNowhereHaveNoSpan(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	recorder := traced(t, f)
	stop := f.run(t)
	anonymous := f.tlsConfig(t)
	anonymous.Certificates = nil
	stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: anonymous}}
	self := f.tlsConfig(t)
	pair, err := tls.LoadX509KeyPair(f.options.CertFile, f.options.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	self.Certificates = []tls.Certificate{pair}
	for name, test := range map[string]struct {
		client       *http.Client
		method, path string
		code         int
	}{
		"no certificate":              {stranger, http.MethodPost, "/authenticate", 401},
		"the certificate of a server": {&http.Client{Transport: &http.Transport{TLSClientConfig: self}}, http.MethodPost, "/authenticate", 403},
		"another path":                {f.client(t), http.MethodPost, "/stranger-words", 404},
		"another method":              {f.client(t), http.MethodGet, "/authenticate", 405},
	} {
		if code := f.send(t, test.client, test.method, test.path, opaqueReview, "01"); code != test.code {
			t.Errorf("%s: expected %d, got %d", name, test.code, code)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, got := range recorder.Ended() {
		t.Errorf("expected no span, got %s %v", got.Name(), got.Attributes())
	}
}
