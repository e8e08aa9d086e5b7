package examples

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Example is one of Files.
type Example struct {
	// Name is the file's without .yaml: what `webhook config example` takes.
	Name string
	// Title is the first line of Text, without the mark of a comment.
	Title string
	Text  []byte
}

// List returns the examples in the order of their names.
func List() ([]Example, error) {
	files, err := Files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("list examples: %w", err)
	}
	var list []Example
	for _, file := range files {
		text, err := Files.ReadFile(file.Name())
		if err != nil {
			return nil, fmt.Errorf("read example: %w", err)
		}
		first, _, _ := bytes.Cut(text, []byte("\n"))
		list = append(list, Example{
			Name:  strings.TrimSuffix(file.Name(), ".yaml"),
			Title: strings.TrimPrefix(string(first), "# "),
			Text:  text,
		})
	}
	slices.SortFunc(list, func(a, b Example) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
