package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/audit"
)

// While one process takes over from another (serve --permit-port-sharing), both write to
// one file.
func TestTwoProcessesThatWriteToOneFileLoseNoLineAndTearNone(t *testing.T) {
	t.Run("in turns", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.log")
		processes := []*logged{startAt(t, path, 0), startAt(t, path, 0)}
		var want []string
		for turn := range 6 {
			id := fmt.Sprintf("turn-%d", turn)
			want = append(want, id)
			processes[turn%2].Write(accepted(id), v1alpha1.AuditAll)
			eventually(t, "the line is written", func() bool {
				data, _ := os.ReadFile(path)
				return strings.Contains(string(data), id)
			})
		}
		if got := ids(t, read(t, path)); !slices.Equal(got, want) {
			t.Errorf("want the lines %q, got %q", want, got)
		}
	})
	for _, test := range []struct {
		name string
		// aside is done by somebody else now and then.
		aside func(path, to string)
	}{
		{"at the same time, and set aside by both", func(string, string) {}},
		// There need not be a file at the moment.
		{"and by somebody else", func(path, to string) { _ = os.Rename(path, to) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			const each = 1500 // some megabytes, of which each file has one
			dir := t.TempDir()
			path := filepath.Join(dir, "audit.log")
			processes := []*logged{startAt(t, path, 1), startAt(t, path, 1)}
			var writing sync.WaitGroup
			for n, process := range processes {
				writing.Go(func() {
					for i := range each {
						record := accepted(fmt.Sprintf("%d-%d", n, i))
						record.Message = strings.Repeat("m", 1200)
						process.Write(record, v1alpha1.AuditAll)
						if i%50 == 0 {
							test.aside(path, filepath.Join(dir, fmt.Sprintf("aside-%d-%d", n, i)))
						}
					}
				})
			}
			writing.Wait()
			for _, process := range processes {
				process.close(t)
				process.expect(t, map[audit.Result]int{audit.Written: each})
			}
			files, err := filepath.Glob(filepath.Join(dir, "a*"))
			if err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, file := range files {
				all = append(all, ids(t, read(t, file))...)
			}
			slices.Sort(all)
			if got := len(slices.Compact(all)); got != len(processes)*each || len(all) != got {
				t.Errorf("got %d lines of which %d differ, want %d", len(all), got, len(processes)*each)
			}
		})
	}
}

// startAt starts a log that goes to a file, as each process has one.
func startAt(t *testing.T, path string, maxSizeMB int) *logged {
	t.Helper()
	l := start(t, nil)
	l.use(t, audit.Config{Path: path, MaxSizeMB: maxSizeMB})
	return l
}
