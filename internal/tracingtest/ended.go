package tracingtest

import (
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Text is a span as "name kind attribute=value …".
func Text(span sdktrace.ReadOnlySpan) string {
	text := fmt.Sprint(span.Name(), " ", span.SpanKind())
	for _, attribute := range span.Attributes() {
		text += fmt.Sprintf(" %s=%s", attribute.Key, attribute.Value.String())
	}
	return text
}
