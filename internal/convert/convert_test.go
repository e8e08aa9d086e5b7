package convert_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tokenreview.dev/webhook/internal/convert"
	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/config"
)

var update = flag.Bool("update", false, "write what is found to the golden files")

// Each .flags file holds a command line, a word to a line; the .yaml beside it is
// what it is converted into.
func TestFlagsThatConvert(t *testing.T) {
	for _, path := range files(t, "testdata/valid/*.flags") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := convertWords(t, words(t, path))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, path, ".yaml", string(text))
			for _, never := range []string{"null\n", "{}", "status:", "uid:"} {
				if strings.Contains(string(text), never) {
					t.Errorf("the file has %q in it:\n%s", never, text)
				}
			}
		})
	}
}

// What kube-apiserver starts with and the webhook does not is converted, with the
// places of the configuration's errors beside it.
func TestFlagsThatConvertIntoAnIncompleteFile(t *testing.T) {
	for _, path := range files(t, "testdata/incomplete/*.flags") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := convertWords(t, words(t, path))
			var wrong config.Errors
			if !errors.As(err, &wrong) {
				t.Fatalf("expected config.Errors, got %v", err)
			}
			golden(t, path, ".yaml", string(text))
			var places strings.Builder
			for _, one := range wrong {
				fmt.Fprintf(&places, "document %d: %s\n", one.Document, one.Path)
			}
			golden(t, path, ".txt", places.String())
		})
	}
}

func TestFlagsThatDoNotConvert(t *testing.T) {
	for _, path := range files(t, "testdata/invalid/*.flags") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := convertWords(t, words(t, path))
			if text != nil || !errors.As(err, new(convert.Errors)) {
				t.Fatalf("expected Errors alone, got %v and\n%s", err, text)
			}
			golden(t, path, ".txt", err.Error()+"\n")
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells a password: %v", err)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct{ issuer, given, name, err string }{
		{issuer: "https://ID.Example.com:8443/realms/Main", name: "id-example-com"},
		{issuer: "https://127.0.0.1:6443", name: "127-0-0-1"},
		{issuer: "https://[2001:db8::1]/", name: "2001-db8--1"},
		{issuer: "https://[::]/", name: "issuer"},
		{issuer: "https://bücher.example", name: "b-cher-example"},
		{issuer: "https://書.例", name: "issuer"},
		{issuer: "https://a_b.example", name: "a-b-example"},
		{issuer: "https://" + strings.Repeat("a", 62) + ".example", name: strings.Repeat("a", 62)},
		{issuer: "https://id.example.com", given: "main", name: "main"},
		{issuer: "https://id.example.com", given: "Main", err: `--name: "Main": a lowercase RFC 1123 label`},
		{issuer: "https://id.example.com", given: "a.b", err: `--name: "a.b": `},
	} {
		t.Run(test.issuer+" "+test.given, func(t *testing.T) {
			flags := convert.Flags{"oidc-issuer-url": {test.issuer}, "oidc-client-id": {"k"}}
			text, _, err := convert.Conversion{Flags: flags, Name: test.given}.Convert()
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("expected %q, got %v", test.err, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			loaded, err := config.Parse("converted.yaml", text)
			if err != nil {
				t.Fatal(err)
			}
			if got := loaded.Issuers[0].Name; got != test.name {
				t.Errorf("expected %q, got %q", test.name, got)
			}
		})
	}
}

// A CA file may hold more than certificates, and kube-apiserver looks at these alone.
func TestOnlyCertificatesAreCopied(t *testing.T) {
	issuer := issuertest.Start("")
	defer issuer.Close()
	ca := issuer.CertificateAuthority()
	const key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
	for name, test := range map[string]struct {
		file  string
		noted bool
	}{
		"certificates alone":            {ca, false},
		"text around them":              {"# subject: Example\n" + ca + "trailing: text\n", false},
		"line ends of Windows":          {strings.ReplaceAll(ca, "\n", "\r\n"), false},
		"a private key before them":     {key + ca, true},
		"a private key after them":      {ca + key, true},
		"a private key that is cut off": {ca + "-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "ca.crt", test.file)
			text, _, err := convert.Conversion{Flags: convert.Flags{
				"oidc-issuer-url": {"https://id.example.com"}, "oidc-client-id": {"k"}, "oidc-ca-file": {path},
			}}.Convert()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "c2VjcmV0") {
				t.Errorf("the key is in the output:\n%s", text)
			}
			if noted := strings.Contains(string(text), "# The CA file holds a private key too."); noted != test.noted {
				t.Errorf("expected the note about a key: %v, got\n%s", test.noted, text)
			}
			loaded, err := config.Parse("converted.yaml", text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(ca, loaded.Issuers[0].JWT.Issuer.CertificateAuthority); diff != "" {
				t.Errorf("expected -, got +:\n%s", diff)
			}
		})
	}
}

func TestValuesAreText(t *testing.T) {
	flags := convert.Flags{"oidc-issuer-url": {"https://id.example.com"}, "oidc-client-id": {"k"}, "oidc-groups-claim": {"a\xff"}}
	if _, _, err := (convert.Conversion{Flags: flags}).Convert(); err == nil || err.Error() != "--oidc-groups-claim: the value is not UTF-8 text" {
		t.Errorf("expected the flag to be refused, got %v", err)
	}
}

func TestTheSourceCannotEndTheComment(t *testing.T) {
	text, _, err := convert.Conversion{
		Flags:  convert.Flags{"oidc-issuer-url": {"https://id.example.com"}, "oidc-client-id": {"k"}},
		Source: "a\nb: c\u2028d",
	}.Convert()
	if err != nil {
		t.Fatal(err)
	}
	if want := `from "a\nb: c\u2028d".`; !strings.Contains(string(text), want) {
		t.Errorf("expected %s, got\n%s", want, text)
	}
}

// convertWords converts the command line of an API server, as from its manifest.
func convertWords(t testing.TB, words []string) ([]byte, error) {
	t.Helper()
	flags, _, err := convert.ReadManifest(manifest(t, words))
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := convert.Conversion{Flags: flags}.Convert()
	return text, err
}

func words(t testing.TB, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func golden(t *testing.T, path, extension, got string) {
	t.Helper()
	path = strings.TrimSuffix(path, ".flags") + extension
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
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
