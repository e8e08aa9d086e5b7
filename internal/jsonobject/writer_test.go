package jsonobject_test

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"tokenreview.dev/webhook/internal/jsonobject"
)

func TestMembersAreWrittenInTheirOrder(t *testing.T) {
	w := jsonobject.New([]byte("before "))
	w.Begin("empty")
	w.Finish()
	w.Text("text", "a \"b\" \\ <&> é \u2028\n\x01")
	w.Begin("in\"side")
	w.OptionalText("none", "")
	w.OptionalText("some", "x")
	w.OptionalTexts("none", nil)
	w.OptionalTexts("none", []string{})
	w.OptionalTexts("one", []string{"a"})
	w.OptionalTexts("two", []string{"a", ""})
	w.Texts("empty", nil)
	w.Finish()
	w.Bool("yes", true)
	w.Bool("no", false)
	w.Number("number", 1e-7)
	w.Time("time", time.Date(2026, 11, 25, 9, 30, 1, 5000, time.UTC))
	w.Value("value", jsontext.Value(` {"a": [1, null], "b":"\u0061"} `))
	w.Value("plain", jsontext.Value(`"a ~"`))
	w.Value("escaped", jsontext.Value(`"\u00e9\/\\"`))
	w.Written("written", jsontext.Value(`{"a":1}`))
	w.Members(jsontext.Value(`{"b":1,"c":2}`))
	w.Begin("inside")
	w.Members(jsontext.Value(`{"b":1}`))
	w.Text("d", "")
	w.Finish()
	data, err := w.End()
	if err != nil {
		t.Fatal(err)
	}
	want := `before {"empty":{},"text":"a \"b\" \\ <&> é ` + "\u2028" + `\n\u0001","in\"side":{"some":"x","one":["a"],"two":["a",""],"empty":[]},"yes":true,"no":false,` +
		`"number":1e-7,"time":"2026-11-25T09:30:01.000005Z","value":{"a":[1,null],"b":"a"},"plain":"a ~","escaped":"é/\\","written":{"a":1},"b":1,"c":2,"inside":{"b":1,"d":""}}`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestWhatIsNoJSONIsAnError(t *testing.T) {
	for _, test := range []struct {
		name string
		add  func(*jsonobject.Writer)
		want string // empty where the object is of no use
	}{
		{"text that is not UTF-8", func(w *jsonobject.Writer) { w.Text("a", "\xff") }, `{"a":"` + "\ufffd" + `","last":"","value":1}`},
		{"a name that is not UTF-8", func(w *jsonobject.Writer) { w.Text("\xff", "a") }, `{"` + "\ufffd" + `":"a","last":"","value":1}`},
		{"a list with text that is not UTF-8", func(w *jsonobject.Writer) { w.OptionalTexts("a", []string{"\xff", "b"}) }, `{"a":["` + "\ufffd" + `","b"],"last":"","value":1}`},
		{"a value cut short", func(w *jsonobject.Writer) { w.Value("a", jsontext.Value(`{"b":`)) }, ""},
		{"no value", func(w *jsonobject.Writer) { w.Value("a", nil) }, ""},
		{"two texts", func(w *jsonobject.Writer) { w.Value("a", jsontext.Value(`"b","c"`)) }, ""},
		{"a text without end", func(w *jsonobject.Writer) { w.Value("a", jsontext.Value(`"`)) }, ""},
		{"a text with a line feed", func(w *jsonobject.Writer) { w.Value("a", jsontext.Value("\"\n\"")) }, ""},
		{"a text that is not UTF-8", func(w *jsonobject.Writer) { w.Value("a", jsontext.Value("\"\xff\"")) }, ""},
		{"two values", func(w *jsonobject.Writer) { w.Value("a", jsontext.Value(`1,"b":2`)) }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := jsonobject.New(nil)
			test.add(w)
			w.Text("last", "") // does not hide the error
			w.Value("value", jsontext.Value("1"))
			data, err := w.End()
			if err == nil {
				t.Errorf("expected an error, got %s", data)
			}
			if test.want != "" && string(data) != test.want {
				t.Errorf("got %s", data)
			}
		})
	}
}

func TestNamesAreInOrder(t *testing.T) {
	if diff := cmp.Diff([]string{"a", "b", "c"}, jsonobject.Names(map[string]int{"b": 1, "c": 2, "a": 3})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
