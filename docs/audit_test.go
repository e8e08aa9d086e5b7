package docs_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tokenreview.dev/webhook/pkg/audit"
)

// audit.md is what people write their queries by.
func TestTheAuditLogHasTheFieldsThatItsPageListsAndNoOther(t *testing.T) {
	want := fields(reflect.TypeFor[audit.Record](), "")
	got := firstColumn(t, "What is in a line")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("a line has the fields\n%q\nand audit.md lists\n%q", want, got)
	}
}

// fields are the names in JSON, those of objects within it included.
func fields(of reflect.Type, prefix string) []string {
	var names []string
	for i := range of.NumField() {
		field := of.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		names = append(names, prefix+name)
		if field.Type == reflect.TypeFor[audit.Caller]() {
			names = append(names, fields(field.Type, prefix+name+".")...)
		}
	}
	return names
}

func TestAnAnswerHasTheAnnotationsThatThePageListsAndNoOther(t *testing.T) {
	source, err := os.ReadFile("../pkg/tokenreview/explain.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, match := range regexp.MustCompile(`= "(tokenreview\.dev/[a-z-]+)"`).FindAllSubmatch(source, -1) {
		want = append(want, string(match[1]))
	}
	if got := firstColumn(t, "Asking about one token"); !slices.Equal(got, want) {
		t.Errorf("explain.go has\n%q\nand audit.md lists\n%q", want, got)
	}
}

// firstColumn is that of the table under a heading of audit.md.
func firstColumn(t *testing.T, heading string) []string {
	t.Helper()
	page, err := os.ReadFile("audit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("audit.md has no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var names []string
	for _, match := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(section, -1) {
		names = append(names, match[1])
	}
	return names
}
