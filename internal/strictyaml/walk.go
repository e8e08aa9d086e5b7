package strictyaml

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
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
	document *Document
}

// value checks one node and reports whether it can be decoded into t.
func (w walk) value(node *yaml.Node, t reflect.Type, path string) bool {
	if node.Kind == yaml.AliasNode {
		return true
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch got, want := describe(node), describeType(t); {
	case got == aNull:
	case t == durationType && got == aString:
		if _, err := time.ParseDuration(node.Value); err != nil {
			w.wrong(node, path, fmt.Sprintf("%q is not a duration: write one such as \"24h\" or \"90m\"", node.Value))
			return false
		}
	case node.Kind == yaml.MappingNode && want == aMapping, node.Kind == yaml.MappingNode && isAny(t):
		w.mapping(node, t, path)
	case node.Kind == yaml.SequenceNode && (t.Kind() == reflect.Slice || isAny(t)):
		for i, item := range node.Content {
			if !w.value(item, elem(t), fmt.Sprintf("%s[%d]", path, i)) {
				node.Content[i] = null()
			}
		}
	case got != want && !isAny(t):
		w.wrong(node, path, fmt.Sprintf("expected %s, got %s%s", want, got, remedy(t, got, path)))
		return false
	}
	return true
}

// remedy says, as what follows an error, what to write where a text is expected.
func remedy(t reflect.Type, got, path string) string {
	switch {
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String && got == aString:
		return ": put it in [brackets]"
	case t.Kind() != reflect.String:
		return ""
	case got == aList && ruleField.MatchString(path):
		return ": give one value here, and another rule for each of the others"
	case got == aList:
		return ": give one value"
	case got == aMapping && strings.HasSuffix(path, ".jwks"):
		return ": write it as text, with | before it or in quotes"
	// A type of its own is an enumeration, of which neither is a member in quotes.
	case (got == aNumber || got == aBoolean) && t.PkgPath() == "":
		return ": put it in quotes"
	default:
		return ""
	}
}

// ruleField is a field of a rule any of which admits: the lists of those, and no
// others, are called allow.
var ruleField = regexp.MustCompile(`(^|\.)allow\[\d+\]\.\w+$`)

func isAny(t reflect.Type) bool { return t.Kind() == reflect.Interface }

// elem is the type of what is in a list or map, or in one that may hold anything.
func elem(t reflect.Type) reflect.Type {
	if isAny(t) {
		return t
	}
	return t.Elem()
}

// mapping checks the fields of a mapping, and keeps those that are known and new.
// In one that is no struct all are known.
func (w walk) mapping(node *yaml.Node, t reflect.Type, path string) {
	var fields map[string]reflect.Type
	if t.Kind() == reflect.Struct {
		fields = jsonFields(t)
	}
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
		if fields == nil {
			fieldType, known = elem(t), true
		}
		switch {
		case !known || key.Kind != yaml.ScalarNode:
			w.document.faulty = append(w.document.faulty, path)
			w.document.addError(line, fieldPath, "unknown field: "+suggestion(name, fields))
			continue
		case lines[name] > 0:
			w.document.faulty = append(w.document.faulty, path)
			w.document.addError(line, fieldPath, fmt.Sprintf("duplicate field: it is given at line %d already, keep one%s", lines[name], separator(fieldPath)))
			continue
		case !w.value(value, fieldType, fieldPath):
			value = null()
		}
		lines[name] = line
		kept = append(kept, key, value)
	}
	node.Content = kept
}

// separator says what else a duplicate of the field may mean: fields that every
// document has begin another one.
func separator(path string) string {
	if path != "apiVersion" && path != "kind" {
		return ""
	}
	return `, or put "---" before it if another document begins here`
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
	if len(fields) == 0 {
		return "a name is a plain text here"
	}
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
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
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
