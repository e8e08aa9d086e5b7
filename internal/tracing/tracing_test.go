package tracing_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"tokenreview.dev/webhook/internal/span"
	"tokenreview.dev/webhook/internal/tracing"
	"tokenreview.dev/webhook/internal/tracingtest"
)

// environment has no variable of OpenTelemetry's but these.
func environment(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, name := range []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_SERVICE_NAME",
		"OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_MAX_QUEUE_SIZE",
	} {
		t.Setenv(name, variables[name]) // which puts it back at the end
		if variables[name] == "" {
			_ = os.Unsetenv(name)
		}
	}
}

func startCollector(t *testing.T) *tracingtest.Collector {
	t.Helper()
	collector := tracingtest.Start()
	t.Cleanup(collector.Close)
	return collector
}

// logBuffer is written by the SDK's goroutines.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newLog() (*slog.Logger, *logBuffer) {
	buffer := new(logBuffer)
	return slog.New(slog.NewTextHandler(buffer, nil)), buffer
}

func TestWhatIsWrongIsSaidAtTheStart(t *testing.T) {
	for name, test := range map[string]struct {
		exporter    string
		environment map[string]string
		expected    string
	}{
		"an exporter that there is not": {"jaeger", nil, `--tracing-exporter: expected none, otlp-grpc or otlp-http, got "jaeger"`},
		"no exporter at all":            {"", nil, `--tracing-exporter: expected none, otlp-grpc or otlp-http, got ""`},
		"no endpoint":                   {"otlp-grpc", nil, "--tracing-exporter otlp-grpc: say where the collector is, with OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
		"an endpoint without a scheme": {"otlp-grpc", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4317"},
			"--tracing-exporter otlp-grpc: OTEL_EXPORTER_OTLP_ENDPOINT: expected http://HOST:PORT or https://HOST:PORT"},
		"an endpoint of traces that is no URL, and holds a secret": {"otlp-http",
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://me:secret@:a"},
			"--tracing-exporter otlp-http: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: expected http://HOST:PORT or https://HOST:PORT"},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t, test.environment)
			log, _ := newLog()
			if _, err := tracing.New(t.Context(), test.exporter, "v1", log); err == nil || err.Error() != test.expected {
				t.Errorf("expected the error %q, got %v", test.expected, err)
			}
		})
	}
}

func TestSpansComeToTheCollector(t *testing.T) {
	for exporter, endpoint := range map[string]func(*tracingtest.Collector) string{
		tracing.OTLPGRPC: func(c *tracingtest.Collector) string { return c.GRPC },
		tracing.OTLPHTTP: func(c *tracingtest.Collector) string { return c.HTTP },
	} {
		for name, test := range map[string]struct{ variable, service string }{
			"by our own name":             {"", "tokenreview-webhook"},
			"by the environment's choice": {"webhook-of-blue", "webhook-of-blue"},
		} {
			t.Run(exporter+" "+name, func(t *testing.T) {
				collector := startCollector(t)
				environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint(collector), "OTEL_SERVICE_NAME": test.variable})
				log, logged := newLog()
				traces, err := tracing.New(t.Context(), exporter, "v1.2.3", log)
				if err != nil {
					t.Fatal(err)
				}
				_, root := span.Root(t.Context(), traces.Tracer(), "fetch keys")
				root.End(nil)
				traces.Close()
				spans := collector.Spans()
				if len(spans) != 1 || spans[0].Name != "fetch keys" {
					t.Fatalf("expected the one span, got %+v; log: %s", spans, logged)
				}
				if about := spans[0].Resource; about["service.name"] != test.service || about["service.version"] != "v1.2.3" || about["telemetry.sdk.language"] != "go" {
					t.Errorf("expected service %s of version v1.2.3, got %v", test.service, about)
				}
				if logged.String() != "" {
					t.Errorf("expected nothing in the log, got %s", logged)
				}
			})
		}
	}
}

func TestTheEnvironmentSaysHowManySpansThereAre(t *testing.T) {
	collector := startCollector(t)
	environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.HTTP, "OTEL_TRACES_SAMPLER": "always_off"})
	log, _ := newLog()
	traces, err := tracing.New(t.Context(), tracing.OTLPHTTP, "", log)
	if err != nil {
		t.Fatal(err)
	}
	_, root := span.Root(t.Context(), traces.Tracer(), "fetch keys")
	root.End(nil)
	traces.Close()
	if asked := collector.Asked(); asked != 0 {
		t.Errorf("expected nothing to be sent, got %d requests", asked)
	}
}

