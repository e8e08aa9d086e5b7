package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// askedMetrics are about those who are asked while a token is decided: how many answers
// there were, and how long a question took.
type askedMetrics struct {
	answers *prometheus.CounterVec
	took    *prometheus.HistogramVec
}

func newAskedMetrics(registry prometheus.Registerer, answers, took, label, answersHelp, tookHelp string) askedMetrics {
	m := askedMetrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: answers, Help: answersHelp}, []string{label, "result"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: took, Help: tookHelp,
			// A question takes a connection's time at least, and 5 s at most.
			Buckets:                         []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{label}),
	}
	registry.MustRegister(m.answers, m.took)
	return m
}

func (m askedMetrics) answered(name string, cached bool, err error) {
	outcome := result(err)
	if cached && err == nil {
		outcome = "cached"
	}
	m.answers.WithLabelValues(name, outcome).Inc()
}

func newGraphMetrics(registry prometheus.Registerer) askedMetrics {
	return newAskedMetrics(registry, "tokenreview_graph_lookups_total", "tokenreview_graph_lookup_duration_seconds", "tenant",
		"Lookups of somebody's groups, by the Entra tenant and what came of them: an answer of Microsoft Graph's (success), a remembered one (cached), or none (failure).",
		"How long Microsoft took for a lookup of groups, the access token included; a lookup that asked nobody is not counted.")
}

func newLivenessMetrics(registry prometheus.Registerer) askedMetrics {
	return newAskedMetrics(registry, "tokenreview_liveness_checks_total", "tokenreview_liveness_check_duration_seconds", "kubeconfig",
		"Checks whether a token is still alive, by the kubeconfig and what came of them: an answer of the cluster's, whichever (success), a remembered one (cached), or none (failure).",
		"How long the cluster took to say whether a token is alive; a check that asked nobody is not counted.")
}

// GraphAnswered counts a lookup of groups in a tenant.
func (m *Metrics) GraphAnswered(tenant string, cached bool, err error) {
	m.graph.answered(tenant, cached, err)
}

// GraphAsked counts how long Microsoft took.
func (m *Metrics) GraphAsked(tenant string, took time.Duration) {
	m.graph.took.WithLabelValues(tenant).Observe(took.Seconds())
}

// LivenessAnswered counts a check whether a token is alive.
func (m *Metrics) LivenessAnswered(kubeconfig string, cached bool, err error) {
	m.liveness.answered(kubeconfig, cached, err)
}

// LivenessAsked counts how long the cluster took.
func (m *Metrics) LivenessAsked(kubeconfig string, took time.Duration) {
	m.liveness.took.WithLabelValues(kubeconfig).Observe(took.Seconds())
}
