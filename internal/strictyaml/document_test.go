package strictyaml_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tokenreview.dev/webhook/internal/strictyaml"
)

type object struct {
	Kind string         `json:"kind"`
	Free map[string]any `json:"free"`
	Map  map[string]int `json:"map"`
	Word word           `json:"word"`
	Text string         `json:"text"`
	Many []string       `json:"many"`
	// Allow and Rules are the same but for their names.
	Allow []object `json:"allow"`
	Rules []object `json:"rules"`
}

type word string

func TestEveryFaultIsExplained(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a misspelt field", "txt: a", `file:1: document 1: txt: unknown field: did you mean "text"?`},
		{"a misspelt field beside what may hold anything", "free: {a: b, c: 1, d: yes}\ntxt: a", `file:2: document 1: txt: unknown field: did you mean "text"?`},
		{"a duplicate", "text: a\ntext: b", "file:2: document 1: text: duplicate field: it is given at line 1 already, keep one"},
		{"a duplicate that begins a document", "kind: a\nkind: b", `file:2: document 1: kind: duplicate field: it is given at line 1 already, keep one, or put "---" before it if another document begins here`},
		{"a kind inside", "rules:\n- kind: a\n  kind: b", "file:3: document 1: rules[0].kind: duplicate field: it is given at line 2 already, keep one"},
		{"a number for a text", "text: 5", "file:1: document 1: text: expected a string, got a number: put it in quotes"},
		{"a boolean for a word of some", "word: yes", "file:1: document 1: word: expected a string, got a boolean"},
		{"a list for a text", "text: [a, b]", "file:1: document 1: text: expected a string, got a list: give one value"},
		{"a list for a text of a rule any of which admits", "allow:\n- text: [a, b]", "file:2: document 1: allow[0].text: expected a string, got a list: give one value here, and another rule for each of the others"},
		{"a list for a text of a rule all of which must hold", "rules:\n- text: [a, b]", "file:2: document 1: rules[0].text: expected a string, got a list: give one value"},
		{"a list in a list of texts", "allow:\n- many: [[a]]", "file:2: document 1: allow[0].many[0]: expected a string, got a list: give one value"},
		{"a text in a map of numbers", "map: {a b: c}", `file:1: document 1: map["a b"]: expected a number, got a string`},
		{"a list for a map", "free: []", "file:1: document 1: free: expected a mapping, got a list"},
		{"a duplicate in what may hold anything", "free:\n  a: [{b: 1, c: 2,\n    b: 3}]", "file:3: document 1: free.a[0].b: duplicate field: it is given at line 2 already, keep one"},
		{"a duplicate in a map", "map:\n  a: 1\n  a: 2", "file:3: document 1: map.a: duplicate field: it is given at line 2 already, keep one"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := strictyaml.Split("file", []byte(test.text))[0]
			d.Number = 1
			if d.Read() == nil {
				t.Fatal(d.Errors())
			}
			rest := strictyaml.Decode[object](d)
			if diff := cmp.Diff(test.want, d.Errors().Error()); diff != "" {
				t.Errorf("expected -, got +:\n%s", diff)
			}
			if rest == nil || d.Sound() {
				t.Errorf("expected the rest of a document with a fault, got %v, sound: %t", rest, d.Sound())
			}
		})
	}
}

func TestAnythingIsAllowedWhereAnythingIs(t *testing.T) {
	d := strictyaml.Split("file", []byte("free: {1: a, b: [1, {c: null}], yes: no, d: &d {e: 1.5}, f: {<<: *d, g: 2}}\n"))[0]
	if d.Read() == nil {
		t.Fatal(d.Errors())
	}
	got := strictyaml.Decode[object](d)
	want := map[string]any{"1": "a", "b": []any{int64(1), map[string]any{"c": nil}}, "true": false, "d": map[string]any{"e": 1.5}, "f": map[string]any{"e": 1.5, "g": int64(2)}}
	if len(d.Errors()) > 0 || got == nil {
		t.Fatal(d.Errors())
	}
	if diff := cmp.Diff(want, got.Free); diff != "" {
		t.Errorf("expected -, got +:\n%s", diff)
	}
}

func TestWhatIsFoundLaterHasItsLine(t *testing.T) {
	d := strictyaml.Split("file", []byte("\ufeff# 1\n---\nkind: a\nrules:\n- text: b\n- txt: c\n"))[0]
	d.Number = 3
	if kind := d.Read(); kind == nil || kind.Kind != "a" {
		t.Fatal(kind, d.Errors())
	}
	_ = strictyaml.Decode[object](d)
	d.Report(field.ErrorList{
		field.Required(field.NewPath("rules").Index(1).Child("text"), "an echo of what is misspelt"),
		field.Invalid(field.NewPath("rules").Index(0).Child("text"), "b", "no"),
		field.Required(field.NewPath("map"), "fill it in"),
	})
	d.AddErrorAt("", "none of it")
	const want = `file:3: document 3: map: Required value: fill it in
file:3: document 3: none of it
file:5: document 3: rules[0].text: Invalid value: "b": no
file:6: document 3: rules[1].txt: unknown field: did you mean "text"?`
	if diff := cmp.Diff(want, d.Errors().Sorted().Error()); diff != "" {
		t.Errorf("expected -, got +:\n%s", diff)
	}
}

func TestAnEmptyDocumentHasNoKindAndNoError(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "--- ~\n", "---\nnull\n"} {
		d := strictyaml.Split("file", []byte(text))[0]
		if kind := d.Read(); kind != nil || !d.IsEmpty() || len(d.Errors()) > 0 {
			t.Errorf("%q: got %v, empty: %t, %v", text, kind, d.IsEmpty(), d.Errors())
		}
	}
}
