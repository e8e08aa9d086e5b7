package span_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"tokenreview.dev/webhook/internal/span"
)

// step is all that the packages on the way of a request do.
func step(ctx context.Context, tracer trace.Tracer, err error) {
	_, root := span.Root(ctx, tracer, "fetch keys")
	root.Set(span.Issuer.String("main"))
	root.EndTelling(err)
	ctx, outer := span.Start(ctx, "look up groups")
	outer.Set(span.Tenant.String("tenant"))
	_, inner := span.Ask(span.Keep(ctx), "getMemberGroups")
	inner.Answered(200)
	inner.End(err)
	outer.End(err)
}

// unsampled is a context with a span that nobody wants.
func unsampled(t testing.TB) context.Context {
	t.Helper()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	ctx, _ := provider.Tracer(span.Scope).Start(t.Context(), "POST /authenticate")
	return ctx
}

func TestWithoutTracingAStepAllocatesNothing(t *testing.T) {
	failed := errors.New("a failure")
	for name, ctx := range map[string]context.Context{"no span": t.Context(), "a span that is not sampled": unsampled(t)} {
		if allocations := testing.AllocsPerRun(100, func() { step(ctx, nil, failed) }); allocations != 0 {
			t.Errorf("%s: expected no allocation, got %v", name, allocations)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	sampled := sdktrace.NewTracerProvider()
	ctx, _ := sampled.Tracer(span.Scope).Start(b.Context(), "POST /authenticate")
	for _, c := range []struct {
		name string
		ctx  context.Context
	}{{"off", b.Context()}, {"not sampled", unsampled(b)}, {"sampled", ctx}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				step(c.ctx, nil, nil)
			}
		})
	}
}

func TestErrorsOfQuestionsTellTheirClassAlone(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		class string
	}{
		"an ordinary one":  {errors.New("jane is not there"), "failure"},
		"a deadline":       {fmt.Errorf("jane: %w", context.DeadlineExceeded), "timeout"},
		"a network's":      {fmt.Errorf("jane: %w", os.ErrDeadlineExceeded), "timeout"},
		"one who has left": {fmt.Errorf("jane: %w", context.Canceled), "canceled"},
		"none":             {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := tracetest.NewSpanRecorder()
			tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer(span.Scope)
			ctx, root := span.Root(t.Context(), tracer, "fetch keys")
			_, asking := span.Ask(ctx, "getMemberGroups")
			asking.End(test.err)
			asking.End(errors.New("a second end does not count"))
			root.EndTelling(test.err)

			ended := recorder.Ended()
			expected, told := sdktrace.Status{Code: codes.Unset}, sdktrace.Status{Code: codes.Unset}
			var attributes []attribute.KeyValue
			if test.err != nil {
				expected.Code, told = codes.Error, sdktrace.Status{Code: codes.Error, Description: test.err.Error()}
				attributes = []attribute.KeyValue{attribute.String("error.type", test.class)}
			}
			if got := ended[0]; got.Status() != expected || fmt.Sprint(got.Attributes()) != fmt.Sprint(attributes) || len(got.Events()) != 0 {
				t.Errorf("expected %v with %v, got %v with %v and %v", expected, attributes, got.Status(), got.Attributes(), got.Events())
			}
			if got := ended[1]; got.Status() != told {
				t.Errorf("expected %v where the text may be told, got %v", told, got.Status())
			}
		})
	}
}

func TestWorkThatGoesOnKeepsItsSpanAndNothingElse(t *testing.T) {
	type key struct{}
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer(span.Scope)
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	ctx, root := span.Root(ctx, tracer, "fetch keys")
	kept := span.Keep(ctx)
	cancel()
	if kept.Err() != nil || kept.Value(key{}) != nil {
		t.Error("expected a context of its own")
	}
	_, inner := span.Start(kept, "inner")
	inner.End(nil)
	root.End(nil)
	ended := recorder.Ended()
	if len(ended) != 2 || ended[0].Parent().SpanID() != ended[1].SpanContext().SpanID() {
		t.Errorf("expected the inner span below the outer one, got %v", ended)
	}
}
