// Package jsonobject writes JSON objects member by member. It is for what is written with
// every decision: json.Marshal finds its way through the types each time, which costs
// several times as much as writing.
package jsonobject

import (
	"slices"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Writer writes one object. Each method but Finish and End adds a member, whose name must
// be another than those before. The first error is End's.
type Writer struct {
	data  []byte
	err   error
	begun bool // the object at hand has a member
}

// New begins an object at the end of data.
func New(data []byte) *Writer { return &Writer{data: append(data, '{')} }

// End ends the object, and returns what New was given with the object behind it.
func (w *Writer) End() ([]byte, error) {
	w.Finish()
	return w.data, w.err
}

// Begin begins an object within the object; Finish ends it.
func (w *Writer) Begin(name string) {
	w.name(name)
	w.data, w.begun = append(w.data, '{'), false
}

// Finish ends what Begin has begun.
func (w *Writer) Finish() { w.data, w.begun = append(w.data, '}'), true }

// Text adds text. What of it is not UTF-8 is replaced by U+FFFD, and an error.
func (w *Writer) Text(name, value string) {
	w.name(name)
	w.quote(value)
}

// OptionalText adds text, unless it is empty.
func (w *Writer) OptionalText(name, value string) {
	if value != "" {
		w.Text(name, value)
	}
}

// Texts adds a list of texts.
func (w *Writer) Texts(name string, values []string) {
	w.name(name)
	w.data = append(w.data, '[')
	for i, value := range values {
		if i > 0 {
			w.data = append(w.data, ',')
		}
		w.quote(value)
	}
	w.data = append(w.data, ']')
}

// OptionalTexts adds a list of texts, unless it is empty.
func (w *Writer) OptionalTexts(name string, values []string) {
	if len(values) > 0 {
		w.Texts(name, values)
	}
}

// Bool adds true or false.
func (w *Writer) Bool(name string, value bool) {
	w.name(name)
	if value {
		w.data = append(w.data, "true"...)
	} else {
		w.data = append(w.data, "false"...)
	}
}

// Number adds a number.
func (w *Writer) Number(name string, value float64) {
	w.name(name)
	w.data = jsontext.AppendFloat(w.data, value, 64)
}

// Time adds a time as text (RFC 3339). Its year has four digits.
func (w *Writer) Time(name string, value time.Time) {
	w.name(name)
	w.data = append(w.data, '"')
	w.data = value.AppendFormat(w.data, time.RFC3339Nano)
	w.data = append(w.data, '"')
}

// Value adds what is JSON already, without the white space in it.
func (w *Writer) Value(name string, value jsontext.Value) {
	w.name(name)
	if isPlainText(value) {
		w.data = append(w.data, value...)
		return
	}
	var err error
	w.data, err = jsontext.AppendFormat(w.data, value)
	w.note(err)
}

// Written adds an object that a Writer has written.
func (w *Writer) Written(name string, object jsontext.Value) {
	w.name(name)
	w.data = append(w.data, object...)
}

// Members adds those of an object that a Writer has written, of which there must be some.
func (w *Writer) Members(object jsontext.Value) {
	if w.begun {
		w.data = append(w.data, ',')
	}
	w.data, w.begun = append(w.data, object[1:len(object)-1]...), true
}

// isPlainText reports whether a value is text in ASCII without escapes, as most are. It
// is written as it is, at a quarter of the cost.
func isPlainText(value jsontext.Value) bool {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return false
	}
	return isPlain(value[1 : len(value)-1])
}

func isPlain[T ~string | ~[]byte](text T) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Names are the keys of a map, in the order in which their members are to be written.
func Names[V any](members map[string]V) []string {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (w *Writer) name(name string) {
	if w.begun {
		w.data = append(w.data, ',')
	}
	w.begun = true
	w.quote(name)
	w.data = append(w.data, ':')
}

func (w *Writer) quote(text string) {
	if isPlain(text) {
		w.data = append(w.data, '"')
		w.data = append(w.data, text...)
		w.data = append(w.data, '"')
		return
	}
	var err error
	w.data, err = jsontext.AppendQuote(w.data, text)
	w.note(err)
}

func (w *Writer) note(err error) {
	if err != nil && w.err == nil {
		w.err = err
	}
}
