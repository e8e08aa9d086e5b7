package config

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kyaml "sigs.k8s.io/yaml"
)

// walk explains why a strict decoder refuses a document: it compares the node tree
// with the Go type by the type's json tags, and adds an error for every unknown
// field, duplicate field and wrong type. It takes what is faulty out of the tree,
// so that the rest can still be decoded and validated.
//
// It never decides: the decoder does. An alias is therefore left alone, its anchor
// is looked at where it stands.
type walk struct {
	document *document
}

// value checks one node and reports whether it can be decoded into t.
func (w walk) value(node *yaml.Node, t reflect.Type, path string) bool {
	if node.Kind == yaml.AliasNode {
		return true
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	got, want := describe(node), describeType(t)
	switch {
	case got == aNull:
	case t == durationType && got == aString:
		if _, err := time.ParseDuration(node.Value); err != nil {
			w.wrong(node, path, fmt.Sprintf("%q is not a duration: write one such as \"24h\" or \"90m\"", node.Value))
			return false
		}
	case t == durationType, t.Kind() != reflect.Struct && t.Kind() != reflect.Slice:
		if got != want {
			message := fmt.Sprintf("expected %s, got %s", want, got)
			if want == aString && (got == aNumber || got == aBoolean) {
				message += ": put it in quotes"
			}
			w.wrong(node, path, message)
			return false
		}
	case t.Kind() == reflect.Struct && node.Kind == yaml.MappingNode:
		w.mapping(node, t, path)
	case t.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		for i, item := range node.Content {
			if !w.value(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i)) {
				node.Content[i] = null()
			}
		}
	default:
		w.wrong(node, path, fmt.Sprintf("expected %s, got %s", want, got))
		return false
	}
	return true
}

// mapping checks the fields of a mapping, and keeps those that are known and new.
func (w walk) mapping(node *yaml.Node, t reflect.Type, path string) {
	fields := jsonFields(t)
	lines := map[string]int{}
	kept := node.Content[:0:0]
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Tag == "!!merge" {
			kept = append(kept, key, value)
			continue
		}
		name, line := key.Value, w.document.lineOf(key)
		fieldPath := join(path, name)
		fieldType, known := fields[name]
		switch {
		case !known || key.Kind != yaml.ScalarNode:
			w.document.faulty = append(w.document.faulty, path)
			w.document.addError(line, fieldPath, "unknown field: "+suggestion(name, fields))
			continue
		case lines[name] > 0:
			w.document.faulty = append(w.document.faulty, path)
			w.document.addError(line, fieldPath, fmt.Sprintf("duplicate field: it is given at line %d already, keep one", lines[name]))
			continue
		case !w.value(value, fieldType, fieldPath):
			value = null()
		}
		lines[name] = line
		kept = append(kept, key, value)
	}
	node.Content = kept
}

func (w walk) wrong(node *yaml.Node, path, message string) {
	w.document.faulty = append(w.document.faulty, path)
	w.document.addError(w.document.lineOf(node), path, message)
}

// jsonFields are the names under which encoding/json knows the fields of a struct.
func jsonFields(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && !f.Anonymous && name != "-" {
			fields[name] = f.Type
		}
	}
	return fields
}

// join appends a name to a path, quoted where it is no plain word.
func join(path, name string) string {
	if strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || '9' < r) && (r < 'A' || 'Z' < r) && (r < 'a' || 'z' < r)
	}) || name == "" {
		return path + "[" + strconv.Quote(name) + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// suggestion says what may have been meant by an unknown field.
func suggestion(name string, fields map[string]reflect.Type) string {
	known := make([]string, 0, len(fields))
	for field := range fields {
		known = append(known, field)
	}
	slices.Sort(known)
	for _, field := range known {
		if strings.EqualFold(field, name) {
			return fmt.Sprintf("did you mean %q? Case matters", field)
		}
	}
	for _, field := range known {
		allowed := max(1, len(field)/4)
		if len(name) <= len(field)+allowed && distance(strings.ToLower(field), strings.ToLower(name)) <= allowed {
			return fmt.Sprintf("did you mean %q?", field)
		}
	}
	return "known here: " + strings.Join(known, ", ")
}

// distance is the number of bytes to insert, delete or replace to get from a to b
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// What a value is, as an error says it.
const (
	aBoolean = "a boolean"
	aList    = "a list"
	aMapping = "a mapping"
	aNull    = "null"
	aNumber  = "a number"
	aString  = "a string"
)

var durationType = reflect.TypeFor[metav1.Duration]()

func describeType(t reflect.Type) string {
	switch {
	case t == durationType:
		return `a duration such as "24h"`
	case t.Kind() == reflect.Bool:
		return aBoolean
	case t.Kind() == reflect.String:
		return aString
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return "a list of strings"
	case t.Kind() == reflect.Slice:
		return "a list of mappings"
	case t.Kind() == reflect.Struct:
		return aMapping
	default:
		return aNumber
	}
}

// describe says what the decoders take a node for. They read YAML 1.1, in which a
// plain yes is a boolean; the node tree is YAML 1.2.
func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return aMapping
	case yaml.SequenceNode:
		return aList
	}
	text := []byte(node.Value)
	if node.Style != 0 {
		text, _ = yaml.Marshal(node)
	}
	data, err := kyaml.YAMLToJSON(text)
	switch {
	case err != nil || bytes.HasPrefix(data, []byte(`"`)):
		return aString
	case bytes.Equal(data, []byte("null")):
		return aNull
	case bytes.Equal(data, []byte("true")) || bytes.Equal(data, []byte("false")):
		return aBoolean
	default:
		return aNumber
	}
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.Style == 0 && node.ShortTag() == "!!null"
}

func null() *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"} }
