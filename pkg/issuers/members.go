package issuers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// memberReader reads JSON objects and lists, one after the other. It keeps the room that it
// needs for one, such as for the names that it has seen, for the next.
type memberReader struct {
	decoder *jsontext.Decoder
	input   bytes.Buffer
}

// memberReaders are those that nobody uses now.
var memberReaders = sync.Pool{New: func() any {
	reader := &memberReader{}
	reader.decoder = jsontext.NewDecoder(&reader.input)
	return reader
}}

// newMemberReader returns a reader of data. Whoever has read it releases it.
func newMemberReader(data []byte) *memberReader {
	reader := memberReaders.Get().(*memberReader)
	reader.input = *bytes.NewBuffer(data)
	return reader
}

// release leaves the reader to others, and keeps nothing of what it has read: that is part
// of a token.
func (r *memberReader) release() {
	r.input = bytes.Buffer{}
	r.decoder.Reset(&r.input)
	memberReaders.Put(r)
}

// part says where in a text a part of it is.
type part struct{ start, end uint32 }

func (p part) of(text []byte) []byte { return text[p.start:p.end:p.end] }

// eachMember reads data as one JSON object in I-JSON form (RFC 7493): UTF-8, no
// name twice, nothing after it. visit is told where in data each name, with its quotes and
// escapes, and its value are.
func eachMember(data []byte, visit func(name, value part) error) error {
	if tooDeep(data) {
		return fmt.Errorf("JSON nested more than %d deep", maxDepth)
	}
	reader := newMemberReader(data)
	defer reader.release()
	return reader.eachMember(visit)
}

func (r *memberReader) eachMember(visit func(name, value part) error) error {
	if token, err := r.decoder.ReadToken(); err != nil || token.Kind() != '{' {
		return errors.New("not a JSON object")
	}
	for r.decoder.PeekKind() == '"' {
		name, err := r.next()
		if err != nil {
			return jsonError(err)
		}
		value, err := r.next()
		if err != nil {
			return jsonError(err)
		}
		if err := visit(name, value); err != nil {
			return err
		}
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return jsonError(err)
	}
	if _, err := r.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("there is something after the JSON object")
	}
	return nil
}

// next reads a name or a value.
func (r *memberReader) next() (part, error) {
	value, err := r.decoder.ReadValue()
	if err != nil {
		return part{}, err
	}
	end := r.decoder.InputOffset()
	return part{uint32(end) - uint32(len(value)), uint32(end)}, nil
}

// unquoted is what a JSON string says: a part of it where it has no escapes.
func unquoted(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, quoted) // It is known to be a JSON string.
	return text
}

// maxDepth is how deep a token's JSON may nest. Real claims stay below ten; each
// level costs the decoder memory.
const maxDepth = 64

// tooDeep counts brackets outside of strings. It is exact for JSON, and of no
// consequence for what is none.
func tooDeep(data []byte) bool {
	if bytes.Count(data, []byte{'{'})+bytes.Count(data, []byte{'['}) <= maxDepth {
		return false // as of any real token
	}
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
