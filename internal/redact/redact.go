// Package redact makes of what others say, and of what failed, texts that may be
// shown: bounded, on one line, and without a secret.
package redact

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

const (
	// maxLineBytes bounds what is shown.
	maxLineBytes = 300
	// maxReadBytes bounds what is looked at: more than is shown, so that a secret or
	// token which begins before the cut is recognised.
	maxReadBytes = 4 << 10
	// maxRepeatedBytes is how much of a secret, in one piece, may stand in a text by
	// chance. The first 12 bytes of a JWT are the same in most.
	maxRepeatedBytes = 12
)

// jwt matches JSON Web Tokens (RFC 7519), signed or not, encrypted ones as well.
var jwt = regexp.MustCompile(`[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}(\.[A-Za-z0-9_-]*)*`)

// Line makes one bounded, printable line of a text that comes from elsewhere. If the
// text repeats a good part of one of the secrets, nothing of it is shown. In the place
// of whatever else looks like a JWT stands "[redacted]".
func Line(text string, secrets ...string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxReadBytes)], " ")
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	text = strings.Join(words, " ")
	for _, secret := range secrets {
		if repeats(text, secret) {
			return "(a text that repeats a secret)"
		}
	}
	text = jwt.ReplaceAllString(text, "[redacted]")
	if len(text) > maxLineBytes {
		text = strings.ToValidUTF8(text[:maxLineBytes], "") + "..."
	}
	return text
}

// repeats reports whether text holds secret, or more than maxRepeatedBytes of it.
func repeats(text, secret string) bool {
	n := min(len(secret), maxRepeatedBytes+1)
	if n == 0 {
		return false
	}
	for i := range len(text) - n + 1 {
		if strings.Contains(secret, text[i:i+n]) {
			return true
		}
	}
	return false
}

// Without is text with "[redacted]" in the place of every piece of secret that is longer
// than chance explains. Nothing else of it is changed, and its length is not bounded.
func Without(text, secret string) string {
	n := min(len(secret), maxRepeatedBytes+1)
	if n == 0 || len(text) < n {
		return text
	}
	pieces := make(map[string]bool, len(secret))
	for i := range len(secret) - n + 1 {
		pieces[secret[i:i+n]] = true
	}
	var kept strings.Builder
	from := 0 // what of text is not dealt with yet
	for i := 0; i+n <= len(text); i++ {
		if !pieces[text[i:i+n]] {
			continue
		}
		kept.WriteString(text[from:i])
		kept.WriteString("[redacted]")
		for i++; i+n <= len(text) && pieces[text[i:i+n]]; i++ {
		}
		from = i + n - 1
		i = from - 1
	}
	kept.WriteString(text[from:])
	return kept.String()
}

// Cause is an HTTP client's error without the method and address that it begins
// with. Any other error is returned as it is.
func Cause(err error) error {
	var withAddress *url.Error
	for errors.As(err, &withAddress) {
		err = withAddress.Err
	}
	return err
}

// Panic is deferred, and makes an error of a panic. It tells the type of what was
// panicked with and nothing else, which may hold what was being worked on.
func Panic(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %T", p)
	}
}
