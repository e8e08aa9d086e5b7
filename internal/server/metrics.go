package server

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tokenreview.dev/webhook/pkg/audit"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// Metrics is everything that /metrics shows. Label values come from the
// configuration, the build and closed lists, never from a request.
type Metrics struct {
	// Registry is where other packages add theirs.
	Registry *prometheus.Registry

	fetches     *prometheus.CounterVec
	saves       *prometheus.CounterVec
	reloads     *prometheus.CounterVec
	audited     *prometheus.CounterVec
	lastReload  prometheus.Gauge
	reloadGood  prometheus.Gauge
	httpAnswers *prometheus.CounterVec

	graph, liveness askedMetrics
}

// NewMetrics returns the process's metrics.
func NewMetrics(version, commit string) *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokenreview_key_fetches_total",
			Help: "Fetches of an issuer's keys, discovery included, by result.",
		}, []string{"issuer", "result"}),
		saves: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokenreview_key_saves_total",
			Help: "Attempts to save an issuer's keys in the state directory, by result.",
		}, []string{"issuer", "result"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokenreview_config_reloads_total",
			Help: "Loads of the configuration file, the one at start included, by result.",
		}, []string{"result"}),
		audited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokenreview_audit_records_total",
			Help: `Decisions for the audit log by result: "written", "dropped" (too many waited, or the file could not be written) or "omitted" (refusals beyond audit.maxRefusalsPerSecond).`,
		}, []string{"result"}),
		lastReload: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tokenreview_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration in force was loaded.",
		}),
		reloadGood: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tokenreview_config_last_reload_successful",
			Help: "Whether the configuration in force is the file as it is now: 0 while that has errors.",
		}),
		httpAnswers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tokenreview_http_responses_total",
			Help: "Answers on the secure port by HTTP status code.",
		}, []string{"code"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "tokenreview_build_info",
		Help:        "Always 1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "go_version": runtime.Version()},
	})
	build.Set(1)
	for _, result := range []audit.Result{audit.Written, audit.Dropped, audit.Omitted} {
		m.audited.WithLabelValues(string(result)) // Shown before there are any: an increase needs something to increase from.
	}
	m.Registry.MustRegister(m.fetches, m.saves, m.reloads, m.audited, m.lastReload, m.reloadGood, m.httpAnswers, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.graph, m.liveness = newGraphMetrics(m.Registry), newLivenessMetrics(m.Registry)
	return m
}

// maxScrapes is how many times /metrics may be read at a time.
const maxScrapes = 8

func (m *Metrics) handler() http.Handler {
	// Only OpenMetrics has exemplars.
	return promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{Registry: m.Registry, MaxRequestsInFlight: maxScrapes, EnableOpenMetrics: true})
}

func result(err error) string {
	if err != nil {
		return "failure"
	}
	return "success"
}

// Fetched counts a fetch of an issuer's keys.
func (m *Metrics) Fetched(issuer string, err error) {
	m.fetches.WithLabelValues(issuer, result(err)).Inc()
}

// Saved counts an attempt to save an issuer's keys.
func (m *Metrics) Saved(issuer string, err error) {
	m.saves.WithLabelValues(issuer, result(err)).Inc()
}

// Audited counts what became of records for the audit log.
func (m *Metrics) Audited(result audit.Result, records int) {
	m.audited.WithLabelValues(string(result)).Add(float64(records))
}

func (m *Metrics) reloaded(err error) {
	m.reloads.WithLabelValues(result(err)).Inc()
	if err != nil {
		m.reloadGood.Set(0)
		return
	}
	m.reloadGood.Set(1)
	m.lastReload.SetToCurrentTime()
}

// countResponses counts the answers of next by status code.
func (m *Metrics) countResponses(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &codeRecorder{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(recorder, r)
		m.httpAnswers.WithLabelValues(strconv.Itoa(recorder.code)).Inc()
	})
}

type codeRecorder struct {
	http.ResponseWriter
	code int
}

func (r *codeRecorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// issuers adds how each issuer's keys are, read when somebody looks.
func (m *Metrics) issuers(reviewer *tokenreview.Reviewer) {
	m.Registry.MustRegister(&issuerCollector{
		reviewer: reviewer,
		ready: prometheus.NewDesc("tokenreview_issuer_ready",
			"Whether the issuer's tokens can be verified now.", []string{"issuer"}, nil),
		keys: prometheus.NewDesc("tokenreview_issuer_keys",
			"How many of the issuer's keys can verify a signature.", []string{"issuer"}, nil),
		age: prometheus.NewDesc("tokenreview_issuer_keys_age_seconds",
			"Time since the issuer's keys were last fetched; absent until they have been.", []string{"issuer"}, nil),
		fetched: prometheus.NewDesc("tokenreview_issuer_keys_fetched_timestamp_seconds",
			"When the issuer's keys were last fetched; absent until they have been.", []string{"issuer"}, nil),
		maxAge: prometheus.NewDesc("tokenreview_issuer_keys_max_age_seconds",
			"Age at which the issuer's keys are no longer used, its maxStaleness; absent where they do not age.", []string{"issuer"}, nil),
	})
}

type issuerCollector struct {
	reviewer         *tokenreview.Reviewer
	ready, keys, age *prometheus.Desc
	fetched, maxAge  *prometheus.Desc
}

func (c *issuerCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- c.ready
	descriptions <- c.keys
	descriptions <- c.age
	descriptions <- c.fetched
	descriptions <- c.maxAge
}

func (c *issuerCollector) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(description *prometheus.Desc, value float64, issuer string) {
		metrics <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, value, issuer)
	}
	now := time.Now()
	for _, status := range c.reviewer.Rules().Issuers.Statuses() {
		ready := 0.0
		if status.Err == nil {
			ready = 1
		}
		gauge(c.ready, ready, status.Name)
		gauge(c.keys, float64(status.Keys), status.Name)
		if !status.Fetched.IsZero() {
			gauge(c.age, now.Sub(status.Fetched).Seconds(), status.Name)
			gauge(c.fetched, float64(status.Fetched.UnixMilli())/1000, status.Name)
		}
		if status.MaxStaleness > 0 {
			gauge(c.maxAge, status.MaxStaleness.Seconds(), status.Name)
		}
	}
}

// connections adds how many connections the secure port has, and how many were closed
// because there were too many.
func (m *Metrics) connections(c *connections) {
	m.Registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tokenreview_connections",
			Help: "Connections to the secure port.",
		}, func() float64 { return float64(c.count()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tokenreview_connections_displaced_total",
			Help: "Connections to the secure port that were closed because there were more than limits.maxConnections.",
		}, func() float64 { return float64(c.displaced.Load()) }),
	)
}

// certificates adds when the certificates end.
func (m *Metrics) certificates(c *certificates) {
	expiry := func(name string, at func() time.Time) {
		m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "tokenreview_certificate_expiry_timestamp_seconds",
			Help:        "When the certificate ends; for a bundle, the first that does.",
			ConstLabels: prometheus.Labels{"certificate": name},
		}, func() float64 { return float64(at().Unix()) }))
	}
	expiry("serving", c.servingExpiry)
	if c.clientCA != nil {
		expiry("client_ca", c.clientCAExpiry)
	}
}
