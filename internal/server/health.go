package server

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"

	"tokenreview.dev/webhook/pkg/audit"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// Health tells kubelets and people how the server is. It is safe for concurrent
// use.
type Health struct {
	reviewer     *tokenreview.Reviewer
	audit        *audit.Log
	metrics      *Metrics
	shuttingDown atomic.Bool
	reloadErr    atomic.Pointer[error]
}

// NewHealth returns the health of a server that decides through reviewer and writes it
// down in audit, nil for nowhere.
func NewHealth(reviewer *tokenreview.Reviewer, audit *audit.Log, metrics *Metrics) *Health {
	metrics.issuers(reviewer)
	return &Health{reviewer: reviewer, audit: audit, metrics: metrics}
}

// Reloaded records how a reload of the configuration came out.
func (h *Health) Reloaded(err error) {
	h.metrics.reloaded(err)
	if err == nil {
		h.reloadErr.Store(nil)
		return
	}
	h.reloadErr.Store(&err)
}

func (h *Health) handler() http.Handler {
	router := mux.NewRouter()
	router.HandleFunc("/livez", h.livez).Methods(http.MethodGet, http.MethodHead)
	router.HandleFunc("/readyz", h.readyz).Methods(http.MethodGet, http.MethodHead)
	router.Handle("/metrics", h.metrics.handler()).Methods(http.MethodGet, http.MethodHead)
	return router
}

// livez says that the process serves. It stays well while issuers are away: a
// restart would not bring them back.
func (h *Health) livez(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, "ok")
}

// readyz says whether answers are worth having: the configuration is loaded, the
// keys of at least one issuer are there, and the server is not shutting down. It
// tells every check if asked to (?verbose) or not ready.
//
// It is not k8s.io/apiserver's healthz, where any failing check makes the whole
// fail and its reason is withheld: one issuer's outage must not take the others'
// users with it.
func (h *Health) readyz(w http.ResponseWriter, r *http.Request) {
	var report bytes.Buffer
	ready := h.report(&report, time.Now())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case !ready:
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintf(w, "%sreadyz check failed\n", report.Bytes())
	case r.URL.Query().Has("verbose"):
		_, _ = fmt.Fprintf(w, "%sreadyz check passed\n", report.Bytes())
	default:
		_, _ = fmt.Fprintln(w, "ok")
	}
}

// report writes a line per check, in the form of kube-apiserver's /readyz?verbose.
func (h *Health) report(w *bytes.Buffer, now time.Time) (ready bool) {
	passed := func(check, detail string) { fmt.Fprintf(w, "[+]%s ok%s\n", check, detail) }
	failed := func(check string, err string) {
		fmt.Fprintf(w, "[-]%s failed: %s\n", check, strings.ReplaceAll(err, "\n", "\n    "))
	}
	if err := h.reloadErr.Load(); err != nil {
		failed("configuration", "the file has errors, so the configuration from before goes on:\n"+(*err).Error())
	} else {
		passed("configuration", "")
	}
	withKeys := 0
	statuses := h.reviewer.Rules().Issuers.Statuses()
	for _, status := range statuses {
		check := "issuer/" + status.Name
		have := fmt.Sprintf(": %d keys, %s old", status.Keys, now.Sub(status.Fetched).Round(time.Second))
		if status.Restored {
			have += ", from the state directory"
		}
		for _, skipped := range status.Skipped {
			have += fmt.Sprintf("; not used: %v", skipped)
		}
		if status.SaveErr != nil {
			// Answers are as good as ever; but the next process may have to do without.
			failed("state/"+status.Name, status.SaveErr.Error())
		}
		switch {
		case status.Err != nil:
			failed(check, status.Err.Error())
			continue
		case status.LastErr != nil:
			passed(check, fmt.Sprintf("%s; the last fetch failed: %v", have, status.LastErr))
		default:
			passed(check, have)
		}
		withKeys++
	}
	switch {
	case withKeys > 0:
		passed("issuers", "")
	case len(statuses) == 0:
		failed("issuers", "no issuer is configured")
	default:
		failed("issuers", "the keys of no issuer are there")
	}
	if err := h.audit.Problem(); err != nil {
		// Nobody is kept out for it.
		failed("audit", err.Error())
	}
	if h.shuttingDown.Load() {
		failed("shutdown", "the server is shutting down")
		return false
	}
	passed("shutdown", "")
	return withKeys > 0
}
