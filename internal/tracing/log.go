package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"

	"tokenreview.dev/webhook/internal/logging"
	"tokenreview.dev/webhook/internal/redact"
)

// sdkLog is how OpenTelemetry's SDK tells people what does not work: that spans cannot
// be sent, and which of its environment variables it cannot use. It is the slog.Handler
// of the SDK's logger as well.
type sdkLog struct {
	log *slog.Logger
	// secrets are what a collector's answer may repeat.
	secrets []string
}

func newSDKLog(log *slog.Logger) sdkLog {
	return sdkLog{
		log:     logging.Limited(log, 1),
		secrets: slices.Concat(headerValues("OTEL_EXPORTER_OTLP_HEADERS"), headerValues("OTEL_EXPORTER_OTLP_TRACES_HEADERS")),
	}
}

// headerValues are the values in a variable of headers, as they are written there and as
// they are sent: NAME=VALUE,…, percent-encoded.
func headerValues(variable string) []string {
	var values []string
	for header := range strings.SplitSeq(os.Getenv(variable), ",") {
		_, value, _ := strings.Cut(header, "=")
		value = strings.TrimSpace(value)
		values = append(values, value)
		if decoded, err := url.PathUnescape(value); err == nil && decoded != value {
			values = append(values, decoded)
		}
	}
	return values
}

// failed logs one line, whatever the other side has answered.
func (l sdkLog) failed(err error) {
	l.log.Warn("tracing", "err", redact.Line(err.Error(), l.secrets...))
}

// Enabled implements slog.Handler. The rest is about the SDK's insides.
func (l sdkLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

// Handle implements slog.Handler. Of what the SDK says it takes the text and the error:
// the rest may be a header's value.
func (l sdkLog) Handle(_ context.Context, record slog.Record) error {
	text := record.Message
	record.Attrs(func(attribute slog.Attr) bool {
		if attribute.Key == "err" {
			text += fmt.Sprintf(": %v", attribute.Value)
		}
		return true
	})
	l.log.Warn("tracing", "err", redact.Line(text, l.secrets...))
	return nil
}

// WithAttrs implements slog.Handler.
func (l sdkLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l sdkLog) WithGroup(string) slog.Handler { return l }
