// Package span is how the packages on the way of a request tell of what takes time
// there: as OpenTelemetry spans below the one that the context brings.
//
// Where the context brings none, or one that is not sampled, everything here does
// nothing, and allocates nothing. What becomes of spans is for internal/tracing to say.
package span

import (
	"context"
	"errors"
	"net"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

// Scope is the name under which all spans of this program are made.
const Scope = "tokenreview.dev/webhook"

// The attributes that are ours. Their values come from the configuration.
const (
	Issuer     = attribute.Key("tokenreview.issuer")
	Reason     = attribute.Key("tokenreview.reason")
	RequestID  = attribute.Key("tokenreview.request_id")
	Tenant     = attribute.Key("tokenreview.tenant")
	Kubeconfig = attribute.Key("tokenreview.kubeconfig")
)

// Span is a step that is under way. The zero Span is one that nobody wants to know of.
type Span struct{ span trace.Span }

// Start begins a step of what ctx is about.
func Start(ctx context.Context, name string) (context.Context, Span) {
	return start(ctx, name, trace.SpanKindInternal)
}

// Ask begins a question to somebody else. The other side is never told of the trace:
// nothing of it is sent.
func Ask(ctx context.Context, name string) (context.Context, Span) {
	return start(ctx, name, trace.SpanKindClient)
}

func start(ctx context.Context, name string, kind trace.SpanKind) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Span{}
	}
	ctx, span := parent.TracerProvider().Tracer(Scope).Start(ctx, name, trace.WithSpanKind(kind))
	return ctx, Span{span}
}

// Root begins a step that no request has asked for. tracer is nil where nobody wants to
// know.
func Root(ctx context.Context, tracer trace.Tracer, name string) (context.Context, Span) {
	if tracer == nil {
		return ctx, Span{}
	}
	ctx, span := tracer.Start(ctx, name, trace.WithNewRoot())
	return ctx, Span{span}
}

// Keep returns a context of its own that has the span of ctx and nothing else, for work
// that goes on when ctx has ended.
func Keep(ctx context.Context) context.Context {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return context.Background()
	}
	return trace.ContextWithSpan(context.Background(), parent)
}

// Set says something about the step: neither a token, nor a claim, nor whom it is about.
func (s Span) Set(what attribute.KeyValue) {
	if s.span != nil {
		s.span.SetAttributes(what)
	}
}

// Answered says which HTTP status a question was answered with.
func (s Span) Answered(status int) { s.Set(semconv.HTTPResponseStatusCode(status)) }

// End ends the step. Of an error it tells the class alone (error.type): the text may be
// about a person.
func (s Span) End(err error) { s.end(err, "") }

// EndTelling is End for errors about ourselves and our configuration, whose text may be
// shown.
func (s Span) EndTelling(err error) {
	if s.span != nil && err != nil {
		s.end(err, err.Error())
		return
	}
	s.end(err, "")
}

func (s Span) end(err error, text string) {
	if s.span == nil {
		return
	}
	if err != nil {
		s.span.SetStatus(codes.Error, text)
		s.span.SetAttributes(semconv.ErrorTypeKey.String(class(err)))
	}
	s.span.End()
}

// class is one of few words.
func class(err error) string {
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		return "timeout"
	}
	return "failure"
}
