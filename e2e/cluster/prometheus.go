package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	neturl "net/url"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Prometheus is a running Prometheus that scrapes one webhook.
type Prometheus struct {
	*Process
	address string
}

// PrometheusPrograms finds prometheus and promtool, which nobody builds here.
func PrometheusPrograms() (prometheus, promtool string, err error) {
	prometheus, err = exec.LookPath("prometheus")
	if err == nil {
		promtool, err = exec.LookPath("promtool")
	}
	if err != nil {
		return "", "", fmt.Errorf("install Prometheus 2.40 or later with promtool (Debian, Ubuntu: apt-get install --no-install-recommends prometheus): %w", err)
	}
	return prometheus, promtool, nil
}

// StartPrometheus starts the program at path with rules, and has it scrape the
// process every second as a target of the job "webhook". It does not wait for that.
func (p *WebhookProcess) StartPrometheus(t *testing.T, path, rules string, features ...string) *Prometheus {
	t.Helper()
	target, err := neturl.Parse(p.health)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	configuration := filepath.Join(dir, "prometheus.yml")
	// JSON is YAML.
	write(t, configuration, Documents(t, map[string]any{
		"global":     map[string]any{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
		"rule_files": []string{rules},
		"scrape_configs": []any{map[string]any{
			"job_name":       "webhook",
			"static_configs": []any{map[string]any{"targets": []string{target.Host}}},
		}},
	}))
	prometheus := &Prometheus{}
	startOnPorts(t, time.Minute, 1, func(ports []int) (*Process, func() error) {
		prometheus.address = url("http", ports[0], "")
		args := []string{
			"--config.file=" + configuration,
			"--storage.tsdb.path=" + filepath.Join(dir, "data"),
			fmt.Sprintf("--web.listen-address=%s:%d", loopback, ports[0]),
		}
		for _, feature := range features {
			args = append(args, "--enable-feature="+feature)
		}
		prometheus.Process = start(t, "prometheus", path, args...)
		return prometheus.Process, func() error { return getOK(t.Context(), http.DefaultClient, prometheus.address+"/-/ready") }
	})
	return prometheus
}

// Get asks Prometheus' API and puts the answer's data into data.
func (p *Prometheus) Get(t *testing.T, path string, query map[string]string, data any) error {
	t.Helper()
	values := neturl.Values{}
	for name, value := range query {
		values.Set(name, value)
	}
	_, body, err := get(t.Context(), http.DefaultClient, p.address+"/api/v1/"+path+"?"+values.Encode())
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return fmt.Errorf("GET %s: %w: %s", path, err, body)
	}
	if answer.Status != "success" {
		return fmt.Errorf("GET %s: %s", path, answer.Error)
	}
	return nil
}

// Sample is one series of a query's result.
type Sample struct {
	Metric map[string]string
	// Value is the time and the value, a string; absent for a native histogram.
	Value [2]any
	// Histogram is there instead of the value for a native histogram.
	Histogram []any
}

// Query evaluates an expression now.
func (p *Prometheus) Query(t *testing.T, expression string) ([]Sample, error) {
	t.Helper()
	var result struct {
		ResultType string
		Result     json.RawMessage
	}
	if err := p.Get(t, "query", map[string]string{"query": expression}, &result); err != nil {
		return nil, fmt.Errorf("%s: %w", expression, err)
	}
	if result.ResultType != "vector" {
		return nil, fmt.Errorf("%s: expected a vector, got a %s", expression, result.ResultType)
	}
	var samples []Sample
	return samples, json.Unmarshal(result.Result, &samples)
}
