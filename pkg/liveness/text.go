package liveness

import (
	"strings"
	"unicode"
)

const (
	// maxTextBytes bounds what is shown of a text that came from elsewhere.
	maxTextBytes = 200
	// maxRepeatedBytes is how much of a secret, in one piece, may stand in a text by
	// chance. The first 12 bytes of a JWT are the same in most.
	maxRepeatedBytes = 12
)

// printable makes one printable line of a text from elsewhere. If the text repeats a
// good part of one of the secrets, nothing of it is shown.
func printable(text string, secrets ...string) string {
	// More than is shown is looked at, so that no secret begins at the cut.
	text = text[:min(len(text), 4*maxTextBytes)]
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	text = text[:min(len(text), 2*maxTextBytes)]
	for _, secret := range secrets {
		if repeats(text, secret) {
			return "(a text that repeats a secret)"
		}
	}
	if len(text) > maxTextBytes {
		text = strings.ToValidUTF8(text[:maxTextBytes], "") + "..."
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