func TestAVariableThatTheSDKCannotUseIsLogged(t *testing.T) {
	for name, test := range map[string]struct{ variable, value, expected string }{
		"a sampler that is none":   {"OTEL_TRACES_SAMPLER", "never_ever", `msg=tracing err="unsupported sampler: never_ever"`},
		"a duration that is none":  {"OTEL_EXPORTER_OTLP_TIMEOUT", "soon", `msg=tracing err="parse duration: strconv.Atoi: parsing \"soon\": invalid syntax"`},
		"a file that is not there": {"OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere", `msg=tracing err="read tls ca cert file: open /nowhere: no such file or directory"`},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
			t.Setenv(test.variable, test.value)
			log, logged := newLog()
			traces, err := tracing.New(t.Context(), tracing.OTLPHTTP, "", log)
			if err != nil {
				t.Fatal(err)
			}
			traces.Close()
			if text := strings.TrimSpace(logged.String()); !strings.HasSuffix(text, "level=WARN "+test.expected) || strings.Contains(text, "\n") {
				t.Errorf("expected the one line %s, got %q", test.expected, text)
			}
		})
	}
}

func TestNothingIsSentUnlessAskedFor(t *testing.T) {
	collector := startCollector(t)
	environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.HTTP})
	log, _ := newLog()
	traces, err := tracing.New(t.Context(), tracing.None, "", log)
	if err != nil {
		t.Fatal(err)
	}
	if traces.Tracer() != nil {
		t.Error("expected no tracer")
	}
	traces.Close()
	if asked := collector.Asked(); asked != 0 {
		t.Errorf("expected nothing to be sent, got %d requests", asked)
	}
}

// The test would not end if the end of the process waited for the collector.
func TestACollectorThatHangsHoldsNobodyUp(t *testing.T) {
	collector := startCollector(t)
	released := make(chan struct{})
	asked := make(chan struct{}, 100)
	collector.Answer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-released
	}))
	environment(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": collector.HTTP, "OTEL_BSP_SCHEDULE_DELAY": "1", "OTEL_BSP_MAX_QUEUE_SIZE": "8",
	})
	log, logged := newLog()
	traces, err := tracing.New(t.Context(), tracing.OTLPHTTP, "", log)
	if err != nil {
		t.Fatal(err)
	}
	_, root := span.Root(t.Context(), traces.Tracer(), "fetch keys")
	root.End(nil)
	<-asked
	for range 100 { // more than the queue takes
		_, root := span.Root(t.Context(), traces.Tracer(), "fetch keys")
		root.End(nil)
	}
	traces.Close()
	close(released)
	if !strings.Contains(logged.String(), "level=WARN msg=tracing err=\"the last spans: context deadline exceeded\"") {
		t.Errorf("expected the log to say that the last spans are lost, got %s", logged)
	}
}

func TestACollectorThatRefusesIsLoggedAtABoundedRate(t *testing.T) {
	const header = "authorization=Bearer abcdefghijklmnopqrstuvwxyz"
	collector := startCollector(t)
	collector.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no entry with "+r.Header.Get("Authorization")+strings.Repeat("\nno", 1000), http.StatusForbidden)
	}))
	environment(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": collector.HTTP, "OTEL_EXPORTER_OTLP_HEADERS": header + ",abcdefgh-without-a-value",
	})
	// One span is a batch.
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
	log, logged := newLog()
	traces, err := tracing.New(t.Context(), tracing.OTLPHTTP, "", log)
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		_, root := span.Root(t.Context(), traces.Tracer(), "fetch keys")
		root.End(nil)
	}
	traces.Close()
	lines := strings.Split(strings.TrimSpace(logged.String()), "\n")
	if asked := collector.Asked(); asked < 100 || len(lines) < 10 || len(lines) > 30 {
		t.Errorf("expected about ten lines of at least a hundred failures, got %d of %d", len(lines), asked)
	}
	for _, line := range lines {
		if !strings.Contains(line, "level=WARN msg=tracing err=") || len(line) > 600 {
			t.Errorf("expected one bounded line about tracing, got %s", line)
		}
		if strings.Contains(line, "lmnopq") || strings.Contains(line, "without-a-value") {
			t.Errorf("a header's value is in the log: %s", line)
		}
	}
}
