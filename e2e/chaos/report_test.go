package chaos

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// The report stands between these lines of the file that -report names.
const (
	reportBegin = "<!-- make chaos REPORT=1 writes what follows -->\n"
	reportEnd   = "<!-- until here -->\n"
)

// report is what came of each fault.
type report struct {
	faults []fault
	mu     sync.Mutex
	rows   []string
}

func newReport(faults []fault) *report {
	return &report{faults: faults, rows: make([]string, len(faults))}
}

// add fills in the row of a fault.
func (r *report) add(n int, l *load, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	usual := r.faults[n].load
	if usual == "" {
		usual = "usual"
	}
	lost := fmt.Sprint(l.lost.count)
	if l.cutOff.count > 0 {
		lost = fmt.Sprintf("%d, had by asking again", l.cutOff.count)
		if l.lost.count > 0 {
			lost += fmt.Sprintf("; %d for good", l.lost.count)
		}
	}
	row := fmt.Sprintf("| %s | %s | %.0f s | %d | %d | %s |", r.faults[n].name, usual, took.Seconds(), l.requests.Load(), l.wrong.count, lost)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows[n] = row
}

// publish prints the table, and writes it to the file if all of it is there and right.
func (r *report) publish(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var table strings.Builder
	fmt.Fprintln(&table, "| fault | load | duration | requests | wrong answers | lost answers |")
	fmt.Fprintln(&table, "|---|---|---|---|---|---|")
	complete := true
	for _, row := range r.rows {
		if row == "" {
			complete = false
			continue
		}
		fmt.Fprintln(&table, row)
	}
	t.Logf("\n%s", table.String())
	if *reportFile == "" {
		return
	}
	if t.Failed() || !complete {
		t.Errorf("%s stays as it is: not every fault was provoked and passed", *reportFile)
		return
	}
	data, err := os.ReadFile(*reportFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(data), reportBegin)
	_, after, ends := strings.Cut(rest, reportEnd)
	if !begins || !ends {
		t.Fatalf("%s has no place for the table", *reportFile)
	}
	if err := os.WriteFile(*reportFile, []byte(before+reportBegin+"\n"+table.String()+"\n"+reportEnd+after), 0o600); err != nil {
		t.Fatal(err)
	}
}
