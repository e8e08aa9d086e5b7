package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tokenreview.dev/webhook/pkg/config"
)

var update = flag.Bool("update", false, "write what is found to the golden files")

// Each file is one kind of mistake; the .txt beside it is what `webhook config
// validate` prints.
func TestInvalid(t *testing.T) {
	for _, path := range files(t, "testdata/invalid/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			loaded, err := load(t, path)
			var all config.Errors
			if loaded != nil || !errors.As(err, &all) {
				t.Fatalf("got %v, %v; want Errors", loaded, err)
			}
			golden(t, path, err.Error()+"\n")
			for _, secret := range []string{"this-is-secret", "dGhpcy1pcy1zZWNyZXQ", "hunter2"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells the secret %q:\n%v", secret, err)
				}
			}
			for _, one := range all {
				if strings.ContainsAny(one.Error(), "\n\r\x1b") {
					t.Errorf("not one line: %q", one.Error())
				}
			}
		})
	}
}

// A valid file with a .txt beside it has these warnings, another none.
func TestValid(t *testing.T) {
	for _, path := range files(t, "testdata/valid/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			loaded, err := load(t, path)
			if err != nil {
				t.Fatal(err)
			}
			if len(loaded.Warnings) > 0 {
				golden(t, path, loaded.Warnings.Error()+"\n")
			} else if _, err := os.Stat(goldenPath(path)); err == nil {
				t.Errorf("no warnings, want those in %s", goldenPath(path))
			}
		})
	}
}

// load parses a file under its base name, which the golden files have.
func load(t *testing.T, path string) (*config.Config, error) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return config.Parse(filepath.Base(path), data)
}

func goldenPath(path string) string { return strings.TrimSuffix(path, ".yaml") + ".txt" }

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(goldenPath(path), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenPath(path))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func files(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files match %s: %v", pattern, err)
	}
	return paths
}
