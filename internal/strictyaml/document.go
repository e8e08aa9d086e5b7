// Package strictyaml reads the documents of a YAML file as Kubernetes reads them,
// and says of everything that is wrong where it stands and what may have been meant.
//
// A file comes in at Split and leaves as Documents; Decode makes objects of them.
// What a document says is what kube-apiserver's decoders make of it: the node tree
// beside it serves positions and explanations alone. What the objects mean is for
// the packages whose objects they are; they hand back what they find by Report.
//
// Read it in this order: document.go, decode.go, walk.go, lookup.go, errors.go.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
	kyaml "sigs.k8s.io/yaml"
)

// Document is one YAML document of a file.
type Document struct {
	// Number is what errors call the document. Whoever reads the file sets it: which
	// documents count is theirs to say.
	Number int
	// Text is the document as it stands in the file.
	Text []byte

	file string
	// line is where the document begins in the file.
	line int
	// root is the document's value; nil where it is empty or no YAML.
	root *yaml.Node
	// faulty are the paths at or under which strict decoding found a fault.
	faulty []string
	errs   Errors
}

// Split cuts a file, which must be UTF-8, at the lines with which YAML begins a
// document: "---" in the first column and a blank after it, wherever it stands
// (YAML 1.1 §4.3.1; libyaml looks for nothing else). What precedes the first such
// line, be it comments and directives alone, belongs to the first document. There
// is one at least.
//
// Only that line break is honoured which editors write. A text that separates
// documents by one of YAML's others (CR, NEL, LS, PS) has two documents in one
// piece, which Parse refuses.
func Split(file string, text []byte) []*Document {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var documents []*Document
	begun := false
	start, startLine := 0, 1
	offset, number := 0, 1
	cut := func() {
		documents = append(documents, &Document{file: file, line: startLine, Text: text[start:offset]})
		start, startLine = offset, number
	}
	for line := range bytes.Lines(text) {
		switch {
		case beginsDocument(line):
			if begun {
				cut()
			}
			begun = true
		case !begun:
			begun = hasContent(line)
		}
		offset += len(line)
		number++
	}
	cut()
	return documents
}

func beginsDocument(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// hasContent tells a line of a document from the comments and directives before
// its first.
func hasContent(line []byte) bool {
	if bytes.HasPrefix(line, []byte("%")) {
		return false
	}
	line = bytes.TrimLeft(line, " \t\r\n")
	return len(line) > 0 && line[0] != '#'
}

// Read parses the document and returns the kind that it has, which is none where it
// is no mapping or the kind is no text. It returns nil where the document is no
// YAML, which is among its Errors then, or empty, which is not.
func (d *Document) Read() *metav1.TypeMeta {
	if err := d.Parse(); err != nil {
		d.AddSyntaxError(err)
		return nil
	}
	// Whether a document is empty, and of which kind it is, decides if what it
	// restricts is restricted: there the decoder's reading counts as well, not the
	// node tree's.
	data, err := kyaml.YAMLToJSON(d.Text)
	if err != nil {
		d.AddSyntaxError(err)
		return nil
	}
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	kind := &metav1.TypeMeta{}
	_ = kjson.UnmarshalCaseSensitivePreserveInts(data, kind)
	return kind
}

// Parse reads the document's node tree. It refuses a text that is more than one
// document: the decoders would read the first of them and be silent about the rest.
func (d *Document) Parse() error {
	decoder := yaml.NewDecoder(bytes.NewReader(d.Text))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		if _, decoderErr := kyaml.YAMLToJSON(d.Text); decoderErr != nil {
			return decoderErr // It names the line of the problem, err that of what it is in.
		}
		return err
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return fmt.Errorf("yaml: line %d: another document begins without a line \"---\": put one before it", second.Line)
	case !errors.Is(err, io.EOF):
		return err
	}
	d.root = first.Content[0]
	return nil
}

// IsEmpty reports whether there is nothing in a document that has been parsed.
func (d *Document) IsEmpty() bool { return d.root == nil || isNull(d.root) }

// lineOf is the line in the file of one of the document's nodes.
func (d *Document) lineOf(node *yaml.Node) int { return d.line + node.Line - 1 }

// firstLine is the line of the document's first field, or of its beginning.
func (d *Document) firstLine() int {
	if d.IsEmpty() {
		return d.line
	}
	return d.lineOf(d.root)
}

// Errors are those that were added so far.
func (d *Document) Errors() Errors { return d.errs }

// ErrorAt makes an error at the line of a field; the path "" is the document.
func (d *Document) ErrorAt(path, message string) Error {
	_, line := d.lookup(path)
	return d.errorOn(line, path, message)
}

func (d *Document) errorOn(line int, path, message string) Error {
	return Error{File: d.file, Line: line, Document: d.Number, Path: path, Message: printable(message)}
}

// AddErrorAt adds an error at the line of a field; the path "" is the document.
func (d *Document) AddErrorAt(path, message string) {
	d.errs = append(d.errs, d.ErrorAt(path, message))
}

// addError adds an error at a line of the file.
func (d *Document) addError(line int, path, message string) {
	d.errs = append(d.errs, d.errorOn(line, path, message))
}

// AddSyntaxError adds the error of a YAML parser, at the line that it names.
func (d *Document) AddSyntaxError(err error) {
	line, message := d.firstLine(), strings.TrimPrefix(err.Error(), "yaml: ")
	if match := yamlLine.FindStringSubmatch(message); match != nil {
		if n, err := strconv.Atoi(match[1]); err == nil {
			// What is missing at the end is missed on the line after the last.
			last := bytes.Count(bytes.TrimRight(d.Text, "\r\n"), []byte("\n")) + 1
			line, message = d.line+min(n, last)-1, message[len(match[0]):]
		}
	}
	d.addError(line, "", "not valid YAML: "+message)
}

var yamlLine = regexp.MustCompile(`^line (\d+): `)
