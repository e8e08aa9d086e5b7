package examples_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/internal/policytest"
)

// Whoever replaces the same values on the marked lines of an example and of its
// policy test, and nothing else, has a test that passes.
func TestPolicyTestsPassWhenTheMarkedLinesAreReplaced(t *testing.T) {
	replacements := map[string][]string{
		"authentik":      {"id.example.com", "login.corp.example", "my-cluster", "prod"},
		"dex":            {"id.example.com", "login.corp.example/dex", "my-cluster", "prod"},
		"entra":          {"11111111-1111-1111-1111-111111111111", "0a000000-0000-0000-0000-00000000000a", "22222222-2222-2222-2222-222222222222", "0b000000-0000-0000-0000-00000000000b"},
		"entra-v1":       {"11111111-1111-1111-1111-111111111111", "0a000000-0000-0000-0000-00000000000a", "22222222-2222-2222-2222-222222222222", "0b000000-0000-0000-0000-00000000000b", "33333333-3333-3333-3333-333333333333", "0c000000-0000-0000-0000-00000000000c"},
		"github-actions": {"my-cluster", "prod", "1234567", "4711", "987654321", "815"},
		"gitlab":         {"https://gitlab.com", "https://git.corp.example", "my-cluster", "prod", "20", "4711", "72", "815"},
		"google":         {"123456789012-abcdefghijklmnopqrstuvwxyz012345", "4711-x", "example.com", "corp.example"},
		"keycloak":       {"id.example.com/realms/main", "login.corp.example/realms/staff", "my-cluster", "prod"},
		"kubernetes": {"kubernetes.default.svc.cluster.local", "oidc.corp.example/ci", "build.example.com", "ci.corp.example", "my-cluster", "prod",
			"build", "tools", "ci", "pipelines", "deployer", "argo", "55555555-5555-5555-5555-555555555555", "0a000000-0000-0000-0000-00000000000a"},
		"pocket-id": {"id.example.com", "login.corp.example", "22222222-2222-2222-2222-222222222222", "0b000000-0000-0000-0000-00000000000b"},
	}
	for _, example := range list(t) {
		t.Run(example.Name, func(t *testing.T) {
			values := append([]string{example.Name + ".yaml", "webhook.yaml"}, replacements[example.Name]...)
			files := map[string]string{
				"webhook.yaml":      replaceMarked(t, string(example.Text), values),
				"webhook.test.yaml": replaceMarked(t, string(example.Test), values),
			}
			read := func(path string) ([]byte, error) {
				if files[path] == "" {
					return nil, errors.New("there is no " + path)
				}
				return []byte(files[path]), nil
			}
			result := policytest.RunFile(t.Context(), "webhook.test.yaml", read, time.Now(), nil)
			if !result.Passed() {
				var text strings.Builder
				_ = policytest.WriteText(&text, []policytest.FileResult{result}, false)
				t.Error(text.String())
			}
		})
	}
}

// replaceMarked replaces values, given as old and new in turn, on the lines that are
// marked REPLACE.
func replaceMarked(t *testing.T, text string, values []string) string {
	t.Helper()
	replacer := strings.NewReplacer(values...)
	var replaced strings.Builder
	for line := range strings.Lines(text) {
		setting, comment, marked := strings.Cut(line, "# REPLACE")
		if marked && strings.TrimSpace(setting) != "" {
			after := replacer.Replace(setting)
			if after == setting {
				t.Errorf("none of %q is on a line that is marked: %s", values, line)
			}
			line = after + "# REPLACE" + comment
		}
		replaced.WriteString(line)
	}
	return replaced.String()
}
