package issuers

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Claims is the claims set of a token (RFC 7519 §4). What Verify returns is one
// that its issuer is proven to have signed. Names are
// compared exactly; a set that repeats one never comes to be. It is immutable
// and safe for concurrent use.
type Claims struct {
	// text is the payload, and after it what is not spelled out there: names that have
	// escapes in them, and claims that the token does not carry itself.
	text    []byte
	members []member
}

// member is one claim. Without pointers, claims that somebody remembers cost the garbage
// collector nothing.
type member struct{ name, value part }

// NewClaims returns the claims set that the JSON object payload spells. It proves
// nothing: whoever calls it answers for where payload is from.
func NewClaims(payload []byte) (*Claims, error) { return parseClaims(payload) }

func parseClaims(payload []byte) (*Claims, error) {
	// Each claim but the first comes after a comma. Whoever sends many gets no room for
	// them before they are seen to be some.
	room := min(bytes.Count(payload, []byte{','})+1, 64)
	claims := &Claims{text: slices.Clip(payload), members: make([]member, 0, room)}
	err := eachMember(payload, func(name, value part) error {
		claims.members = append(claims.members, member{claims.unquoted(name), value})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claims, nil
}

// unquoted is where a name is without quotes and escapes.
func (c *Claims) unquoted(name part) part {
	quoted := name.of(c.text)
	if bytes.IndexByte(quoted, '\\') < 0 {
		return part{name.start + 1, name.end - 1}
	}
	start := len(c.text)
	c.text, _ = jsontext.AppendUnquote(c.text, quoted) // It is known to be a JSON string.
	return part{uint32(start), uint32(len(c.text))}
}

// Get returns the claim's JSON value and whether the set has the claim.
func (c *Claims) Get(name string) (jsontext.Value, bool) {
	for _, m := range c.members {
		if string(m.name.of(c.text)) == name {
			return m.value.of(c.text), true
		}
	}
	return nil, false
}

// Has reports whether the set has the claim, null or not.
func (c *Claims) Has(name string) bool {
	_, ok := c.Get(name)
	return ok
}

// HasPrefix reports whether the set has a claim whose name begins with prefix.
func (c *Claims) HasPrefix(prefix string) bool {
	return slices.ContainsFunc(c.members, func(m member) bool { return bytes.HasPrefix(m.name.of(c.text), []byte(prefix)) })
}

// All yields each claim's name and JSON value in the order of the token.
func (c *Claims) All() iter.Seq2[string, jsontext.Value] {
	return func(yield func(string, jsontext.Value) bool) {
		for _, m := range c.members {
			if !yield(string(m.name.of(c.text)), m.value.of(c.text)) {
				return
			}
		}
	}
}

// String decodes a claim that must be text. As for upstream, null is "".
func (c *Claims) String(name string) (string, error) {
	value, ok := c.Get(name)
	if !ok {
		return "", errors.New("the token has no such claim")
	}
	return decodeString(value)
}

// Strings decodes a claim that must be text or a list of text. As for upstream,
// null is no text.
func (c *Claims) Strings(name string) ([]string, error) {
	value, ok := c.Get(name)
	if !ok {
		return nil, errors.New("the token has no such claim")
	}
	return decodeStrings(value)
}

// Bool decodes a claim that must be true or false. As for upstream, null is
// false.
func (c *Claims) Bool(name string) (bool, error) {
	value, ok := c.Get(name)
	if !ok {
		return false, errors.New("the token has no such claim")
	}
	switch value.Kind() {
	case 't':
		return true, nil
	case 'f', 'n':
		return false, nil
	default:
		return false, fmt.Errorf("expected true or false, got a %s", kindName(value))
	}
}

// With returns the set with the claim given, in place of the one of that name if it
// has one.
func (c *Claims) With(name string, value jsontext.Value) *Claims {
	with := &Claims{text: slices.Concat(c.text, []byte(name), value), members: make([]member, 0, len(c.members)+1)}
	for _, m := range c.members {
		if string(m.name.of(c.text)) != name {
			with.members = append(with.members, m)
		}
	}
	start, end := uint32(len(c.text)), uint32(len(with.text))
	between := start + uint32(len(name))
	with.members = append(with.members, member{part{start, between}, part{between, end}})
	return with
}

func decodeString(value jsontext.Value) (string, error) {
	switch value.Kind() {
	case '"':
		return string(unquoted(value)), nil
	case 'n':
		return "", nil
	default:
		return "", fmt.Errorf("expected text, got a %s", kindName(value))
	}
}

func decodeStrings(value jsontext.Value) ([]string, error) {
	switch value.Kind() {
	case '"':
		text, err := decodeString(value)
		return []string{text}, err
	case '[':
		return decodeList(value)
	case 'n':
		return nil, nil
	default:
		return nil, fmt.Errorf("expected text or a list of text, got a %s", kindName(value))
	}
}

// decodeList decodes a list of text, in which null is "", as for upstream.
func decodeList(list jsontext.Value) ([]string, error) {
	reader := newMemberReader(list)
	defer reader.release()
	if _, err := reader.decoder.ReadToken(); err != nil {
		return nil, jsonError(err)
	}
	texts := make([]string, 0, min(bytes.Count(list, []byte{','})+1, 256))
	for reader.decoder.PeekKind() != ']' {
		value, err := reader.next()
		if err != nil {
			return nil, jsonError(err)
		}
		text, err := decodeString(value.of(list))
		if err != nil {
			return nil, errors.New("expected a list of text, got another member in it")
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func kindName(value jsontext.Value) string {
	switch value.Kind() {
	case '"':
		return "text"
	case '0':
		return "number"
	case 't', 'f':
		return "boolean"
	case '{':
		return "object"
	case '[':
		return "list"
	default:
		return "null"
	}
}
