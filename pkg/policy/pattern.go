package policy

import "strings"

// Pattern is a text in which "*" stands for any run of characters but "/", "**" for
// any run, and all else for itself. The whole value must match. The zero Pattern
// matches the empty text alone. Patterns that are equal (==) match the same.
type Pattern struct {
	text             string
	literal, anyCase bool
}

// NewPattern returns the pattern that text spells. Every text is one.
func NewPattern(text string) Pattern {
	return Pattern{text: text, literal: !strings.Contains(text, "*")}
}

// NewNamePattern is NewPattern for names as GitHub compares them: A to Z are the
// same as a to z.
func NewNamePattern(text string) Pattern {
	p := NewPattern(lowerASCII(text))
	p.anyCase = true
	return p
}

// newLiteral returns the pattern that only text matches, stars and all.
func newLiteral(text string) Pattern { return Pattern{text: text, literal: true} }

// IsLiteral reports whether one text alone matches.
func (p Pattern) IsLiteral() bool { return p.literal || p.text == "" }

// MatchOrAny is Match, and true where the pattern is empty: a field that a rule does
// not give.
func (p Pattern) MatchOrAny(value string) bool { return p.text == "" || p.Match(value) }

// Match reports whether the whole of value matches.
//
// It reads on, and where that ends it lets the last "*" take one character more,
// and when that cannot, the last "**". Those before need not be tried again: what
// they could take more of, the last of their kind can take as well.
func (p Pattern) Match(value string) bool {
	if p.anyCase {
		value = lowerASCII(value)
	}
	if p.literal {
		return p.text == value
	}
	// retry is where to go on in the pattern and the value; at 0 there is none, since
	// a star precedes it.
	type retry struct{ pattern, value int }
	var star, stars retry
	i, j := 0, 0
	for {
		switch {
		case strings.HasPrefix(p.text[i:], "**"):
			i += 2
			star, stars = retry{}, retry{i, j}
		case i < len(p.text) && p.text[i] == '*':
			i++
			star = retry{i, j}
		case i < len(p.text) && j < len(value) && p.text[i] == value[j]:
			i++
			j++
		case i == len(p.text) && j == len(value):
			return true
		case star.pattern > 0 && star.value < len(value) && value[star.value] != '/':
			star.value++
			i, j = star.pattern, star.value
		case stars.pattern > 0 && stars.value < len(value):
			stars.value++
			i, j = stars.pattern, stars.value
		default:
			return false
		}
	}
}

// lowerASCII is text with A to Z in lower case. More must not be folded: Unicode has
// other characters whose lower case is k or s.
func lowerASCII(text string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + ('a' - 'A')
		}
		return c
	}, text)
}
