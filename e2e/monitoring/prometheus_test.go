package monitoring

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
)

// patience is more than Prometheus takes for anything that it does every second.
const patience = time.Minute

// A Prometheus as it comes, and one that keeps native histograms and exemplars.
func TestARealPrometheus(t *testing.T) {
	webhook := experienced(t)
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	plain := webhook.StartPrometheus(t, prometheusBinary, rules)
	native := webhook.StartPrometheus(t, prometheusBinary, rules, "native-histograms", "exemplar-storage")
	for _, test := range []struct {
		name       string
		prometheus *cluster.Prometheus
	}{
		{"as it comes", plain},
		{"with native histograms and exemplars", native},
	} {
		t.Run(test.name, func(t *testing.T) {
			eventually(t, "the webhook is scraped", func() error { return scraped(t, test.prometheus) })
			eventually(t, "every rule is evaluated, without an error", func() error { return evaluated(t, test.prometheus) })
			eventually(t, "the reviews are counted", func() error { return counted(t, test.prometheus) })
			eventually(t, "the alerts for what has happened are active", func() error {
				return active(t, test.prometheus, "TokenReviewConfigurationRejected", "TokenReviewIssuerWithoutKeys")
			})
			eventually(t, "every panel of the dashboard can be drawn", func() error { return drawn(t, webhook, test.prometheus) })
		})
	}
	t.Run("which keeps native histograms", func(t *testing.T) {
		eventually(t, "the histogram is a native one", func() error {
			samples, err := native.Query(t, `histogram_count(sum(tokenreview_decision_duration_seconds))`)
			if err == nil && (len(samples) != 1 || samples[0].Value[1] != fmt.Sprint(reviews())) {
				err = fmt.Errorf("expected it to have %d reviews, got %v", reviews(), samples)
			}
			return err
		})
	})
	t.Run("which keeps exemplars", func(t *testing.T) {
		eventually(t, "a decision has the id of its request", func() error {
			var series []struct {
				Exemplars []struct{ Labels map[string]string }
			}
			err := native.Get(t, "query_exemplars", map[string]string{
				"query": `{__name__=~"tokenreview_decision_duration_seconds.*"}`,
				"start": fmt.Sprint(webhook.Started().Unix()), "end": fmt.Sprint(time.Now().Add(time.Minute).Unix()),
			}, &series)
			if err != nil {
				return err
			}
			for _, s := range series {
				for _, exemplar := range s.Exemplars {
					if exemplar.Labels["request_id"] != "" {
						return nil
					}
				}
			}
			return fmt.Errorf("expected an exemplar with a request_id, got %v", series)
		})
	})
}

func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	cluster.Eventually(t, what, patience, condition)
}

// reviews is how many reviews there were.
func reviews() int {
	sum := 0
	for _, count := range reviewed() {
		n := 0
		_, _ = fmt.Sscan(count, &n)
		sum += n
	}
	return sum
}

func scraped(t *testing.T, prometheus *cluster.Prometheus) error {
	var targets struct {
		ActiveTargets []struct{ Health, LastError string }
	}
	if err := prometheus.Get(t, "targets", nil, &targets); err != nil {
		return err
	}
	if len(targets.ActiveTargets) != 1 || targets.ActiveTargets[0].Health != "up" {
		return fmt.Errorf("expected one target that is up, got %+v", targets.ActiveTargets)
	}
	return nil
}

func evaluated(t *testing.T, prometheus *cluster.Prometheus) error {
	var rules struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := prometheus.Get(t, "rules", nil, &rules); err != nil {
		return err
	}
	count := 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			count++
			if rule.Health != "ok" {
				return fmt.Errorf("expected every rule to be well, got %+v", rule)
			}
		}
	}
	if want := len(readRules(t).all()); count != want {
		return fmt.Errorf("expected %d rules, got %d", want, count)
	}
	return nil
}

func counted(t *testing.T, prometheus *cluster.Prometheus) error {
	samples, err := prometheus.Query(t, "tokenreview_reviews_total")
	if err != nil {
		return err
	}
	got := map[string]string{}
	for _, sample := range samples {
		got[sample.Metric["issuer"]+" "+sample.Metric["reason"]] = fmt.Sprint(sample.Value[1])
	}
	if !maps.Equal(got, reviewed()) {
		return fmt.Errorf("expected %v, got %v", reviewed(), got)
	}
	return nil
}

// active is nil if these alerts wait for their time or fire, and no other critical one.
func active(t *testing.T, prometheus *cluster.Prometheus, names ...string) error {
	var alerts struct {
		Alerts []struct {
			Labels map[string]string
			State  string
		}
	}
	if err := prometheus.Get(t, "alerts", nil, &alerts); err != nil {
		return err
	}
	var all []string
	var errs []error
	for _, alert := range alerts.Alerts {
		name := alert.Labels["alertname"]
		all = append(all, name)
		if alert.Labels["severity"] == "critical" && !slices.Contains(names, name) {
			errs = append(errs, fmt.Errorf("expected no %s: %v", name, alert))
		}
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			errs = append(errs, fmt.Errorf("expected %s, got %v", name, all))
		}
	}
	return errors.Join(errs...)
}

// drawn is nil if Prometheus evaluates what each panel of the dashboard asks for, and
// has something to show in those panels that draw what has happened.
func drawn(t *testing.T, webhook *webhook, prometheus *cluster.Prometheus) error {
	shown := webhook.metrics(t)
	var errs []error
	for _, panel := range readDashboard(t).panels() {
		for _, target := range panel.Targets {
			samples, err := prometheus.Query(t, substitute(target.Expr))
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("%s: %w", panel.Title, err))
			case len(samples) == 0 && happened(shown, target.Expr):
				errs = append(errs, fmt.Errorf("%s: expected something to be shown by %s", panel.Title, target.Expr))
			}
		}
	}
	return errors.Join(errs...)
}

// happened reports whether the webhook shows the metrics that an expression names.
func happened(metrics, expression string) bool {
	there := exposed(metrics)
	for _, reference := range references(expression) {
		if there[reference.metric] == nil {
			return false
		}
	}
	return true
}
