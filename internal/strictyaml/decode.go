package strictyaml

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	kyaml "sigs.k8s.io/yaml"
)

// Decode decodes a document that has been parsed as apimachinery decodes upstream's
// kinds: from YAML 1.1 to JSON, and from that to the type, with case respected. Where
// the document has faults it adds them, and returns what is left of it without them;
// nil where nothing is.
func Decode[T any](d *Document) *T {
	decode := func(text []byte) (*T, error) {
		data, err := kyaml.YAMLToJSON(text)
		if err != nil {
			return nil, err
		}
		_, duplicates := kyaml.YAMLToJSONStrict(text)
		object := new(T)
		strict, err := kjson.UnmarshalStrict(data, object)
		return object, errors.Join(slices.Concat([]error{err, duplicates}, strict)...)
	}
	object, err := decode(d.Text)
	if err != nil {
		object = nil
		d.Explain(err, reflect.TypeFor[T](), func(text []byte) {
			if rest, err := decode(text); err == nil {
				object = rest
			}
		})
	}
	return object
}

// Explain adds why a decoder refused the document as a t, and gives decode what is
// left of it without its faults.
func (d *Document) Explain(refusal error, t reflect.Type, decode func(text []byte)) {
	before := len(d.errs)
	if d.root != nil {
		walk{d}.value(d.root, t, "")
	}
	if len(d.errs) == before {
		d.faulty = append(d.faulty, "")
		d.AddErrorAt("", refusal.Error())
		return
	}
	if rest, err := yaml.Marshal(d.root); err == nil {
		decode(rest)
	}
}

// RefuseNulls adds an error for every name that YAML takes for a boolean, in a document
// that has not been decoded yet, and for every null but for those in mappings with the
// names given, where null means something. To the decoders null is as good as absent, so
// that a restriction of which all values are commented out would restrict nobody.
func (d *Document) RefuseNulls(allowed ...string) {
	d.refuse(d.root, "", allowed, func(node *yaml.Node) string {
		if describe(node) == aNull {
			return "is null: fill it in or remove it"
		}
		return ""
	})
}

// RefuseEmpty is RefuseNulls for a document in which empty text, too, would be as good
// as absent: what a template makes of a value that is missing.
func (d *Document) RefuseEmpty() {
	d.refuse(d.root, "", nil, func(node *yaml.Node) string {
		switch {
		case describe(node) == aNull:
			return "is null: fill it in or remove it"
		case node.Value == "":
			return "is empty: fill it in or remove it"
		}
		return ""
	})
}

// refuse adds what problem says of each scalar.
func (d *Document) refuse(node *yaml.Node, path string, allowed []string, problem func(*yaml.Node) string) {
	switch {
	case node == nil:
	case node.Kind == yaml.ScalarNode:
		if text := problem(node); text != "" {
			d.faulty = append(d.faulty, path)
			d.addError(d.lineOf(node), path, text)
		}
	case node.Kind == yaml.SequenceNode:
		for i, item := range node.Content {
			d.refuse(item, fmt.Sprintf("%s[%d]", path, i), allowed, problem)
		}
	case node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			name := key.Value
			if describe(key) == aBoolean {
				d.faulty = append(d.faulty, path)
				d.addError(d.lineOf(key), join(path, name), "to YAML the name is a boolean: put it in quotes")
			}
			of := problem
			if value.Kind == yaml.MappingNode && slices.Contains(allowed, name) {
				of = func(*yaml.Node) string { return "" }
			}
			d.refuse(value, join(path, name), allowed, of)
		}
	}
}

// Sound reports whether decoding found no fault: that the object is all that the
// document says.
func (d *Document) Sound() bool { return len(d.faulty) == 0 }

// Kind is the document's kind as the node tree has it.
func (d *Document) Kind() schema.GroupVersionKind {
	var apiVersion, kind string
	if _, value := child(d.root, "apiVersion"); value != nil {
		apiVersion = value.Value
	}
	if _, value := child(d.root, "kind"); value != nil {
		kind = value.Value
	}
	return schema.FromAPIVersionAndKind(apiVersion, kind)
}

// AddKindError adds that the document is not of the kind that is wanted.
func (d *Document) AddKindError(want string) {
	gvk, path := d.Kind(), "kind"
	if gvk.Version == "" {
		path = "apiVersion"
	}
	d.AddErrorAt(path, fmt.Sprintf("%s; it has kind %q and apiVersion %q", want, gvk.Kind, gvk.GroupVersion()))
}
