package main

import (
	_ "embed"
	"fmt"
	"os"
	"strings"
	"text/template"
)

// report is what a run has measured.
type report struct {
	machine machine
	// options are those of the run.
	options options
	bars    []bar
	curves  []curve
	// https and memory are rows of tables.
	https, memory [][]string
}

// bar is something that must be reached.
type bar struct {
	what, must, measured string
	reached              bool
}

// conclude writes the report, and then fails if a bar is missed. A short run only shows
// that all of it works: it misses none.
func (r *report) conclude() error {
	if err := r.write(r.options.out); err != nil {
		return err
	}
	missed := r.missed()
	if r.options.short || len(missed) == 0 {
		return nil
	}
	for _, bar := range missed {
		say("Missed: %s: %s, must be %s", bar.what, bar.measured, bar.must)
	}
	return fmt.Errorf("%d of %d bars are missed; the report says by how much", len(missed), len(r.bars))
}

func (r *report) missed() []bar {
	var missed []bar
	for _, bar := range r.bars {
		if !bar.reached {
			missed = append(missed, bar)
		}
	}
	return missed
}

var (
	//go:embed report.md.tmpl
	page string
	// profiles is what people have found out from profiles.
	//
	//go:embed profiles.md
	profiles string
)

// text is the page.
func (r *report) text() (string, error) {
	parsed, err := template.New("report").Parse(page)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	err = parsed.Execute(&text, map[string]any{
		"Short": r.options.short, "Askers": askers, "Rounds": r.options.rounds, "Slice": r.options.slice,
		"RequestRounds": r.options.requestRounds(), "Request": r.options.request(),
		"Machine":  r.machine.String(),
		"Bars":     r.barTable(),
		"HTTPS":    table([]string{"who asks", "what", "throughput", "of the null server's", "p50", "p99", "times its p99", "processor of the server"}, r.https),
		"Curves":   r.curveTable(),
		"Memory":   table([]string{"distinct tokens", "memory, MiB", "most so far, MiB", "throughput since"}, r.memory),
		"Profiles": profiles,
	})
	return text.String(), err
}

func (r *report) barTable() string {
	var rows [][]string
	for _, bar := range r.bars {
		reached := "yes"
		if !bar.reached {
			reached = "**no**"
		}
		rows = append(rows, []string{bar.what, bar.must, bar.measured, reached})
	}
	return table([]string{"what", "bar", "measured", "reached"}, rows)
}

func (r *report) curveTable() string {
	var rows [][]string
	for i := range r.curves {
		rows = append(rows, r.curves[i].row())
	}
	return table([]string{"what grows, what is measured", "first", "at each point", "flat", "why not"}, rows)
}

func (m machine) String() string {
	return fmt.Sprintf("Measured on %s, %d cores, with %s.", m.processor, m.cores, m.webhook)
}

// write replaces the file by the page, or prints it if there is none.
func (r *report) write(file string) error {
	text, err := r.text()
	if err != nil {
		return err
	}
	if file == "" {
		_, err := os.Stdout.WriteString(text)
		return err
	}
	return os.WriteFile(file, []byte(text), 0o600)
}
