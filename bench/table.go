package main

import (
	"fmt"
	"strings"
)

// table is a table in Markdown, a line to a row.
func table(heading []string, rows [][]string) string {
	var text strings.Builder
	line := func(cells []string) {
		for _, cell := range cells {
			fmt.Fprintf(&text, "| %s ", strings.NewReplacer("|", `\|`, "\n", " ").Replace(cell))
		}
		text.WriteString("|\n")
	}
	line(heading)
	text.WriteString(strings.Repeat("|---", len(heading)) + "|\n")
	for _, row := range rows {
		line(row)
	}
	return text.String()
}
