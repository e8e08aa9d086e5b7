package strictyaml

import (
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/yaml"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
)

// What walk takes a scalar for must be what the decoders do, or it would explain a
// fault that is none.
func TestScalarsAreReadAsTheDecodersReadThem(t *testing.T) {
	kinds := map[reflect.Kind]string{reflect.String: aString, reflect.Bool: aBoolean, reflect.Float64: aNumber, reflect.Invalid: aNull}
	for _, text := range []string{
		"a", `"a"`, "yes", "On", "n", `"yes"`, "!!str yes", "!!bool yes", "true", "True", "'true'",
		"1", "1_000", "0x1f", "0o7", "07", "1.5", "1e3", "-1", "+1", `"1"`, "!!str 1", "!!int 1", ".inf", "1:30",
		"~", "null", "Null", `"null"`, "!!null ''", "2026-01-02", "a\n\n  b", "|\n  yes\n", ">-\n  1", "=", "<<", "- ", "!a b",
	} {
		var document yaml.Node
		if err := yaml.Unmarshal([]byte("field: "+text), &document); err != nil {
			continue // Not a scalar that a document can have.
		}
		var decoded map[string]any
		if err := kyaml.Unmarshal([]byte("field: "+text), &decoded); err != nil {
			continue
		}
		want, ok := kinds[reflect.ValueOf(decoded["field"]).Kind()]
		if got := describe(document.Content[0].Content[1]); ok && got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestSuggestions(t *testing.T) {
	fields := jsonFields(reflect.TypeFor[v1alpha1.IssuerPolicySpec]())
	for name, want := range map[string]string{
		"reservednames":         `did you mean "reservedNames"? Case matters`,
		"reservedName":          `did you mean "reservedNames"?`,
		"resrevedNames":         `did you mean "reservedNames"?`,
		"githubAction":          `did you mean "githubActions"?`,
		"key":                   `did you mean "keys"?`,
		"signing":               "known here: ",
		strings.Repeat("k", 99): "known here: ",
		"":                      "known here: ",
	} {
		if got := suggestion(name, fields); !strings.HasPrefix(got, want) {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestFieldsOfEmbeddedStructs(t *testing.T) {
	fields := jsonFields(reflect.TypeFor[v1alpha1.IssuerPolicy]())
	for _, name := range []string{"apiVersion", "kind", "metadata", "spec"} {
		if fields[name] == nil {
			t.Errorf("no field %s", name)
		}
	}
	if len(fields) != 4 {
		t.Errorf("got %v", fields)
	}
}
