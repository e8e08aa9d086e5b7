package issuers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// Claims is the claims set of a token (RFC 7519 §4). What Verify returns is one
// that its issuer is proven to have signed. Names are
// compared exactly; a set that repeats one never comes to be. It is immutable
// and safe for concurrent use.
type Claims struct {
	members []member
}

type member struct {
	name  string
	value jsontext.Value
}

// NewClaims returns the claims set that the JSON object payload spells. It proves
// nothing: whoever calls it answers for where payload is from.
func NewClaims(payload []byte) (*Claims, error) { return parseClaims(payload) }

func parseClaims(payload []byte) (*Claims, error) {
	claims := &Claims{members: make([]member, 0, 32)}
	err := eachMember(payload, func(name string, value jsontext.Value) error {
		claims.members = append(claims.members, member{name: name, value: value})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claims, nil
}

// Get returns the claim's JSON value and whether the set has the claim.
func (c *Claims) Get(name string) (jsontext.Value, bool) {
	for i := range c.members {
		if c.members[i].name == name {
			return c.members[i].value, true
		}
	}
	return nil, false
}

// Has reports whether the set has the claim, null or not.
func (c *Claims) Has(name string) bool {
	_, ok := c.Get(name)
	return ok
}

// All yields each claim's name and JSON value in the order of the token.
func (c *Claims) All() iter.Seq2[string, jsontext.Value] {
	return func(yield func(string, jsontext.Value) bool) {
		for i := range c.members {
			if !yield(c.members[i].name, c.members[i].value) {
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
// has one. value is not copied.
func (c *Claims) With(name string, value jsontext.Value) *Claims {
	members := make([]member, 0, len(c.members)+1)
	for _, m := range c.members {
		if m.name != name {
			members = append(members, m)
		}
	}
	return &Claims{members: append(members, member{name: name, value: value})}
}

// eachMember reads data as one JSON object in I-JSON form (RFC 7493): UTF-8, no
// name twice, nothing after it. A value given to visit is a slice of data.
func eachMember(data []byte, visit func(name string, value jsontext.Value) error) error {
	if tooDeep(data) {
		return fmt.Errorf("JSON nested more than %d deep", maxDepth)
	}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(data))
	if token, err := decoder.ReadToken(); err != nil || token.Kind() != '{' {
		return errors.New("not a JSON object")
	}
	for decoder.PeekKind() == '"' {
		token, err := decoder.ReadToken()
		if err != nil {
			return jsonError(err)
		}
		name := token.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return jsonError(err)
		}
		// ReadValue lends its result until the next call; data stays.
		end := decoder.InputOffset()
		if err := visit(name, jsontext.Value(data[end-int64(len(value)):end:end])); err != nil {
			return err
		}
	}
	if _, err := decoder.ReadToken(); err != nil {
		return jsonError(err)
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("there is something after the JSON object")
	}
	return nil
}

// maxDepth is how deep a token's JSON may nest. Real claims stay below ten; each
// level costs the decoder memory.
const maxDepth = 64

// tooDeep counts brackets outside of strings. It is exact for JSON, and of no
// consequence for what is none.
func tooDeep(data []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// jsonError names what is wrong with a JSON text without quoting it: it is part
// of a token.
func jsonError(err error) error {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return errors.New("a name appears twice in a JSON object")
	}
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		return fmt.Errorf("not a JSON object: error at byte %d", syntactic.ByteOffset)
	}
	return errors.New("not a JSON object")
}

func decodeString(value jsontext.Value) (string, error) {
	switch value.Kind() {
	case '"':
		if bytes.IndexByte(value, '\\') < 0 {
			return string(value[1 : len(value)-1]), nil
		}
		text, err := jsontext.AppendUnquote(nil, value)
		return string(text), err
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
		var texts []string
		if err := json.Unmarshal(value, &texts); err != nil {
			return nil, errors.New("expected a list of text, got another member in it")
		}
		return texts, nil
	case 'n':
		return nil, nil
	default:
		return nil, fmt.Errorf("expected text or a list of text, got a %s", kindName(value))
	}
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
