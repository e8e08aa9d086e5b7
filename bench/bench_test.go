package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == nullCommand {
		main() // The null server is this program once more.
		return
	}
	os.Exit(m.Run())
}

// No number is looked at: a machine may be as slow as it likes.
func TestAShortRunReportsEverything(t *testing.T) {
	dir := t.TempDir()
	webhook := filepath.Join(dir, "webhook")
	if said, err := exec.Command("go", "build", "-buildvcs=false", "-o", webhook, "../cmd/webhook").CombinedOutput(); err != nil {
		t.Fatalf("build the webhook: %v\n%s", err, said)
	}
	out, temporary := filepath.Join(dir, "performance.md"), t.TempDir()
	t.Setenv("TMPDIR", temporary)
	if err := command(t.Context(), []string{"-short", "-webhook", webhook, "-out", out}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for section, rows := range map[string][]string{
		"## Must reach": {
			"uncached decision, against the check of the signature alone (`rsa.VerifyPKCS1v15`, hash included)",
			"uncached decision, against kube-apiserver's own authenticator",
			"allocations of an uncached decision",
			"cached decision",
			"allocations of a cached decision",
			"HTTPS throughput, one token repeated",
			"p99 meanwhile, one token repeated",
			"HTTPS throughput, every token new",
			"p99 meanwhile, every token new",
			"start of the process to ready, 3 issuers on loopback",
			"memory (RSS) of the process after 300 distinct tokens",
		},
		"## Over HTTPS": {
			"16 clients over one connection, as an API server asks | null server",
			"16 clients over one connection, as an API server asks | one token repeated",
			"16 clients over one connection, as an API server asks | every token new",
			"16 clients, each with a connection | null server",
			"16 clients, each with a connection | one token repeated",
			"16 clients, each with a connection | every token new",
		},
		"## What it does not depend on": {
			"issuers, uncached decision",
			"rules in `githubActions.allow`, uncached decision",
			"keys of the issuer, uncached decision",
			"groups in the token, uncached decision",
			"the same, kube-apiserver's own authenticator",
			"distinct tokens before, cached decision",
			"distinct tokens before, new token beside the cache",
			"connections, throughput of one token repeated beside the null server's with as many",
			"connections, the same throughput alone",
			"distinct tokens over HTTPS, memory (RSS)",
		},
		"## Memory":              {"0", "300"},
		"## Where the time goes": nil,
		"## How it is measured":  nil,
	} {
		_, after, found := strings.Cut(page, "\n"+section+"\n")
		if !found {
			t.Errorf("expected the section %q", section)
			continue
		}
		after, _, _ = strings.Cut(after, "\n## ")
		for _, row := range rows {
			if !strings.Contains(after, "\n| "+row+" |") {
				t.Errorf("%s: expected the row %q", section, row)
			}
		}
		if got := strings.Count(after, "\n| "); len(rows) > 0 && got != len(rows)+1 {
			t.Errorf("%s: expected a heading and %d rows, got %d lines", section, len(rows), got)
		}
	}
	left, err := os.ReadDir(temporary)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range left {
		t.Errorf("%s is left behind", file.Name())
	}
	if t.Failed() {
		t.Logf("the report:\n%s", page)
	}
}

func TestOptionsThatMeasureNothing(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"no round", []string{"-rounds", "0"}, "-rounds: at least one is needed"},
		{"no time", []string{"-duration", "0s"}, "-duration: must be more than 0"},
		{"fewer tokens than the curve has already", []string{"-tokens", "10000"}, "-tokens: must be more than 10000"},
		{"an argument", []string{"report.md"}, `unexpected argument "report.md"`},
		{"a program that is not there", []string{"-webhook", "nowhere/webhook"}, "stat nowhere/webhook: no such file or directory: make build makes it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := command(t.Context(), test.args); err == nil || err.Error() != test.want {
				t.Errorf("expected %q, got %v", test.want, err)
			}
		})
	}
}
