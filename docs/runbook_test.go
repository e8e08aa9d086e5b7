package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Whoever is woken by an alert follows its link.
func TestEveryAlertHasItsSectionInTheRunbookAndEverySectionItsAlert(t *testing.T) {
	read := func(path ...string) string {
		text, err := os.ReadFile(filepath.Join(path...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	rules := read(root, "manifests", "monitoring", "prometheus-rules.yaml")
	var alerts, sections []string
	for _, match := range regexp.MustCompile(`(?m)^  - alert: (\S+)$`).FindAllStringSubmatch(rules, -1) {
		alerts = append(alerts, match[1])
		if link := "runbook_url: docs/runbook.md#" + anchor(match[1]) + "\n"; strings.Count(rules, link) != 1 {
			t.Errorf("expected one %s", link)
		}
	}
	// What every section tells, in this order.
	parts := regexp.MustCompile(`(?s)\*\*Means\*\* that .*\*\*[Uu]sers\s+notice\*\*.*\*\*Look(\*\*.*\*\*Do| and do)\*\*`)
	_, text, _ := strings.Cut(read("runbook.md"), "\n## ")
	for section := range strings.SplitSeq(text, "\n## ") {
		name, content, _ := strings.Cut(section, "\n")
		sections = append(sections, name)
		if !parts.MatchString(content) {
			t.Errorf("%s: expected what it means, what users notice, where to look and what to do", name)
		}
	}
	if len(alerts) == 0 {
		t.Error("expected alerts")
	}
	slices.Sort(alerts)
	slices.Sort(sections)
	if !slices.Equal(alerts, sections) {
		t.Errorf("expected sections for %q, got %q", alerts, sections)
	}
}

// What a page tells people to look for in the log has to be logged.
func TestEveryLogLineThatTheRunbookNamesIsLogged(t *testing.T) {
	text, err := os.ReadFile("runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	walk(t, ".go", func(path, text string) {
		if !strings.HasSuffix(path, "_test.go") {
			code.WriteString(text)
		}
	})
	ofTheAPIServer := []string{"Unable to authenticate the request", "Failed to make webhook authenticator request"}
	named := 0
	for _, match := range regexp.MustCompile("`([A-Za-z]+(?:\\s[A-Za-z]+){2,})`").FindAllStringSubmatch(string(text), -1) {
		line := strings.Join(strings.Fields(match[1]), " ")
		named++
		if !strings.Contains(code.String(), line) && !slices.Contains(ofTheAPIServer, line) {
			t.Errorf("nothing logs %q", line)
		}
	}
	if named < 10 {
		t.Errorf("expected log lines to be named, found %d", named)
	}
}
