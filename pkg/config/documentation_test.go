package config_test

import (
	"os"
	"regexp"
	"testing"

	"tokenreview.dev/webhook/manifests/examples"
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
		if len(blocks) != 1 {
			t.Fatalf("%s: expected one configuration, got %d", page, len(blocks))
		}
		texts[page] = blocks[0][1]
	}
	files, err := examples.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := examples.Files.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		texts["manifests/examples/"+file.Name()] = data
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
