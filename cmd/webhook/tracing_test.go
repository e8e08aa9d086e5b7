package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"tokenreview.dev/webhook/internal/tracingtest"
)

// paths are the names of spans below those of their parents that came, with the kind of
// each.
func paths(spans []tracingtest.Span, trace func(string) bool) []string {
	byID := map[string]tracingtest.Span{}
	for _, span := range spans {
		byID[span.ID] = span
	}
	var all []string
	for _, span := range spans {
		if !trace(span.Trace) {
			continue
		}
		path := span.Name + " (" + span.Kind + ")"
		for parent, ok := byID[span.Parent]; ok; parent, ok = byID[parent.Parent] {
			path = parent.Name + " > " + path
		}
		all = append(all, path)
	}
	slices.Sort(all)
	return all
}

func TestTheServerSendsSpansOfWhatItDoes(t *testing.T) {
	for exporter, endpoint := range map[string]func(*tracingtest.Collector) string{
		"otlp-grpc": func(c *tracingtest.Collector) string { return c.GRPC },
		"otlp-http": func(c *tracingtest.Collector) string { return c.HTTP },
	} {
		t.Run(exporter, func(t *testing.T) {
			w, collector := newWorld(t), tracingtest.Start()
			t.Cleanup(collector.Close)
			p := w.serve(t, "--tracing-exporter="+exporter, "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint(collector))
			tokens := w.tokens()
			for range 2 { // the second time, others' answers are remembered
				for _, token := range tokens {
					p.admits(token)
				}
			}
			metrics := p.metrics()
			log := p.stop()

			spans := collector.Spans()
			inTrace := paths(spans, func(trace string) bool { return trace == foreign })
			expected := []string{
				"POST /authenticate (server)", "POST /authenticate (server)", "POST /authenticate (server)",
				"POST /authenticate (server)", "POST /authenticate (server)", "POST /authenticate (server)",
				"POST /authenticate > check liveness (internal)", "POST /authenticate > check liveness > ask the cluster (client)",
				"POST /authenticate > look up groups (internal)", "POST /authenticate > look up groups > get access token (client)",
				"POST /authenticate > look up groups > getMemberGroups (client)",
			}
			if !slices.Equal(inTrace, expected) {
				t.Errorf("expected in the caller's trace\n%s\ngot\n%s", strings.Join(expected, "\n"), strings.Join(inTrace, "\n"))
			}
			own := paths(spans, func(trace string) bool { return trace != foreign })
			expected = []string{"fetch keys (internal)", "fetch keys > fetch discovery document (client)", "fetch keys > fetch key set (client)"}
			if !slices.Equal(own, expected) {
				t.Errorf("expected in a trace of its own\n%s\ngot\n%s", strings.Join(expected, "\n"), strings.Join(own, "\n"))
			}
			if heard := w.heard(); len(heard) > 0 {
				t.Errorf("others were told of the trace: %q", heard)
			}
			secrets := []string{"jane", "deployer", "pairwise", worldUser, "921b8d0f", "correct horse", "credential-of", "opaque-access-token", "eyJ"}
			for _, token := range tokens {
				secrets = append(secrets, strings.Split(token, ".")...)
			}
			for _, span := range spans {
				for _, secret := range secrets {
					if strings.Contains(span.Everything, secret) {
						t.Errorf("a span holds %q: %s", secret, span.Everything)
					}
				}
				if span.Resource["service.name"] != "tokenreview-webhook" || span.Resource["service.version"] == "" {
					t.Errorf("expected the service's name and version, got %v", span.Resource)
				}
			}
			for _, line := range []string{
				`tokenreview_graph_lookups_total{result="success",tenant="` + worldTenant + `"} 1`,
				`tokenreview_graph_lookups_total{result="cached",tenant="` + worldTenant + `"} 1`,
				`tokenreview_graph_lookup_duration_seconds_count{tenant="` + worldTenant + `"} 1`,
				`tokenreview_liveness_checks_total{kubeconfig="` + w.dir + `/kubeconfig",result="success"} 1`,
				`tokenreview_liveness_checks_total{kubeconfig="` + w.dir + `/kubeconfig",result="cached"} 1`,
				`tokenreview_liveness_check_duration_seconds_count{kubeconfig="` + w.dir + `/kubeconfig"} 1`,
				`tokenreview_issuer_keys_fetched_timestamp_seconds{issuer="main"} `,
			} {
				if !strings.Contains(metrics, line) {
					t.Errorf("expected the metric %s", line)
				}
			}
			if strings.Contains(log, "tracing") {
				t.Errorf("expected nothing about tracing in the log, got %s", log)
			}
		})
	}
}

func TestTheServerSendsNothingUnlessAskedTo(t *testing.T) {
	w, collector := newWorld(t), tracingtest.Start()
	t.Cleanup(collector.Close)
	p := w.serve(t, "--tracing-exporter=none", "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.HTTP, "OTEL_BSP_SCHEDULE_DELAY=1")
	for _, token := range w.tokens() {
		p.admits(token)
	}
	p.stop()
	if spans := collector.Spans(); len(spans) > 0 || collector.Asked() > 0 || len(w.heard()) > 0 {
		t.Errorf("expected nothing to be sent, got %v, %d requests, and %q", spans, collector.Asked(), w.heard())
	}
}

// The collector takes connections and never answers. Were it waited for, a review would
// not be answered before the test's end.
func TestACollectorThatHangsHoldsUpNeitherAnswersNorTheEnd(t *testing.T) {
	w, collector := newWorld(t), tracingtest.Start()
	asked, release := make(chan struct{}, 1000), make(chan struct{})
	collector.Answer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	}))
	t.Cleanup(collector.Close)
	t.Cleanup(func() { close(release) })
	p := w.serve(t, "--tracing-exporter=otlp-http", "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.HTTP, "OTEL_EXPORTER_OTLP_TIMEOUT=3600000",
		"OTEL_BSP_EXPORT_TIMEOUT=3600000", "OTEL_BSP_SCHEDULE_DELAY=1", "OTEL_BSP_MAX_QUEUE_SIZE=4")
	<-asked
	tokens := w.tokens()
	for range 10 {
		for _, token := range tokens {
			p.admits(token)
		}
	}
	if log := p.stop(); !strings.Contains(log, `msg=tracing err="the last spans: context deadline exceeded"`) {
		t.Errorf("expected the log to tell of the spans that are lost, got %s", log)
	}
}
