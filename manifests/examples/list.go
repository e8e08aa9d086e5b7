package examples

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Example is one configuration of Files.
type Example struct {
	// Name is the file's without .yaml: what `webhook config example` takes.
	Name string
	// Title is the first line of Text, without the mark of a comment.
	Title string
	Text  []byte
	// Test is its policy test.
	Test []byte
}

// List returns the examples in the order of their names.
func List() ([]Example, error) {
	files, err := Files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("list examples: %w", err)
	}
	var list []Example
	for _, file := range files {
		name := strings.TrimSuffix(file.Name(), ".yaml")
		if strings.HasSuffix(name, ".test") {
			continue
		}
		text, err := Files.ReadFile(file.Name())
		if err != nil {
			return nil, fmt.Errorf("read example: %w", err)
		}
		test, err := Files.ReadFile(name + ".test.yaml")
		if err != nil {
			return nil, fmt.Errorf("read policy test of an example: %w", err)
		}
		first, _, _ := bytes.Cut(text, []byte("\n"))
		list = append(list, Example{Name: name, Title: strings.TrimPrefix(string(first), "# "), Text: text, Test: test})
	}
	slices.SortFunc(list, func(a, b Example) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
