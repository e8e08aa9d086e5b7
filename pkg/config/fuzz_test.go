package config

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/internal/strictyaml"
	"tokenreview.dev/webhook/manifests/acceptance"
	"tokenreview.dev/webhook/manifests/examples"
)

// FuzzParse reads any file. What is wrong with it is said by lines of it, always in the
// same words. What it accepts, kube-apiserver accepts, and reads the same in document 1,
// and rules can be built of it.
func FuzzParse(f *testing.F) {
	for _, data := range seeds(f) {
		f.Add(data)
	}
	folder, keys := f.TempDir(), string(issuertest.KeySet(issuertest.DerivedKey("key", "ES256")))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Parse("some file", data)
		again, againErr := Parse("some file", data)
		if (err != nil || againErr != nil) && !equalErrors(err, againErr) {
			t.Errorf("the same file is wrong in two ways:\n%v\n%v", err, againErr)
		}
		if (got == nil) == (err == nil) {
			t.Fatalf("expected a configuration or errors, got %v and %v", got, err)
		}
		if err != nil {
			expectErrors(t, err, data)
			return
		}
		expectWhatUpstreamReads(t, got, data)
		expectEqual(t, got, again)
		path := filepath.Join(folder, "webhook.yaml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := Load(path)
		if err != nil {
			t.Fatalf("a valid file does not load: %v", err)
		}
		for i := range loaded.Warnings {
			loaded.Warnings[i].File = "some file"
		}
		expectEqual(t, got, loaded)
		expectRules(t, loaded, keys)
	})
}

// seeds are files that are valid and files that are not.
func seeds(t testing.TB) [][]byte {
	t.Helper()
	var seeds [][]byte
	for _, from := range []struct {
		files   fs.FS
		pattern string
	}{{os.DirFS("testdata"), "*/*.yaml"}, {examples.Files, "*.yaml"}, {acceptance.Files, "*.yaml"}} {
		paths, err := fs.Glob(from.files, from.pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no files %s: %v", from.pattern, err)
		}
		for _, path := range paths {
			data, err := fs.ReadFile(from.files, path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(path, ".test.yaml") {
				seeds = append(seeds, data)
			}
		}
	}
	return seeds
}

// expectErrors checks what is said to be wrong with a file.
func expectErrors(t *testing.T, err error, data []byte) {
	t.Helper()
	var all Errors
	if !errors.As(err, &all) || len(all) == 0 {
		t.Fatalf("got error %v, want Errors", err)
	}
	// NEL, LS and PS, which end in these bytes, break lines as well.
	lines := 1
	for _, b := range []string{"\n", "\r", "\x85", "\xa8", "\xa9"} {
		lines += bytes.Count(data, []byte(b))
	}
	for i, one := range all {
		if i > 0 && (one.Line < all[i-1].Line || one == all[i-1]) {
			t.Errorf("not in the order of the file, or twice: %v, %v", all[i-1], one)
		}
		if one.File != "some file" || one.Line < 1 || one.Line > lines || one.Message == "" {
			t.Errorf("no such place, or nothing said: %+v", one)
		}
		if text := one.Error(); strings.ContainsAny(text, "\n\r") || !utf8.ValidString(text) {
			t.Errorf("not one line: %q", text)
		}
	}
}

func equalErrors(a, b error) bool {
	var all, again Errors
	return errors.As(a, &all) && errors.As(b, &again) && cmp.Equal(all, again)
}

// expectWhatUpstreamReads holds Parse to its promise about document 1.
func expectWhatUpstreamReads(t *testing.T, got *Config, data []byte) {
	t.Helper()
	want, err := upstream(data)
	if err != nil {
		t.Fatalf("kube-apiserver refuses what we accept: %v", err)
	}
	if diff := cmp.Diff(want.JWT, authenticators(got), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("document 1 (-kube-apiserver +webhook)\n%s", diff)
	}
	alone, err := upstream(strictyaml.Split("some file", data)[0].Text)
	if diff := cmp.Diff(want, alone); err != nil || diff != "" {
		t.Errorf("the first document is cut wrongly: %v\n%s", err, diff)
	}
}

func expectEqual(t *testing.T, want, got *Config) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Issuer{}, "Expressions")); diff != "" {
		t.Errorf("the same file is read in two ways:\n%s", diff)
	}
}

// expectRules wants a valid configuration to become rules. The keys are given to it, so
// that nobody is asked for any.
func expectRules(t *testing.T, valid *Config, keys string) {
	t.Helper()
	for i := range valid.Issuers {
		if own := &valid.Issuers[i].Policy.Keys; own.JWKS == "" {
			own.JWKS, own.JWKSFile, own.JWKSURL = keys, "", ""
		}
	}
	rules, err := valid.Build(nil, Options{})
	if err != nil {
		t.Fatalf("a valid file is no configuration: %v", err)
	}
	defer rules.Issuers.Close(nil)
	rules.Issuers.AwaitFirstFetch(t.Context())
	if got := len(rules.Policies); got != len(valid.Issuers) || len(rules.Issuers.Statuses()) != got {
		t.Errorf("%d issuers have become %d", len(valid.Issuers), got)
	}
	for _, status := range rules.Issuers.Statuses() {
		if status.Err != nil || status.Keys == 0 {
			t.Errorf("%s has no keys: %v", status.Name, status.Err)
		}
	}
}
