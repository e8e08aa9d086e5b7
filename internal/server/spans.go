package server

import (
	"net/http"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

// spans makes a span of each request that is let in. It is not otelhttp's handler: that
// says of a request whatever its headers do (host, client address, user agent), counts
// what we count already, and costs something also while nobody wants to know.
type spans struct {
	tracer trace.Tracer // nil while nobody wants to know
	// callersKnown is whether a request's certificate is accepted. Only then is its trace
	// ours to go on with: others must choose neither ids nor what is sampled.
	callersKnown bool
}

// wrap makes spans of requests that are POSTed to one of paths, behind everything that
// turns strangers away. Others get none: their path is what somebody wrote.
func (s spans) wrap(next http.Handler, paths ...string) http.Handler {
	if s.tracer == nil {
		return next
	}
	about := make(map[string]trace.SpanStartEventOption, len(paths))
	for _, path := range paths {
		about[path] = trace.WithAttributes(semconv.HTTPRequestMethodKey.String(http.MethodPost), semconv.HTTPRoute(path), semconv.URLScheme("https"))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		attributes, ok := about[r.URL.Path]
		if !ok || r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		ctx := r.Context()
		if s.callersKnown {
			// W3C trace context alone: nothing of ours reads baggage.
			ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
		}
		ctx, span := s.tracer.Start(ctx, http.MethodPost+" "+r.URL.Path, trace.WithSpanKind(trace.SpanKindServer), attributes)
		// Not deferred by itself: it would write down what a panic is about.
		defer func() { span.End() }()
		r = r.WithContext(ctx)
		if !span.IsRecording() {
			next.ServeHTTP(w, r)
			return
		}
		recorder := &codeRecorder{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(recorder, r)
		span.SetAttributes(semconv.HTTPResponseStatusCode(recorder.code))
		if recorder.code >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	})
}
