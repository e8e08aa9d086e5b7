package redact_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"tokenreview.dev/webhook/internal/redact"
)

const (
	secret = "abc8Q~secret-of-the-application_0123456789"
	jwt    = "eyJhbGciOiJSUzI1NiJ9xx.eyJpc3MiOiJodHRwczovL2EifQ.c2lnbmF0dXJl"
	signed = "eyJraWQiOiJrMSJ9eHh4.eyJzdWIiOiJqYW5lIn0eHh4.a3VjaGVuYmxlY2g"
	hidden = "(a text that repeats a secret)"
)

func TestLine(t *testing.T) {
	for name, test := range map[string]struct{ text, expected string }{
		"an ordinary text stays":                     {"dial tcp: lookup a.example: no such host", "dial tcp: lookup a.example: no such host"},
		"nothing stays nothing":                      {"", ""},
		"many lines become one":                      {" one\r\n\ttwo\x1b[31m \u202ethree\u2028four\x00\n", "one two [31m three four"},
		"what is no UTF-8 becomes a space":           {"a\xff\xc3b", "a b"},
		"a long text is cut":                         {strings.Repeat("a", 1000), strings.Repeat("a", 300) + "..."},
		"a text of just the length is not":           {strings.Repeat("a", 300), strings.Repeat("a", 300)},
		"a letter at the cut is left out":            {"a" + strings.Repeat("é", 20000), "a" + strings.Repeat("é", 149) + "..."},
		"a secret hides the text":                    {"cannot accept " + secret + ", sorry", hidden},
		"the middle of a secret hides it":            {"cannot accept " + secret[10:23], hidden},
		"the end of a secret hides it":               {"cannot accept " + secret[len(secret)-13:], hidden},
		"a piece as may be there by chance does not": {"cannot accept " + secret[10:22], "cannot accept " + secret[10:22]},
		"a secret in two pieces hides it":            {secret[:20] + "\n" + secret[20:], hidden},
		"a secret at the cut hides it":               {strings.Repeat("- ", 140) + secret, hidden},
		"a secret with a byte that is no UTF-8 does": {secret[:20] + "\xff" + secret[20:], hidden},
		"a secret far behind the cut is left out":    {strings.Repeat("- ", 2048) + secret, strings.Repeat("- ", 150) + "..."},
		"a secret that follows tokens hides it":      {strings.Repeat(jwt+" ", 20) + secret, hidden},
		"a secret that looks like a token hides it":  {"invalid token " + signed, hidden},
		"a short secret hides it whole":              {"the password is swordfish", hidden},
		"a part of a short one does not":             {"the password is a sword", "the password is a sword"},
		"a token is left out":                        {"invalid token " + jwt + "!", "invalid token [redacted]!"},
		"a token without a signature is left out":    {"invalid token " + jwt[:strings.LastIndex(jwt, ".")], "invalid token [redacted]"},
		"an encrypted token is left out":             {"invalid token " + jwt + "." + jwt[:16] + "." + jwt[:20], "invalid token [redacted]"},
		"a token at the cut is left out":             {strings.Repeat("- ", 140) + jwt, strings.Repeat("- ", 140) + "[redacted]"},
		"a token with a long header is left out":     {strings.Repeat("x", 4000) + "." + strings.Repeat("y", 9000), "[redacted]"},
	} {
		t.Run(name, func(t *testing.T) {
			if line := redact.Line(test.text, "", secret, signed, "swordfish"); line != test.expected {
				t.Errorf("expected %q, got %q", test.expected, line)
			}
		})
	}
}

func TestWithout(t *testing.T) {
	const token = "abcdefghijklmnopqrstuvwxyz.0123456789"
	for name, test := range map[string]struct{ text, secret, expected string }{
		"an ordinary text stays":                    {"an ordinary\ntext", token, "an ordinary\ntext"},
		"nothing stays nothing":                     {"", token, ""},
		"without a secret all stays":                {token, "", token},
		"a secret":                                  {token, token, "[redacted]"},
		"a secret in a text":                        {"what is " + token + "?", token, "what is [redacted]?"},
		"the middle of a secret":                    {"<" + token[5:18] + ">", token, "<[redacted]>"},
		"a piece as may be there by chance":         {"<" + token[5:17] + ">", token, "<" + token[5:17] + ">"},
		"a secret twice":                            {token + " " + token, token, "[redacted] [redacted]"},
		"two pieces without anything between":       {token[:13] + token[20:], token, "[redacted][redacted]"},
		"a piece, and the begin of another":         {token[:20] + token[:5], token, "[redacted]" + token[:5]},
		"a short secret":                            {"the password is swordfish", "swordfish", "the password is [redacted]"},
		"a part of a short secret":                  {"a sword", "swordfish", "a sword"},
		"a long text is not cut":                    {strings.Repeat("- ", 5000) + token, token, strings.Repeat("- ", 5000) + "[redacted]"},
		"letters of several bytes stay as they are": {"é" + token + "é", token, "é[redacted]é"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := redact.Without(test.text, test.secret); got != test.expected {
				t.Errorf("expected %q, got %q", test.expected, got)
			}
		})
	}
}

func TestCauseNamesNoAddress(t *testing.T) {
	cause := errors.New("no route to host")
	for name, err := range map[string]error{
		"of a request":                &url.Error{Op: "Post", URL: "https://a.example/secret", Err: cause},
		"of a request in a request":   &url.Error{Op: "Post", URL: "https://a.example/secret", Err: &url.Error{Op: "Get", URL: "https://b.example", Err: cause}},
		"of a request of a library's": fmt.Errorf("library: %w", &url.Error{Op: "Post", URL: "https://a.example/secret", Err: cause}),
		"of something else":           cause,
	} {
		if got := redact.Cause(err); got != cause { //nolint:errorlint // the cause itself, without what wraps it
			t.Errorf("%s: expected the cause alone, got %v", name, got)
		}
	}
}

func TestPanicTellsTheTypeAlone(t *testing.T) {
	for expected, value := range map[string]any{"panic: string": secret, "panic: *errors.errorString": errors.New(secret)} {
		err := func() (err error) {
			defer redact.Panic(&err)
			panic(value)
		}()
		if err == nil || err.Error() != expected {
			t.Errorf("expected %q, got %v", expected, err)
		}
	}
	returned := errors.New("an error of its own")
	if err := func() (err error) { defer redact.Panic(&err); return returned }(); !errors.Is(err, returned) {
		t.Errorf("expected the error that was returned, got %v", err)
	}
}
