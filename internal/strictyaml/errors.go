package strictyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing that is wrong in a file, and where.
type Error struct {
	// File is the name that Split was given.
	File string
	// Line counts from 1.
	Line int
	// Document counts the documents that are not empty from 1; 0 is the file as a
	// whole.
	Document int
	// Path is the field, such as jwt[0].issuer.url; empty is the whole document.
	Path string
	// Message says what is wrong and what to do, in one line.
	Message string
}

// Error is "FILE:LINE: document N: PATH: MESSAGE" without the parts that are not
// known.
func (e Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s:%d: ", escaped(e.File), e.Line)
	if e.Document > 0 {
		fmt.Fprintf(&text, "document %d: ", e.Document)
	}
	if e.Path != "" {
		fmt.Fprintf(&text, "%s: ", e.Path)
	}
	text.WriteString(e.Message)
	return text.String()
}

// Errors is everything that is wrong in a file, in the order of the
// file.
type Errors []Error

// Error is the errors, one to a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Sorted returns the errors in the order of the file, each once.
func (e Errors) Sorted() Errors {
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Document, b.Document))
	})
	return slices.Compact(e)
}
