package config_test

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"tokenreview.dev/webhook/pkg/config"
)

// What is written for people to copy must be valid, without a warning.
func TestDocumentedConfigurationsAreValid(t *testing.T) {
	texts := map[string][]byte{}
	for _, page := range []string{"README.md", "docs/configuration.md"} {
		data, err := os.ReadFile("../../" + page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```yaml\n(# webhook.yaml\n.*?)```").FindAllSubmatch(data, -1)
		if len(blocks) == 0 {
			t.Fatalf("%s: expected a configuration", page)
		}
		for i, block := range blocks {
			texts[fmt.Sprintf("%s, number %d", page, i+1)] = block[1]
		}
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			loaded, err := config.Parse(name, text)
			if err != nil {
				t.Fatal(err)
			}
			if len(loaded.Warnings) > 0 {
				t.Error(loaded.Warnings)
			}
		})
	}
}
