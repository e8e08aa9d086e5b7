package server_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"tokenreview.dev/webhook/internal/server"
)

func TestMetricsTellOfThoseWhoAreAsked(t *testing.T) {
	f := newFixture(t, withKeys("a"), withoutKeys("b"))
	f.run(t)
	failed := errors.New("no answer")
	for _, answered := range []struct {
		cached bool
		err    error
	}{{false, nil}, {true, nil}, {true, nil}, {false, failed}, {true, failed}} {
		f.metrics.GraphAnswered("tenant-1", answered.cached, answered.err)
		f.metrics.LivenessAnswered("/build.kubeconfig", answered.cached, answered.err)
	}
	f.metrics.GraphAsked("tenant-1", 30*time.Millisecond)
	f.metrics.LivenessAsked("/build.kubeconfig", 3*time.Second)
	_, metrics := f.get(t, "/metrics")
	for _, line := range []string{
		`tokenreview_graph_lookups_total{result="success",tenant="tenant-1"} 1`,
		`tokenreview_graph_lookups_total{result="cached",tenant="tenant-1"} 2`,
		`tokenreview_graph_lookups_total{result="failure",tenant="tenant-1"} 2`,
		`tokenreview_graph_lookup_duration_seconds_bucket{tenant="tenant-1",le="0.025"} 0`,
		`tokenreview_graph_lookup_duration_seconds_bucket{tenant="tenant-1",le="0.05"} 1`,
		`tokenreview_liveness_checks_total{kubeconfig="/build.kubeconfig",result="success"} 1`,
		`tokenreview_liveness_checks_total{kubeconfig="/build.kubeconfig",result="cached"} 2`,
		`tokenreview_liveness_checks_total{kubeconfig="/build.kubeconfig",result="failure"} 2`,
		`tokenreview_liveness_check_duration_seconds_bucket{kubeconfig="/build.kubeconfig",le="2.5"} 0`,
		`tokenreview_liveness_check_duration_seconds_bucket{kubeconfig="/build.kubeconfig",le="5"} 1`,
		`tokenreview_issuer_keys_fetched_timestamp_seconds{issuer="a"} `,
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("expected %s", line)
		}
	}
	if strings.Contains(metrics, `keys_fetched_timestamp_seconds{issuer="b"}`) {
		t.Error("expected no time for keys that never were")
	}
}

func TestDurationsAreNativeHistogramsToo(t *testing.T) {
	metrics := server.NewMetrics("", "")
	metrics.GraphAsked("tenant-1", 30*time.Millisecond)
	metrics.LivenessAsked("/build.kubeconfig", time.Second)
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	native := map[string]bool{}
	for _, family := range families {
		if family.GetType() != dto.MetricType_HISTOGRAM {
			continue
		}
		for _, metric := range family.GetMetric() {
			// 3 is the schema of the factor 1.1: 2 to the power of 1/8 for each bucket.
			native[family.GetName()] = metric.GetHistogram().GetSchema() == 3 && len(metric.GetHistogram().GetPositiveSpan()) > 0
		}
	}
	for _, name := range []string{"tokenreview_graph_lookup_duration_seconds", "tokenreview_liveness_check_duration_seconds"} {
		if !native[name] {
			t.Errorf("expected %s to be a native histogram", name)
		}
	}
}
