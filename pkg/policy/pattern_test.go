package policy_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/pkg/policy"
)

func TestPattern(t *testing.T) {
	for _, test := range []struct {
		name, pattern, value string
		want                 bool
	}{
		{"a text matches itself", "refs/heads/main", "refs/heads/main", true},
		{"a text matches nothing longer", "refs/heads/main", "refs/heads/main2", false},
		{"a text matches nothing that ends with it", "refs/heads/main", "xrefs/heads/main", false},
		{"case counts", "refs/heads/main", "refs/heads/Main", false},
		{"a star is any run", "refs/tags/v*", "refs/tags/v1.2.3", true},
		{"a star is an empty run", "refs/tags/v*", "refs/tags/v", true},
		{"a star ends at a slash", "refs/tags/v*", "refs/tags/v1/x", false},
		{"a star in the middle ends at a slash", "refs/*/main", "refs/heads/x/main", false},
		{"two stars pass slashes", "refs/**", "refs/heads/a/b", true},
		{"two stars are an empty run", "refs/**", "refs/", true},
		{"two stars need what precedes them", "refs/**", "ref", false},
		{"two stars alone match all", "**", "a/b/c", true},
		{"a question mark is itself", "v?", "v1", false},
		{"a class is itself", "v[0-9]", "v1", false},
		{"a class matches itself", "v[0-9]", "v[0-9]", true},
		{"a backslash is itself", `v\*`, `v\1`, true},
		{"a backslash does not escape", `v\*`, "v*", false},
		{"a dot is itself", "a.c", "abc", false},
		{"braces are themselves", "{a,b}", "a", false},
		{"a line break is a character", "a**c", "a\nc", true},
		{"the empty pattern matches the empty text", "", "", true},
		{"the empty pattern matches nothing else", "", "a", false},
		{"a character of several bytes", "é*", "éa", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := policy.NewPattern(test.pattern).Match(test.value); got != test.want {
				t.Errorf("%q on %q: expected %t, got %t", test.pattern, test.value, test.want, got)
			}
		})
	}
}

// TestPatternMeansItsRegularExpression compares every short pattern on every short
// value with the regular expression that says the same.
func TestPatternMeansItsRegularExpression(t *testing.T) {
	values := words("ab/", 5)
	replacer := strings.NewReplacer("**", "(?s:.*)", "*", "[^/]*")
	for _, text := range words("a/*", 6) {
		pattern, reference := policy.NewPattern(text), regexp.MustCompile("^"+replacer.Replace(text)+"$")
		for _, value := range values {
			if got, want := pattern.Match(value), reference.MatchString(value); got != want {
				t.Fatalf("%q on %q: expected %t, got %t", text, value, want, got)
			}
		}
	}
	for _, text := range []string{
		"**a*b/*a**b", "*a*b*a*b", "**/a*/b**a*", "a**b*a/**b", "**ab**ba**", "*ab*/*ba*", "**a*/**b*/a", "***a***b***",
	} {
		pattern, reference := policy.NewPattern(text), regexp.MustCompile("^"+replacer.Replace(text)+"$")
		for _, value := range words("ab/", 8) {
			if got, want := pattern.Match(value), reference.MatchString(value); got != want {
				t.Fatalf("%q on %q: expected %t, got %t", text, value, want, got)
			}
		}
	}
}

// words returns every text of up to length letters of the alphabet.
func words(alphabet string, length int) []string {
	all := []string{""}
	for begin := 0; length > 0; length-- {
		end := len(all)
		for _, word := range all[begin:end] {
			for _, letter := range alphabet {
				all = append(all, word+string(letter))
			}
		}
		begin = end
	}
	return all
}

func TestMatchingTakesNoMoreThanItsShareOfTime(t *testing.T) {
	for _, pattern := range []string{
		strings.Repeat("a*", 30) + "b",
		strings.Repeat("a**", 30) + "b",
		strings.Repeat("**a*", 30) + "b",
		"**" + strings.Repeat("a*", 30) + "b",
	} {
		for _, value := range []string{strings.Repeat("a", 2000), strings.Repeat("a", 1000) + "/" + strings.Repeat("a", 1000)} {
			start := time.Now()
			if policy.NewPattern(pattern).Match(value) {
				t.Errorf("%q must not match", pattern)
			}
			// Trying all that the stars could take would last longer than the universe.
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("%q took %s", pattern, took)
			}
		}
	}
}

func TestMatchingAllocatesNothing(t *testing.T) {
	pattern := policy.NewPattern("**/a*/b**")
	matched := true
	if n := testing.AllocsPerRun(100, func() { matched = matched && pattern.Match("x/y/abc/bcd/e") }); n != 0 || !matched {
		t.Errorf("expected a match and no allocation, got %t and %v", matched, n)
	}
}

func TestNamePattern(t *testing.T) {
	for _, test := range []struct {
		name, pattern, value string
		want                 bool
	}{
		{"capitals in the value", "octo/web", "Octo/WEB", true},
		{"capitals in the pattern", "OCTO/Web", "octo/web", true},
		{"beside a star", "Octo/*-API", "octo/Web-api", true},
		{"another name", "octo/web", "octo/web2", false},
		{"a Kelvin sign is no k", "kit", "\u212Ait", false},
		{"an E with an accent stays one", "\u00c9", "\u00e9", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := policy.NewNamePattern(test.pattern).Match(test.value); got != test.want {
				t.Errorf("%q on %q: expected %t, got %t", test.pattern, test.value, test.want, got)
			}
		})
	}
	if policy.NewNamePattern("Octo*") != policy.NewNamePattern("octo*") || policy.NewNamePattern("octo") == policy.NewPattern("octo") {
		t.Error("patterns are equal where they match the same")
	}
}

func TestLiteralPatterns(t *testing.T) {
	for text, want := range map[string]bool{"": true, "a/b": true, "v?[0-9]": true, "a*": false, "**": false} {
		if got := policy.NewPattern(text).IsLiteral(); got != want {
			t.Errorf("%q: expected %t, got %t", text, want, got)
		}
	}
	if (policy.Pattern{}).Match("a") || !(policy.Pattern{}).Match("") {
		t.Error("the zero pattern must match the empty text alone")
	}
}

func ExamplePattern() {
	tags := policy.NewPattern("refs/tags/v*")
	fmt.Println(tags.Match("refs/tags/v1.2"), tags.Match("refs/tags/v1/rc"))
	// Output: true false
}
