package tokenreview

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tokenreview.dev/webhook/pkg/reason"
)

// Decisions of an issuer that are slower, or come to something else, are not hidden by
// those that are usual.
func TestEachSeriesAndBucketHasAnExemplarOfItsOwn(t *testing.T) {
	registry := prometheus.NewRegistry()
	metrics := NewMetrics(registry)
	at := time.Now()
	expired := reason.Refusal{Code: "Expired"}
	for _, decision := range []struct {
		id     string
		answer Answer
		took   time.Duration
	}{
		{"usual", Answer{Issuer: "main"}, time.Millisecond},
		{"hidden", Answer{Issuer: "main"}, time.Millisecond},
		{"slow", Answer{Issuer: "main"}, time.Second},
		{"slower than all buckets", Answer{Issuer: "main"}, time.Minute},
		{"refused", Answer{Issuer: "main", Refusal: expired}, time.Millisecond},
		{"spared", Answer{Issuer: "main", WouldRefuse: expired}, time.Millisecond},
		{"other issuer", Answer{Issuer: "other"}, time.Millisecond},
	} {
		metrics.observe(&decision.answer, &question{id: decision.id, at: at, took: decision.took})
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found, counted := map[string]bool{}, 0.0
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if exemplar := metric.GetCounter().GetExemplar(); exemplar != nil {
				found[exemplar.GetLabel()[0].GetValue()] = true
			}
			for _, bucket := range metric.GetHistogram().GetBucket() {
				if exemplar := bucket.GetExemplar(); exemplar != nil {
					found[exemplar.GetLabel()[0].GetValue()] = true
				}
			}
			for _, exemplar := range metric.GetHistogram().GetExemplars() {
				found[exemplar.GetLabel()[0].GetValue()] = true
			}
			counted += float64(metric.GetHistogram().GetSampleCount())
		}
	}
	if counted != 7 {
		t.Errorf("expected all seven to be counted, got %g", counted)
	}
	for _, id := range []string{"usual", "slow", "slower than all buckets", "refused", "spared", "other issuer"} {
		if !found[id] {
			t.Errorf("%s is no exemplar", id)
		}
	}
	if found["hidden"] {
		t.Error("a second exemplar within a second")
	}
}
