package reason_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"tokenreview.dev/webhook/pkg/reason"
)

func TestEveryCodeIsDocumentedAndNoOther(t *testing.T) {
	page, err := os.ReadFile("../../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []reason.Code
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\|").FindAllSubmatch(page, -1) {
		documented = append(documented, reason.Code(row[1]))
	}
	if codes := reason.Codes(); !slices.Equal(documented, codes) {
		t.Errorf("expected docs/reasons.md to list, in this order,\n%q, got\n%q", codes, documented)
	}
}

func TestRefusalsEndWithTheirCode(t *testing.T) {
	if got := (reason.Refusal{Code: reason.Expired, Text: "too late"}).String(); got != "too late (Expired)" {
		t.Errorf("got %q", got)
	}
	if got := (reason.Refusal{}).String(); got != "" {
		t.Errorf("expected nothing of the zero refusal, got %q", got)
	}
}
