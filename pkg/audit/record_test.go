package audit

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

// Whoever adds a field to Record adds it to the line.
func TestALineIsTheRecordAsItsTagsSay(t *testing.T) {
	full := Record{}
	fill(reflect.ValueOf(&full).Elem())
	for _, test := range []struct {
		name   string
		record Record
	}{
		{"every field", full},
		{"no field", Record{}},
		{"lists that are empty", Record{Groups: []string{}, Caller: Caller{URIs: []string{}}}},
		{"text that must be escaped", Record{Message: "\"\\\n\x00<&>\u2028é", Groups: []string{`"`, ""}, Claims: jsontext.Value("{\"\\\"\":\"a\u2028<\"}")}},
		{"claims that are no text", Record{Claims: jsontext.Value(`{"":true,"a":12345678901234567890,"z":{"b":[1.50,null],"a":{}}}`)}},
		{"times and durations", Record{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Duration: 1e-9, Omitted: 1 << 40}},
		{"a time with nanoseconds", Record{Time: time.Date(2026, 1, 2, 3, 4, 5, 1234567, time.UTC), Duration: 12.000000345}},
	} {
		t.Run(test.name, func(t *testing.T) {
			want, err := json.Marshal(&test.record, json.Deterministic(true))
			if err != nil {
				t.Fatal(err)
			}
			got, err := test.record.appendLine(nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want)+"\n", string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			// Another record about the same decision has another line alike.
			if test.record.Written, err = test.record.Decision(); err != nil {
				t.Fatal(err)
			}
			if again, err := test.record.appendLine(nil); err != nil || string(again) != string(got) {
				t.Errorf("expected the same with the decision written before, got %s, %v", again, err)
			}
		})
	}
	if line, err := (&Record{Username: "\xff"}).appendLine(nil); err == nil {
		t.Errorf("expected an error, as json.Marshal gives, got %s", line)
	}
	if decision, err := (&Record{Username: "\xff"}).Decision(); err == nil {
		t.Errorf("expected an error, got %s", decision)
	}
}

// fill gives every field of a struct a value, each its own.
func fill(value reflect.Value) {
	for i := range value.NumField() {
		if value.Type().Field(i).Tag.Get("json") == "-" {
			continue
		}
		switch field := value.Field(i); field.Interface().(type) {
		case string:
			field.SetString(fmt.Sprintf("text %d", i))
		case []string:
			field.Set(reflect.ValueOf([]string{fmt.Sprintf("first %d", i), "second"}))
		case bool:
			field.SetBool(true)
		case int64:
			field.SetInt(int64(i))
		case float64:
			field.SetFloat(float64(i) / 100)
		case time.Time:
			field.Set(reflect.ValueOf(time.Date(2026, 11, 25, 9, 30, 1, i, time.UTC)))
		case jsontext.Value:
			field.SetBytes([]byte(`{"a":[1],"b":"2"}`))
		case Fingerprint:
			field.Set(reflect.ValueOf(Fingerprint{1, 15: 0xff}))
		case Caller:
			fill(field)
		default:
			panic(fmt.Sprintf("a field of type %s, which is not filled", field.Type()))
		}
	}
}
