package whoami_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/whoami"
)

// Names are strangers' text, and a name must not come out as another one.
func TestYAMLKeepsEveryText(t *testing.T) {
	for _, text := range []string{
		"jane", "", "a\u0085b", "Stra\u00c3\u009fe", "\u007f", "\ufffe", "\u2028", "\ufeffx", "\x1b[31m", "a\tb", "a\r\nb", " a ", "a: b", "# a", "y", "on", "null", "~", "1e3", "0x1f", "2001-01-01", "😀", "|", "- a",
	} {
		data, err := whoami.YAML(authenticationv1.UserInfo{Username: text, Groups: []string{text}})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var read struct {
			Username string
			Groups   []string
		}
		if err := yaml.Unmarshal(data, &read); err != nil || read.Username != text || len(read.Groups) != 1 || read.Groups[0] != text {
			t.Errorf("%q came back as %q (%v):\n%s", text, read, err, data)
		}
		if strings.ContainsAny(string(data), "\x1b\u0085\u009f\u007f") {
			t.Errorf("%q is written raw: %q", text, data)
		}
	}
}
