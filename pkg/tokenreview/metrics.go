package tokenreview

import (
	"cmp"
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
	shed     *prometheus.CounterVec
	registry prometheus.Registerer
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
			// Beside the buckets above, for Prometheus servers that take native histograms.
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"issuer"}),
		shed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokenreview_requests_shed_total",
			Help: `Requests answered 429: "-" for those beyond limits.maxRequestsInFlight, an issuer for its tokens beyond its part of it.`,
		}, []string{"issuer"}),
		registry: registry,
	}
	registry.MustRegister(m.reviews, m.spared, m.duration, m.shed)
	return m
}

// requests adds how many requests are under way.
func (m *Metrics) requests(underWay *gate) {
	if m == nil {
		return
	}
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tokenreview_requests_in_flight",
		Help: "Requests that are under way.",
	}, func() float64 { return float64(underWay.count()) }))
}

// overloaded counts a request that is answered 429; no issuer means that all
// together were too many.
func (m *Metrics) overloaded(issuer string) {
	if m == nil {
		return
	}
	m.shed.WithLabelValues(orNoIssuer(issuer)).Inc()
}

// orNoIssuer is the issuer label for an issuer's name, which is empty for tokens that
// are none of ours.
func orNoIssuer(name string) string { return cmp.Or(name, noIssuer) }

// observe counts one decision. An exemplar of each count carries the id of the request,
// with which the audit log tells the rest.
func (m *Metrics) observe(answer *Answer, question *question) {
	if m == nil {
		return
	}
	issuer, exemplar := orNoIssuer(answer.Issuer), prometheus.Labels{"request_id": question.id}
	add := func(counter prometheus.Counter) { counter.(prometheus.ExemplarAdder).AddWithExemplar(1, exemplar) }
	add(m.reviews.WithLabelValues(issuer, answer.Reason()))
	if !answer.WouldRefuse.IsZero() {
		add(m.spared.WithLabelValues(issuer, string(answer.WouldRefuse.Code)))
	}
	m.duration.WithLabelValues(issuer).(prometheus.ExemplarObserver).ObserveWithExemplar(question.took.Seconds(), exemplar)
}
