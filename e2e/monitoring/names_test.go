package monitoring

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tokenreview.dev/webhook/pkg/reason"
)

// Prometheus itself makes these.
func ofPrometheus() map[string][]string {
	return map[string][]string{"up": nil, "ALERTS": {"alertname", "alertstate"}}
}

// expressions are all that rules and dashboard have, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, rule := range readRules(t).all() {
		all["rule "+rule.Alert+rule.Record] = rule.Expr
	}
	file := readDashboard(t)
	for _, panel := range file.panels() {
		for _, target := range panel.Targets {
			all["panel "+panel.Title+" "+target.RefID] = substitute(target.Expr)
		}
	}
	for i, annotation := range file.Annotations.List {
		if annotation.Expr != "" {
			all[fmt.Sprint("annotation ", i)] = substitute(annotation.Expr)
		}
	}
	values := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	for _, variable := range file.Templating.List {
		if variable.Type != "query" {
			continue
		}
		match := values.FindStringSubmatch(variable.Definition)
		if match == nil {
			t.Fatalf("variable %s: expected label_values(series, label), got %s", variable.Name, variable.Definition)
		}
		all["variable "+variable.Name] = fmt.Sprintf("group by (%s) (%s)", match[2], substitute(match[1]))
	}
	return all
}

// exposed are the metrics that /metrics shows, with their labels.
func exposed(metrics string) map[string][]string {
	line := regexp.MustCompile(`^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$`)
	label := regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`)
	all := map[string][]string{}
	add := func(name string, labels ...string) {
		if all[name] == nil {
			all[name] = []string{}
		}
		all[name] = append(all[name], labels...)
	}
	for text := range strings.Lines(metrics) {
		match := line.FindStringSubmatch(strings.TrimSpace(text))
		if match == nil {
			continue
		}
		add(match[1])
		for _, found := range label.FindAllStringSubmatch(match[2], -1) {
			add(match[1], found[1])
			// A histogram can be asked for as a whole.
			if name, ok := strings.CutSuffix(match[1], "_bucket"); ok && found[1] != "le" {
				add(name, found[1])
			}
		}
	}
	return all
}

func TestRulesAndDashboardNameOnlyWhatThereIs(t *testing.T) {
	there := exposed(experienced(t).metrics(t))
	for name, labels := range ofPrometheus() {
		there[name] = append([]string{}, labels...)
	}
	for _, rule := range readRules(t).all() {
		if rule.Record != "" {
			_, labels := parse(rule.Expr)
			there[rule.Record] = labels
		}
	}
	// Prometheus adds these to each series of a target, or those do who list the targets.
	ofTargets := []string{"job", "instance", "namespace", "cluster"}
	for where, expression := range expressions(t) {
		metrics, labels := parse(expression)
		if len(metrics) == 0 {
			t.Errorf("%s: names no metric: %s", where, expression)
		}
		known := slices.Clone(ofTargets)
		for _, metric := range metrics {
			have, ok := there[metric.metric]
			if !ok {
				t.Errorf("%s: there is no %s", where, metric.metric)
			}
			known = append(known, have...)
			for _, matched := range metric.labels {
				if !slices.Contains(have, matched.label) && !slices.Contains(ofTargets, matched.label) {
					t.Errorf("%s: %s has no label %s", where, metric.metric, matched.label)
				}
				if matched.label == "reason" {
					wantReasons(t, where, matched.value)
				}
			}
		}
		for _, label := range labels {
			if !slices.Contains(known, label) {
				t.Errorf("%s: nothing in it has a label %s", where, label)
			}
		}
	}
	// And what texts name: annotations with queries of their own, and the documents.
	name := regexp.MustCompile(`\btokenreview_[a-z_]+[a-z]`)
	for _, path := range []string{rulesFile, dashboard, runbook, guide} {
		for _, metric := range name.FindAllString(read(t, path), -1) {
			if there[metric] == nil && there["issuer:"+metric+":rate10m"] == nil && there["job:"+metric+":rate10m"] == nil {
				t.Errorf("%s: there is no %s", path, metric)
			}
		}
	}
}

// The table is what people look metrics up in.
func TestEveryMetricIsInTheGuide(t *testing.T) {
	described := read(t, guide)
	for name := range exposed(experienced(t).metrics(t)) {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		if strings.HasPrefix(name, "tokenreview_") && !strings.Contains(described, "`"+name) {
			t.Errorf("%s is not described", name)
		}
	}
}

func wantReasons(t *testing.T, where, pattern string) {
	t.Helper()
	for word := range strings.SplitSeq(pattern, "|") {
		if word != "Allowed" && !slices.Contains(reason.Codes(), reason.Code(word)) {
			t.Errorf("%s: there is no reason %s", where, word)
		}
	}
}

// promtool knows the language.
func TestEveryExpressionIsOne(t *testing.T) {
	var file strings.Builder
	file.WriteString("groups:\n- name: all\n  rules:\n")
	for where, expression := range expressions(t) {
		fmt.Fprintf(&file, "  - record: parsed\n    labels: {where: %q}\n    expr: %q\n", where, expression)
	}
	path := filepath.Join(t.TempDir(), "expressions.yaml")
	write(t, path, file.String())
	if out, err := exec.CommandContext(t.Context(), promtoolBinary, "check", "rules", "--lint=none", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
