package tracingtest

import (
	"encoding/hex"
	"fmt"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Span is what tests look at of a span.
type Span struct {
	Name string
	// Kind is "server", "client" or "internal".
	Kind string
	// Trace, ID and Parent are hexadecimal; Parent is empty for a root.
	Trace, ID, Parent string
	// Attributes are the span's own, Resource those of the process, as text.
	Attributes, Resource map[string]string
	// Failed is whether the status is an error, Text what it says.
	Failed bool
	Text   string
	Links  int
	// Everything is the whole span as text, to look for what must not be there.
	Everything string
}

func newSpan(resource *tracev1.ResourceSpans, scope *tracev1.ScopeSpans, span *tracev1.Span) Span {
	kinds := map[tracev1.Span_SpanKind]string{
		tracev1.Span_SPAN_KIND_SERVER: "server", tracev1.Span_SPAN_KIND_CLIENT: "client", tracev1.Span_SPAN_KIND_INTERNAL: "internal",
	}
	return Span{
		Name: span.GetName(), Kind: kinds[span.GetKind()],
		Trace: hex.EncodeToString(span.GetTraceId()), ID: hex.EncodeToString(span.GetSpanId()), Parent: hex.EncodeToString(span.GetParentSpanId()),
		Attributes: texts(span.GetAttributes()), Resource: texts(resource.GetResource().GetAttributes()),
		Failed: span.GetStatus().GetCode() == tracev1.Status_STATUS_CODE_ERROR, Text: span.GetStatus().GetMessage(),
		Links:      len(span.GetLinks()),
		Everything: fmt.Sprint(resource.GetResource(), scope.GetScope(), span),
	}
}

func texts(attributes []*commonv1.KeyValue) map[string]string {
	out := make(map[string]string, len(attributes))
	for _, attribute := range attributes {
		switch value := attribute.GetValue().GetValue().(type) {
		case *commonv1.AnyValue_StringValue:
			out[attribute.GetKey()] = value.StringValue
		default:
			out[attribute.GetKey()] = fmt.Sprint(attribute.GetValue().GetIntValue())
		}
	}
	return out
}
