package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/yaml"
)

// document is one YAML document of a file. Its node tree serves positions and
// explanations alone; what the document says comes from the decoders that
// kube-apiserver uses.
type document struct {
	file   string
	number int
	// line is where the document begins in the file.
	line int
	text []byte
	// root is the document's value; nil where it is empty or no YAML.
	root *yaml.Node
	// faulty are the paths at or under which strict decoding found a fault.
	faulty []string
	errs   Errors
}

// splitDocuments cuts a file at the lines with which YAML begins a document: "---"
// in the first column and a blank after it, wherever it stands (YAML 1.1 §4.3.1;
// libyaml looks for nothing else). What precedes the first such line, be it
// comments and directives alone, belongs to the first document.
//
// Only that line break is honoured which editors write. A text that separates
// documents by one of YAML's others (CR, NEL, LS, PS) has two documents in one
// piece, which parse refuses.
func splitDocuments(file string, text []byte) []*document {
	var documents []*document
	begun := false
	start, startLine := 0, 1
	offset, number := 0, 1
	cut := func() {
		documents = append(documents, &document{file: file, line: startLine, text: text[start:offset]})
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

// parse reads the document's node tree. It refuses a text that is more than one
// document: the decoders would read the first of them and be silent about the rest.
func (d *document) parse() error {
	decoder := yaml.NewDecoder(bytes.NewReader(d.text))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		if _, decoderErr := kyaml.YAMLToJSON(d.text); decoderErr != nil {
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

// lineOf is the line in the file of one of the document's nodes.
func (d *document) lineOf(node *yaml.Node) int { return d.line + node.Line - 1 }

// firstLine is the line of the document's first field, or of its beginning.
func (d *document) firstLine() int {
	if d.root == nil {
		return d.line
	}
	return d.lineOf(d.root)
}

// addError adds an error at a line of the file.
func (d *document) addError(line int, path, message string) {
	d.errs = append(d.errs, Error{
		File: d.file, Line: line, Document: d.number, Path: path, Message: printable(message),
	})
}

// addErrorAt adds an error at the line of a field.
func (d *document) addErrorAt(path, message string) {
	_, line := d.lookup(path)
	d.addError(line, path, message)
}

// addSyntaxError adds the error of a YAML parser, at the line that it names.
func (d *document) addSyntaxError(err error) {
	line, message := d.firstLine(), strings.TrimPrefix(err.Error(), "yaml: ")
	if match := yamlLine.FindStringSubmatch(message); match != nil {
		if n, err := strconv.Atoi(match[1]); err == nil {
			// What is missing at the end is missed on the line after the last.
			last := bytes.Count(bytes.TrimRight(d.text, "\r\n"), []byte("\n")) + 1
			line, message = d.line+min(n, last)-1, message[len(match[0]):]
		}
	}
	d.addError(line, "", "not valid YAML: "+message)
}

var yamlLine = regexp.MustCompile(`^line (\d+): `)
