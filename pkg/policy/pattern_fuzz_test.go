package policy_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"tokenreview.dev/webhook/pkg/policy"
)

// FuzzPattern compares a pattern with the regular expression that says the same, byte
// by byte, and a pattern for names with the one that folds A to Z.
func FuzzPattern(f *testing.F) {
	for pattern, value := range map[string]string{
		"": "", "*": "a/b", "**": "a\nb", "***": "/", "refs/tags/v*": "refs/tags/v1.2/x", "**/a*/b**": "x/y/abc/bcd/e", "v?[0-9]": "v?[0-9]",
		`a\*`: `a\x`, "a|b": "a", "^a$": "a", "(?i)a": "A", "é*": "éa", "*\xa9": "é", "octo-Org/*-API": "OCTO-org/x-api", "K*": "\u212a",
		"ſ**": "S", strings.Repeat("a*", 20) + "b": strings.Repeat("a", 200), "ci-*": "ci-\x00", "a**a": "a",
	} {
		f.Add(pattern, value)
		f.Add(pattern, pattern)
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		// No rule is longer, and no claim is (maxGitHubValue).
		if len(text) > 256 || len(value) > 1024 {
			return
		}
		pattern := policy.NewPattern(text)
		want := meaning(t, text, "").MatchString(bytewise(value))
		if got := pattern.Match(value); got != want {
			t.Errorf("%q on %q: expected %t, got %t", text, value, want, got)
		}
		if got, want := pattern.MatchOrAny(value), want || text == ""; got != want {
			t.Errorf("%q or any on %q: expected %t, got %t", text, value, want, got)
		}
		if got, want := pattern.IsLiteral(), !strings.Contains(text, "*"); got != want {
			t.Errorf("%q: expected literal to be %t, got %t", text, want, got)
		}
		if !utf8.ValidString(text) || !utf8.ValidString(value) {
			return // in no configuration and in no claim
		}
		name := policy.NewNamePattern(text)
		want = meaning(t, text, "i").MatchString(bytewise(value))
		if got := name.Match(value); got != want {
			t.Errorf("the name %q on %q: expected %t, got %t", text, value, want, got)
		}
		if name != policy.NewNamePattern(swapCase(text)) {
			t.Errorf("the name %q is another pattern in other case", text)
		}
		if got := name.Match(swapCase(value)); got != want {
			t.Errorf("the name %q on %q in other case: expected %t, got %t", text, value, want, got)
		}
	})
}

// meaning is a pattern as a regular expression over texts that are bytewise.
func meaning(t *testing.T, pattern, flags string) *regexp.Regexp {
	t.Helper()
	var expression strings.Builder
	expression.WriteString(`\A(?s` + flags + `:`)
	for rest := pattern; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "**"):
			expression.WriteString(".*")
			rest = rest[2:]
		case rest[0] == '*':
			expression.WriteString("[^/]*")
			rest = rest[1:]
		default:
			expression.WriteString(regexp.QuoteMeta(bytewise(rest[:1])))
			rest = rest[1:]
		}
	}
	expression.WriteString(`)\z`)
	compiled, err := regexp.Compile(expression.String())
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// bytewise makes a character of each byte: of those beyond ASCII one that has no case.
func bytewise(text string) string {
	var all strings.Builder
	for i := range len(text) {
		if c := text[i]; c < utf8.RuneSelf {
			all.WriteByte(c)
		} else {
			all.WriteRune('\ue000' + rune(c))
		}
	}
	return all.String()
}

// swapCase swaps the case of A to Z.
func swapCase(text string) string {
	swapped := []byte(text)
	for i, c := range swapped {
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' {
			swapped[i] = c ^ 0x20
		}
	}
	return string(swapped)
}
