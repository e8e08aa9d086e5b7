package strictyaml

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// lookup finds the field at a path such as jwt[0].issuer.url: its value, nil where
// it is not there, and the line of the field or of its nearest ancestor.
func (d *Document) lookup(path string) (*yaml.Node, int) {
	node, line := d.root, d.firstLine()
	for _, name := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
		key, value := child(node, name)
		if value == nil {
			return nil, line
		}
		node, line = value, d.lineOf(key)
	}
	return node, line
}

// child is the member of a mapping or list with the name, and the node at whose
// line it begins.
func child(node *yaml.Node, name string) (key, value *yaml.Node) {
	if node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node == nil:
	case node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				return node.Content[i], node.Content[i+1]
			}
		}
	case node.Kind == yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && 0 <= i && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	}
	return nil, nil
}

// Report adds the errors that validation found, each at the line of its field.
// It leaves out those that only echo a fault of the document's form: what is
// missing may be what is misspelt.
func (d *Document) Report(list field.ErrorList) {
	for _, err := range list {
		node, line := d.lookup(err.Field)
		absent := node == nil || isNull(node)
		echo := slices.ContainsFunc(d.faulty, func(faulty string) bool {
			return absent && within(err.Field, faulty) ||
				err.Type == field.ErrorTypeRequired && within(faulty, err.Field)
		})
		if !echo {
			d.addError(line, err.Field, err.ErrorBody())
		}
	}
}

// within reports whether a path is that of a field or of one below it.
func within(path, ancestor string) bool {
	rest, ok := strings.CutPrefix(path, ancestor)
	return ok && (ancestor == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// printable makes one line of a message, without the picture that CEL draws below
// an error and without the credentials that a URL may contain.
func printable(message string) string {
	var text strings.Builder
	for line := range strings.Lines(message) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "|") {
			continue
		}
		switch {
		case text.Len() == 0:
		case strings.HasSuffix(text.String(), ":"):
			text.WriteString(" ")
		default:
			text.WriteString("; ")
		}
		text.WriteString(line)
	}
	return escaped(urlCredentials.ReplaceAllString(text.String(), "://[omitted]@"))
}

// escaped is text with escapes for what is not printable, as in Go: it may come from
// a file that somebody else has written, and is shown on terminals.
func escaped(text string) string {
	var out strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		out.WriteString(quoted[1 : len(quoted)-1])
	}
	return out.String()
}

var urlCredentials = regexp.MustCompile(`://[^/?#\s"]*@`)
