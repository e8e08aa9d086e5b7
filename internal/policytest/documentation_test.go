package policytest_test

import (
	"errors"
	"os"
	"regexp"
	"testing"

	"tokenreview.dev/webhook/internal/policytest"
)

// What is written for people to copy works with the configuration of the same page.
func TestTheDocumentedTestsPass(t *testing.T) {
	for _, page := range []string{"README.md", "docs/policy-tests.md"} {
		t.Run(page, func(t *testing.T) {
			text, err := os.ReadFile("../../" + page)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string][]byte{}
			for _, block := range regexp.MustCompile("(?s)```yaml\n(# (webhook\\S*\\.yaml)\n.*?)```").FindAllSubmatch(text, -1) {
				files[string(block[2])] = block[1]
			}
			result := policytest.RunFile(t.Context(), "webhook.test.yaml", func(path string) ([]byte, error) {
				if files[path] == nil {
					return nil, errors.New("not a file of the page: " + path)
				}
				return files[path], nil
			}, now, nil)
			if !result.Passed() {
				t.Errorf("%v, %+v", result.Err, result.Results)
			}
		})
	}
}
