// Package whoami prints users as "kubectl auth whoami" does, and how it was decided
// who they are.
package whoami

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/pkg/trace"
)

// Print prints the table that "kubectl auth whoami" prints when the webhook says
// that a token speaks for info: the API server adds the group
// system:authenticated.
func Print(w io.Writer, info authenticationv1.UserInfo) error {
	groups := info.Groups
	if !slices.Contains(groups, user.AllAuthenticated) {
		groups = append(slices.Clone(groups), user.AllAuthenticated)
	}
	table := NewTable(w)
	fmt.Fprint(table, "ATTRIBUTE\tVALUE\n")
	fmt.Fprintf(table, "Username\t%s\n", Printable(info.Username))
	if info.UID != "" {
		fmt.Fprintf(table, "UID\t%s\n", Printable(info.UID))
	}
	fmt.Fprintf(table, "Groups\t%s\n", list(groups))
	for _, key := range slices.Sorted(maps.Keys(info.Extra)) {
		fmt.Fprintf(table, "Extra: %s\t%s\n", Printable(key), list(info.Extra[key]))
	}
	return table.Flush()
}

// PrintSteps prints the steps of a decision as a table, whose outcomes are coloured if
// that is wanted.
func PrintSteps(w io.Writer, steps []trace.Step, coloured bool) error {
	// The layout counts what colours a cell as well: each of the column has as much of it.
	outcome := func(_, text string) string { return text }
	if coloured {
		outcome = func(colour, text string) string { return "\x1b[" + colour + "m" + text + "\x1b[0m" }
	}
	table := NewTable(w)
	fmt.Fprintf(table, "CHECK\t%s\tDETAIL\n", outcome(usual, "OUTCOME"))
	for _, step := range steps {
		detail := "-"
		if step.Detail != "" {
			detail = Printable(step.Detail)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", Printable(step.Check), outcome(colourOf(step.Outcome), Printable(string(step.Outcome))), detail)
	}
	return table.Flush()
}

// usual is the terminal's own colour (ECMA-48 §8.3.117, SGR).
const usual = "39"

func colourOf(outcome trace.Outcome) string {
	switch outcome {
	case trace.Passed:
		return "32" // green
	case trace.Failed:
		return "31" // red
	case trace.WouldFail:
		return "33" // yellow
	default:
		return usual
	}
}

func list(texts []string) string {
	printable := make([]string, len(texts))
	for i, text := range texts {
		printable[i] = Printable(text)
	}
	return "[" + strings.Join(printable, " ") + "]"
}

// Printable returns text as it is, or quoted if it has anything in it that could
// move the cursor, hide or forge a line: it may be a stranger's. (kubectl prints it
// raw.)
func Printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// NewTable returns a writer that lays out tab-separated columns as kubectl does.
func NewTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 6, 4, 3, ' ', 0)
}
