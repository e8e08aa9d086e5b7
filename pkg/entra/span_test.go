package entra_test

import (
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"tokenreview.dev/webhook/internal/entratest"
	"tokenreview.dev/webhook/internal/span"
	"tokenreview.dev/webhook/internal/tracingtest"
	"tokenreview.dev/webhook/pkg/entra"
)

func TestALookupHasSpansThatNobodyElseLearnsOf(t *testing.T) {
	server := startServer(t)
	check := func(genuine http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, name := range []string{"Traceparent", "Tracestate", "Baggage"} {
				if r.Header.Get(name) != "" {
					t.Errorf("%s got a %s", r.Host, name)
				}
			}
			genuine.ServeHTTP(w, r)
		})
	}
	server.AnswerLogin(check(http.HandlerFunc(server.Genuine)))
	server.AnswerGraph(check(http.HandlerFunc(server.Genuine)))
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer(span.Scope)
	ctx, request := tracer.Start(t.Context(), "POST /authenticate")
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport()})
	if _, known, err := graph.Groups(ctx, jane, false); !known || err != nil {
		t.Fatalf("expected groups, got %v, %v", known, err)
	}
	server.AnswerGraph(check(entratest.GraphError(http.StatusForbidden, "Authorization_RequestDenied", "No "+joe+".")))
	if _, _, err := graph.Groups(ctx, joe, false); err == nil {
		t.Fatal("expected an error")
	}

	var got []string
	for _, ended := range recorder.Ended() {
		got = append(got, tracingtest.Text(ended))
		if ended.SpanContext().TraceID() != request.SpanContext().TraceID() || ended.Status().Description != "" || len(ended.Events()) > 0 {
			t.Errorf("expected %s to be part of the request's trace and to tell no more, got %v, %v", ended.Name(), ended.Status(), ended.Events())
		}
	}
	expected := []string{
		"get access token client server.address=login.microsoftonline.com",
		"getMemberGroups client server.address=graph.microsoft.com http.response.status_code=200",
		"look up groups internal tokenreview.tenant=" + tenant,
		"getMemberGroups client server.address=graph.microsoft.com http.response.status_code=403",
		"look up groups internal tokenreview.tenant=" + tenant + " error.type=failure",
	}
	if text := strings.Join(got, "\n"); text != strings.Join(expected, "\n") {
		t.Errorf("expected\n%s\ngot\n%s", strings.Join(expected, "\n"), text)
	}
	if last := recorder.Ended()[4]; last.Status().Code != codes.Error {
		t.Errorf("expected the lookup to have failed, got %v", last.Status())
	}
}
