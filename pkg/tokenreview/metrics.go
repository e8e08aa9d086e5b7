package tokenreview

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// noIssuer is the issuer label of tokens that are none of ours: what a token says
// of itself never becomes a label. No issuer can have this name.
const noIssuer = "-"

// Metrics counts what reviews come to. Its labels take their values from the
// configuration and from the closed list of reasons.
type Metrics struct {
	reviews  *prometheus.CounterVec
	spared   *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// NewMetrics registers the metrics of reviews.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		reviews: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokenreview_reviews_total",
			Help: `Reviews by issuer ("-" for tokens of no configured issuer) and reason ("Allowed" for accepted tokens).`,
		}, []string{"issuer", "reason"}),
		spared: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokenreview_would_refuse_total",
			Help: "Reviews in which a check of an IssuerPolicy would have refused, by the reason, but for its enforcement: Audit or an onFailure setting.",
		}, []string{"issuer", "reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tokenreview_decision_duration_seconds",
			Help:    "Time to decide about one token, without reading the request and writing the answer.",
			Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"issuer"}),
	}
	registry.MustRegister(m.reviews, m.spared, m.duration)
	return m
}

func (m *Metrics) observe(answer *Answer, took time.Duration) {
	if m == nil {
		return
	}
	issuer := answer.Issuer
	if issuer == "" {
		issuer = noIssuer
	}
	m.reviews.WithLabelValues(issuer, answer.Reason()).Inc()
	if !answer.WouldRefuse.IsZero() {
		m.spared.WithLabelValues(issuer, string(answer.WouldRefuse.Code)).Inc()
	}
	m.duration.WithLabelValues(issuer).Observe(took.Seconds())
}
