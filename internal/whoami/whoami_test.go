package whoami_test

import (
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/whoami"
	"tokenreview.dev/webhook/pkg/trace"
)

// The run against a real API server compares with kubectl itself.
func TestPrintable(t *testing.T) {
	for text, expected := range map[string]string{
		"jane":                 "jane",
		"two words":            "two words",
		"Jäne":                 "Jäne",
		"a\nGroups   [admins]": `"a\nGroups   [admins]"`,
		"\x1b[2Kadmin":         `"\x1b[2Kadmin"`,
		"a\tb":                 `"a\tb"`,
		"a\u202eb":             `"a\u202eb"`,
		"\xff":                 `"\xff"`,
	} {
		if got := whoami.Printable(text); got != expected {
			t.Errorf("expected %s, got %s", expected, got)
		}
	}
}

func TestPrint(t *testing.T) {
	var out strings.Builder
	err := whoami.Print(&out, authenticationv1.UserInfo{
		Username: "ada",
		UID:      "1",
		Groups:   []string{"two words", "x"},
		Extra:    map[string]authenticationv1.ExtraValue{"example.com/b": {"1", "2"}, "example.com/a": {"3"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const expected = `ATTRIBUTE              VALUE
Username               ada
UID                    1
Groups                 [two words x system:authenticated]
Extra: example.com/a   [3]
Extra: example.com/b   [1 2]
`
	if out.String() != expected {
		t.Errorf("expected\n%sgot\n%s", expected, out.String())
	}
}

func TestPrintSteps(t *testing.T) {
	var out strings.Builder
	err := whoami.PrintSteps(&out, []trace.Step{
		{Check: "signature", Outcome: trace.Passed},
		{Check: "username", Outcome: trace.WouldFail, Detail: "\x1b[2J"},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	const expected = `CHECK       OUTCOME      DETAIL
signature   passed       -
username    would fail   "\x1b[2J"
`
	if out.String() != expected {
		t.Errorf("expected\n%sgot\n%s", expected, out.String())
	}
}
