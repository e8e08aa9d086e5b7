package policytest

import (
	"fmt"
	"io"
	"strings"

	"tokenreview.dev/webhook/internal/whoami"
)

// FileResult is how the tests of one file came out.
type FileResult struct {
	File string
	// Err is why the file cannot be used, nil if it can be.
	Err     error
	Results []Result
}

// failed counts the file's failed cases.
func (f *FileResult) failed() int {
	failed := 0
	for i := range f.Results {
		if !f.Results[i].Passed() {
			failed++
		}
	}
	return failed
}

// Passed reports whether the file could be used and all its cases have passed.
func (f *FileResult) Passed() bool { return f.Err == nil && f.failed() == 0 }

// WriteText writes results for people: a line for each file, with the failed cases
// below it, or with all of them if verbose; and a last line that sums up.
func WriteText(w io.Writer, files []FileResult, verbose bool) error {
	var text strings.Builder
	var cases, failed, unusable int
	for i := range files {
		file := &files[i]
		cases += len(file.Results)
		failed += file.failed()
		switch {
		case file.Err != nil:
			unusable++
			fmt.Fprintf(&text, "FAIL  %s  cannot be used\n%s", whoami.Printable(file.File), indented(file.Err.Error()))
			continue
		case file.failed() > 0:
			fmt.Fprintf(&text, "FAIL  %s  %d of %s not as expected\n", whoami.Printable(file.File), file.failed(), count(len(file.Results), "case"))
		default:
			fmt.Fprintf(&text, "ok  %s  %s\n", whoami.Printable(file.File), count(len(file.Results), "case"))
		}
		for j := range file.Results {
			result := &file.Results[j]
			switch {
			case !result.Passed():
				fmt.Fprintf(&text, "    FAIL  %s\n%s", result.Name(), indented(indented(result.explain())))
			case verbose:
				fmt.Fprintf(&text, "    ok  %s\n", result.Name())
			}
		}
	}
	fmt.Fprintf(&text, "%s in %s", count(cases, "case"), count(len(files), "file"))
	switch {
	case failed == 0 && unusable == 0:
		text.WriteString(", all as expected\n")
	default:
		fmt.Fprintf(&text, ": %d not as expected, %s not usable\n", failed, count(unusable, "file"))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func indented(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" {
			line = "    " + whoami.Printable(strings.TrimRight(line, "\n")) + "\n"
		}
		out.WriteString(line)
	}
	return out.String()
}
