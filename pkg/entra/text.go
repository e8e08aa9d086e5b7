package entra

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// maxTextBytes bounds what others say in an error of ours.
const maxTextBytes = 300

// describe is the text of an HTTP client's error without the method and address
// that it begins with.
func describe(err error) string {
	var withAddress *url.Error
	if errors.As(err, &withAddress) {
		err = withAddress.Err
	}
	return err.Error()
}

// jwt matches JSON Web Tokens (RFC 7519).
var jwt = regexp.MustCompile(`[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}(\.[A-Za-z0-9_-]*)?`)

// clean makes what others say one bounded line, in which neither secret nor any
// token appears.
func clean(text, secret string) string {
	if secret != "" {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	text = jwt.ReplaceAllString(text, "[redacted]")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if len(text) > maxTextBytes {
		text = strings.ToValidUTF8(text[:maxTextBytes], "") + "…"
	}
	return text
}
