package tokenreview

import (
	"cmp"
	"slices"
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
	cached   *prometheus.CounterVec
	spared   *prometheus.CounterVec
	duration *prometheus.HistogramVec
	shed     *prometheus.CounterVec
	// buckets are the upper bounds of duration's.
	buckets   []float64
	exemplars exemplars
	registry  prometheus.Registerer
}

// NewMetrics registers the metrics of reviews.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	buckets := []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	m := &Metrics{
		buckets: buckets,
		reviews: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokenreview_reviews_total",
			Help: `Reviews by issuer ("-" for tokens of no configured issuer) and reason ("Allowed" for accepted tokens).`,
		}, []string{"issuer", "reason"}),
		cached: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokenreview_cached_reviews_total",
			Help: "Reviews that used a decision which was made for another request about the same token.",
		}, []string{"issuer"}),
		spared: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokenreview_would_refuse_total",
			Help: "Reviews in which a check of an IssuerPolicy would have refused, by the reason, but for its enforcement: Audit or an onFailure setting.",
		}, []string{"issuer", "reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tokenreview_decision_duration_seconds",
			Help:    "Time to decide about one token, without reading the request and writing the answer.",
			Buckets: buckets,
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
	registry.MustRegister(m.reviews, m.cached, m.spared, m.duration, m.shed)
	return m
}

// of adds how many requests to a reviewer are under way, and how many decisions it
// remembers.
func (m *Metrics) of(r *Reviewer) {
	if m == nil {
		return
	}
	for outcome, remembered := range map[string]func(*decisions) int{
		"allowed": func(d *decisions) int { return d.allowed.len() },
		"refused": func(d *decisions) int { return d.refused.len() },
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tokenreview_cached_decisions", ConstLabels: prometheus.Labels{"outcome": outcome},
			Help: "Decisions that are remembered, whether or not they still hold.",
		}, func() float64 { return float64(remembered(r.inForce.Load().decisions)) }))
	}
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tokenreview_requests_in_flight",
		Help: "Requests that are under way.",
	}, func() float64 { return float64(r.requests.count()) }))
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

// observe counts one decision. Exemplars carry the id of the request, with which the audit
// log tells the rest.
func (m *Metrics) observe(answer *Answer, question *question) {
	if m == nil {
		return
	}
	issuer := orNoIssuer(answer.Issuer)
	m.count(m.reviews.WithLabelValues(issuer, answer.Reason()), question)
	if answer.Cached {
		m.cached.WithLabelValues(issuer).Inc()
	}
	if !answer.WouldRefuse.IsZero() {
		m.count(m.spared.WithLabelValues(issuer, string(answer.WouldRefuse.Code)), question)
	}
	duration, took := m.duration.WithLabelValues(issuer), question.took.Seconds()
	bucket, _ := slices.BinarySearch(m.buckets, took)
	if m.exemplars.due(duration, bucket, question.at) {
		duration.(prometheus.ExemplarObserver).ObserveWithExemplar(took, exemplar(question))
	} else {
		duration.Observe(took)
	}
}

func (m *Metrics) count(counter prometheus.Counter, question *question) {
	if m.exemplars.due(counter, 0, question.at) {
		counter.(prometheus.ExemplarAdder).AddWithExemplar(1, exemplar(question))
	} else {
		counter.Inc()
	}
}

func exemplar(question *question) prometheus.Labels {
	return prometheus.Labels{"request_id": question.id}
}
