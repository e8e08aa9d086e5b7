// Package tracing sends spans to an OpenTelemetry collector, if that is wanted.
//
// It begins with --tracing-exporter and OpenTelemetry's own environment variables, and
// ends with a tracer, or none. Which spans there are is for internal/server and
// internal/span to say. Whether the collector answers has no bearing on a request: spans
// that it does not take are dropped.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"tokenreview.dev/webhook/internal/span"
)

// What --tracing-exporter may be.
const (
	None     = "none"
	OTLPGRPC = "otlp-grpc"
	OTLPHTTP = "otlp-http"
)

const (
	// flushWait is how long the last spans may take at the end of the process.
	flushWait = 2 * time.Second
	// serviceName is ours unless OTEL_SERVICE_NAME says another.
	serviceName = "tokenreview-webhook"
)

// Tracing is where spans go. The zero value sends them nowhere.
type Tracing struct {
	provider *sdktrace.TracerProvider
	log      sdkLog
}

// New returns what exporter says: one of None, OTLPGRPC and OTLPHTTP. All else (where
// to, with which headers and certificates, how many) is read by OpenTelemetry's SDK from
// its environment variables. Nothing is connected to before the first spans are sent.
//
// The SDK has one logger for the process, which becomes log, at a bounded rate.
func New(ctx context.Context, exporter, version string, log *slog.Logger) (*Tracing, error) {
	var client otlptrace.Client
	switch exporter {
	case None:
		return &Tracing{}, nil
	case OTLPGRPC, OTLPHTTP:
	default:
		return nil, fmt.Errorf("--tracing-exporter: expected %s, %s or %s, got %q", None, OTLPGRPC, OTLPHTTP, exporter)
	}
	if err := checkEndpoint(exporter); err != nil {
		return nil, err
	}
	t := &Tracing{log: newSDKLog(log)}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(t.log.failed))
	otel.SetLogger(logr.FromSlogHandler(t.log))
	if exporter == OTLPGRPC {
		client = otlptracegrpc.NewClient()
	} else {
		client = otlptracehttp.NewClient()
	}
	sender, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("--tracing-exporter %s: %w", exporter, err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName(serviceName), semconv.ServiceVersion(version)),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv()) // the last one wins
	if err != nil {
		return nil, fmt.Errorf("--tracing-exporter %s: OTEL_RESOURCE_ATTRIBUTES: %w", exporter, err)
	}
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithBatcher(sender), sdktrace.WithResource(about))
	return t, nil
}

// checkEndpoint wants to be told where the collector is. The SDK would take its default,
// localhost, where it is told nothing or nothing that it understands, and nobody would
// see why no spans come.
func checkEndpoint(exporter string) error {
	const all, traces = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	given := false
	for _, name := range []string{traces, all} {
		text := strings.TrimSpace(os.Getenv(name))
		if text == "" {
			continue
		}
		given = true
		// Not repeated: a password may stand in it.
		if endpoint, err := url.Parse(text); err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
			return fmt.Errorf("--tracing-exporter %s: %s: expected http://HOST:PORT or https://HOST:PORT", exporter, name)
		}
	}
	if !given {
		return fmt.Errorf("--tracing-exporter %s: say where the collector is, with %s or %s", exporter, all, traces)
	}
	return nil
}

// Tracer makes spans. It is nil where they go nowhere.
func (t *Tracing) Tracer() trace.Tracer {
	if t.provider == nil {
		return nil
	}
	return t.provider.Tracer(span.Scope)
}

// Close sends the last spans, and gives them up if that takes long.
func (t *Tracing) Close() {
	if t.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushWait)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.failed(fmt.Errorf("the last spans: %w", err))
	}
}
