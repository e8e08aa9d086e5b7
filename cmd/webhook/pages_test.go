package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// needs is how the line directly above a block of shell commands begins that cannot be run
// here, such as "*Needs a cluster.*".
const needs = "*Needs"

// otherPages are not run here.
var otherPages = map[string]string{
	"audit.md":       "e2e/auditquestions_test.go runs its queries",
	"monitoring.md":  "what it shows is for Prometheus",
	"performance.md": "make bench",
	"reliability.md": "make chaos",
	"runbook.md":     "its commands ask a webhook that serves a cluster",
}

// A newcomer has nothing but the page. Its commands are run in their order in one folder, with
// no other files than those that it shows (```yaml blocks that begin with "# NAME.yaml") or
// its commands have made, and no other programs than the webhook and those of programs. If a
// ```text block follows directly, that is what they have to print. A block that cannot be
// run so says above itself what it needs.
func TestTheCommandsOfThePagesRun(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%v, %d pages", err, len(pages))
	}
	path := programs(t)
	for _, page := range append(pages, "../../certs/README.md") {
		if otherPages[filepath.Base(page)] != "" {
			continue
		}
		t.Run(strings.TrimPrefix(page, "../../"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			runPage(t, blocks(string(text)), path)
		})
	}
}

func runPage(t *testing.T, blocks []block, path string) {
	t.Helper()
	dir := t.TempDir()
	for i, b := range blocks {
		if name := fileName.FindStringSubmatch(b.text); b.language == "yaml" && name != nil {
			if err := os.WriteFile(filepath.Join(dir, name[1]), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		switch b.language {
		case "", "bash", "shell", "console":
			t.Errorf("line %d: say what the block is: ```sh for commands, ```text for what is no language", b.line)
		}
		if b.language != "sh" || strings.HasPrefix(b.above, needs) {
			continue
		}
		out, err := runCommands(t, b.text, dir, path)
		if err != nil {
			t.Fatalf("line %d: %v\n%s%s\nWhat cannot be run here has a line above it that begins with %q.", b.line, err, b.text, out, needs)
		}
		if i+1 < len(blocks) && blocks[i+1].language == "text" && blocks[i+1].follows {
			if diff := cmp.Diff(blocks[i+1].text, out); diff != "" {
				t.Errorf("line %d: what the page says -, what it prints +:\n%s", b.line, diff)
			}
		}
	}
}

// runCommands gives commands to a shell that ends with the first that fails.
func runCommands(t *testing.T, commands, dir, path string) (out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("a minute is over"))
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", commands)
	shell.Dir, shell.Env = dir, []string{"PATH=" + path, "HOME=" + dir, "LC_ALL=C"}
	shell.WaitDelay = time.Second
	var both bytes.Buffer
	shell.Stdout, shell.Stderr = &both, &both
	err = shell.Run()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return both.String(), err
}

// programs is a folder with what commands may use without saying that they need it: what
// every machine has and what changes nothing of it but files.
func programs(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"webhook", "base64", "cat", "chmod", "cp", "cut", "diff", "find", "grep", "head", "ls", "mkdir", "mv", "rm", "sed", "sort", "tar", "tr"} {
		program, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// block is what stands between two fences.
type block struct {
	language, text string
	// line is where it begins, above the last line before it with anything in it.
	line  int
	above string
	// follows is whether nothing stands between it and the block before.
	follows bool
}

var (
	fence    = regexp.MustCompile("^( *)```(\\S*)")
	fileName = regexp.MustCompile(`^# (\S+\.yaml)\n`)
)

func blocks(page string) []block {
	var all []block
	var open *block
	indentation, above, afterBlock := "", "", false
	for i, line := range strings.Split(page, "\n") {
		match := fence.FindStringSubmatch(line)
		switch {
		case open == nil && match != nil:
			indentation = match[1]
			open = &block{language: match[2], line: i + 1, above: strings.TrimSpace(above), follows: afterBlock}
		case open == nil:
			if strings.TrimSpace(line) != "" {
				above, afterBlock = line, false
			}
		case match != nil && match[2] == "":
			all, open = append(all, *open), nil
			above, afterBlock = line, true
		default:
			open.text += strings.TrimPrefix(line, indentation) + "\n"
		}
	}
	return all
}
