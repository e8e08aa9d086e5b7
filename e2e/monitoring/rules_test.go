package monitoring

import (
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestEveryAlertSaysWhatIsTheMatter(t *testing.T) {
	for _, alert := range readRules(t).alerts() {
		if severity := alert.Labels["severity"]; !slices.Contains([]string{"critical", "warning", "info"}, severity) {
			t.Errorf("%s: expected a severity, got %q", alert.Alert, severity)
		}
		for _, annotation := range []string{"summary", "description", "runbook_url"} {
			if alert.Annotations[annotation] == "" {
				t.Errorf("%s: expected a %s", alert.Alert, annotation)
			}
		}
	}
}

// promtool runs the tests; here is made sure that none is missing.
func TestEveryAlertHasACaseThatItFiresForAndANearMiss(t *testing.T) {
	type file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []any `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	paths, err := filepath.Glob(manifests + "/*.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fires, misses := map[string]bool{}, map[string]bool{}
	for _, path := range paths {
		var tests file
		if err := yaml.Unmarshal([]byte(read(t, path)), &tests); err != nil {
			t.Fatal(err)
		}
		for _, test := range tests.Tests {
			for _, check := range test.AlertRuleTest {
				if len(check.ExpAlerts) > 0 {
					fires[check.Alertname] = true
				} else {
					misses[check.Alertname] = true
				}
			}
		}
	}
	for _, alert := range readRules(t).alerts() {
		if !fires[alert.Alert] || !misses[alert.Alert] {
			t.Errorf("%s: fires in a test: %t, does not in another: %t", alert.Alert, fires[alert.Alert], misses[alert.Alert])
		}
	}
}

// codeBlock is the one of the guide that has a text in it.
func codeBlock(t *testing.T, containing string) string {
	t.Helper()
	for _, match := range regexp.MustCompile("(?s)\n```\\w*\n(.*?)```").FindAllStringSubmatch(read(t, guide), -1) {
		if strings.Contains(match[1], containing) {
			return match[1]
		}
	}
	t.Fatalf("%s: expected a block with %q", guide, containing)
	return ""
}

func TestTheRulesBecomeAPrometheusRuleAsTheGuideSays(t *testing.T) {
	dir := t.TempDir()
	script := strings.ReplaceAll(codeBlock(t, "PrometheusRule"), "> prometheusrule.yaml", "> "+filepath.Join(dir, "prometheusrule.yaml"))
	command := exec.CommandContext(t.Context(), "sh", "-ec", script)
	command.Dir = manifests
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got, want struct {
		Kind   string
		Spec   map[string]any
		Groups any
	}
	for path, into := range map[string]any{filepath.Join(dir, "prometheusrule.yaml"): &got, rulesFile: &want} {
		if err := yaml.Unmarshal([]byte(read(t, path)), into); err != nil {
			t.Fatal(err)
		}
	}
	if got.Kind != "PrometheusRule" || len(got.Spec) != 1 || !reflect.DeepEqual(got.Spec["groups"], want.Groups) {
		t.Errorf("expected a PrometheusRule with the groups of the rule file, got %+v", got)
	}
}

func TestThePrometheusConfigurationOfTheGuideIsOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prometheus.yml")
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.ReplaceAll(codeBlock(t, "scrape_configs:"), "- prometheus-rules.yaml", "- "+rules))
	out, err := exec.CommandContext(t.Context(), promtoolBinary, "check", "config", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "rules found") {
		t.Errorf("expected a configuration with rules: %v\n%s", err, out)
	}
}
