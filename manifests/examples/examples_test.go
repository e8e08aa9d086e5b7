package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/internal/policytest"
	"tokenreview.dev/webhook/manifests/examples"
	"tokenreview.dev/webhook/pkg/config"
)

func list(t *testing.T) []examples.Example {
	t.Helper()
	list, err := examples.List()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// What nobody has embedded cannot be printed.
func TestEveryFileIsEmbedded(t *testing.T) {
	want, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, example := range list(t) {
		got = append(got, example.Name+".yaml", example.Name+".test.yaml")
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the examples are %q, the folder has %q", got, want)
	}
}

var (
	title    = regexp.MustCompile(`^# .{20,80}\.$`)
	reserved = regexp.MustCompile(`(?m)^[^#]*["' ]system:`)
)

func TestExamplesAreValidAndHaveAPolicy(t *testing.T) {
	for _, example := range list(t) {
		t.Run(example.Name, func(t *testing.T) {
			loaded, err := config.Parse(example.Name, example.Text)
			if err != nil {
				t.Fatal(err)
			}
			if len(loaded.Warnings) > 0 {
				t.Error(loaded.Warnings)
			}
			if len(loaded.Issuers) != 1 || loaded.Issuers[0].Policy.Issuer == "" {
				t.Error("expected one issuer, with an IssuerPolicy")
			}
			if first, _, _ := strings.Cut(string(example.Text), "\n"); !title.MatchString(first) {
				t.Errorf("the first line does not say what the file is: %s", first)
			}
			if !strings.Contains(string(example.Text), "# REPLACE") {
				t.Error("no line is marked REPLACE")
			}
			if name := reserved.FindString(string(example.Text)); name != "" {
				t.Errorf("a name of Kubernetes' own: %s", name)
			}
		})
	}
}

// Each example says by its PolicyTest who gets in and who does not.
func TestExamplesDoWhatTheirPolicyTestsSay(t *testing.T) {
	for _, example := range list(t) {
		t.Run(example.Name, func(t *testing.T) {
			result := policytest.RunFile(t.Context(), example.Name+".test.yaml", os.ReadFile, time.Now(), nil)
			if result.Passed() {
				return
			}
			var text strings.Builder
			if err := policytest.WriteText(&text, []policytest.FileResult{result}, false); err != nil {
				t.Fatal(err)
			}
			t.Error(text.String())
		})
	}
}

// What stands in an example as a comment, to be taken in the place of something
// else, has to be valid there.
func TestAlternativesOfExamplesAreValid(t *testing.T) {
	resolve := []string{
		"    groupOverage: Deny\n", "",
		"# groupOverage: Resolve", "groupOverage: Resolve",
		"# graph:", "graph:",
		"#   clientID:", "  clientID:",
		"#   clientSecretFile:", "  clientSecretFile:",
	}
	tests := []struct {
		name, example string
		replace       []string
	}{
		{"narrower rules for workflows", "github-actions", []string{
			"# environments:", "environments:", "# workflows:", "workflows:", "# runnerEnvironments:", "runnerEnvironments:"}},
		{"Microsoft Graph for v2 tokens", "entra", resolve},
		{"clients of access tokens", "entra", []string{"# clientIDs:", "clientIDs:"}},
		{"Microsoft Graph for v1 tokens", "entra-v1", resolve},
		{"asking the other cluster", "kubernetes", []string{
			"    liveness: Signature\n", "", "# liveness: TokenReview", "liveness: TokenReview", "# kubeconfig: /", "kubeconfig: /"}},
		{"the other cluster's keys in a file", "kubernetes", []string{
			"    discoveryURL:", "    #", "# keys:", "keys:", "#   jwksFile:", "  jwksFile:"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data, err := examples.Files.ReadFile(test.example + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			text := string(data)
			for i := 0; i < len(test.replace); i += 2 {
				if strings.Count(text, test.replace[i]) != 1 {
					t.Fatalf("expected %q once", test.replace[i])
				}
				text = strings.Replace(text, test.replace[i], test.replace[i+1], 1)
			}
			loaded, err := config.Parse(test.example, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if len(loaded.Warnings) > 0 {
				t.Error(loaded.Warnings)
			}
		})
	}
}
