package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheReportIsWrittenBeforeAMissedBarFails(t *testing.T) {
	reached := bar{what: "start", must: "≤ 1 s", measured: "100 ms", reached: true}
	missed := bar{what: "memory", must: "≤ 128 MiB", measured: "200 MiB"}
	for _, test := range []struct {
		name  string
		short bool
		bars  []bar
		fails bool
		row   string
	}{
		{"all reached", false, []bar{reached}, false, "| start | ≤ 1 s | 100 ms | yes |"},
		{"one missed", false, []bar{reached, missed}, true, "| memory | ≤ 128 MiB | 200 MiB | **no** |"},
		{"one missed by a short run, which means nothing", true, []bar{missed}, false, "| memory | ≤ 128 MiB | 200 MiB | **no** |"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := report{options: options{short: test.short, out: filepath.Join(t.TempDir(), "performance.md")}, bars: test.bars}
			err := r.conclude()
			if failed := err != nil; failed != test.fails {
				t.Errorf("expected it to fail: %v, got %v", test.fails, err)
			}
			text, err := os.ReadFile(r.options.out)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), test.row+"\n") {
				t.Errorf("expected the row %q in\n%s", test.row, text)
			}
			if says := strings.Contains(string(text), "The numbers mean nothing"); says != test.short {
				t.Errorf("expected the page of a short run to say so, and no other to: %v", says)
			}
		})
	}
}
