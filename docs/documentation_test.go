// Package docs_test keeps what the pages here say of the repository true.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = ".."

// walk calls visit with the files below the root whose names end so.
func walk(t *testing.T, suffix string, visit func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, suffix):
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			visit(path, string(text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The threat model says which test shows what.
func TestEveryTestThatAPageNamesExists(t *testing.T) {
	tests := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	walk(t, "_test.go", func(_, text string) {
		for _, match := range function.FindAllStringSubmatch(text, -1) {
			tests[match[1]] = true
		}
	})
	named := 0
	mention := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z0-9]\\w+)(?:/\\w+)?`")
	walk(t, ".md", func(path, text string) {
		for _, match := range mention.FindAllStringSubmatch(text, -1) {
			named++
			if !tests[match[1]] {
				t.Errorf("%s names the test %s, which there is not", path, match[1])
			}
		}
	})
	if named == 0 {
		t.Error("expected tests to be named")
	}
}

func TestEveryLinkWithinTheRepositoryLeadsSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.+)$`)
	anchors := func(path string) map[string]bool {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]bool{}
		for _, match := range heading.FindAllStringSubmatch(string(text), -1) {
			all[anchor(match[1])] = true
		}
		return all
	}
	walk(t, ".md", func(path, text string) {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target, fragment, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			to := path
			if target != "" {
				to = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %s leads nowhere", path, match[1])
				continue
			}
			if fragment != "" && !anchors(to)[fragment] {
				t.Errorf("%s: %s has no such heading", path, match[1])
			}
		}
	})
}

// anchor is what GitHub makes of a heading.
func anchor(heading string) string {
	kept := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', '0' <= r && r <= '9', 'a' <= r && r <= 'z':
			return r
		}
		return -1
	}, strings.ToLower(heading))
	return kept
}
