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

// Whoever sets the file aside while it is written loses no line and tears none.
func TestNoLineIsLostOrTornWhoeverSetsTheFileAside(t *testing.T) {
	const rounds, writers, each = 10, 4, 50
	for _, test := range []struct {
		name string
		// size is that at which the log sets the file aside; the lines are 2.8 MB.
		size  int
		aside func(t *testing.T, l *logged, path, to string)
	}{
		{"by a rename", 0, func(t *testing.T, _ *logged, path, to string) { rename(t, path, to) }},
		{"by a rename and SIGHUP", 0, func(t *testing.T, l *logged, path, to string) {
			rename(t, path, to)
			l.Reopen()
		}},
		{"by a rename and an empty file in its place", 0, func(t *testing.T, _ *logged, path, to string) {
			rename(t, path, to)
			file, err := os.OpenFile(path, os.O_CREATE, 0o600)
			if err != nil {
				t.Error(err)
			}
			_ = file.Close()
		}},
		{"by the log itself", 1, func(*testing.T, *logged, string, string) {}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "audit.log")
			l := start(t, nil)
			l.use(t, audit.Config{Path: path, MaxSizeMB: test.size})
			write := func(id string) {
				record := accepted(id)
				record.Message = strings.Repeat("m", 1200)
				l.Write(record, v1alpha1.AuditAll)
			}
			written := 0
			for round := range rounds {
				var writing sync.WaitGroup
				for writer := range writers {
					writing.Go(func() {
						for n := range each {
							write(fmt.Sprintf("%d-%d-%d", round, writer, n))
						}
					})
				}
				if round > 0 {
					test.aside(t, l, path, filepath.Join(dir, fmt.Sprintf("aside-%d", round)))
				}
				writing.Wait()
				written += writers * each
				// What was being written when the file was set aside may be in that one.
				eventually(t, "there is another file", func() bool {
					write(fmt.Sprintf("%d-more-%d", round, written))
					written++
					eventually(t, "the round is written", func() bool { return l.result(audit.Written) == written })
					_, err := os.Stat(path)
					return err == nil
				})
			}
			l.close(t)
			files, err := filepath.Glob(filepath.Join(dir, "a*"))
			if err != nil || len(files) < 3 {
				t.Fatalf("expected several files, got %q, %v", files, err)
			}
			var all []string
			for _, file := range files {
				all = append(all, ids(t, read(t, file))...)
			}
			slices.Sort(all)
			if got := len(slices.Compact(all)); got != written || len(all) != got {
				t.Errorf("got %d lines of which %d differ, want %d", len(all), got, written)
			}
		})
	}
}

func rename(t *testing.T, path, to string) {
	if err := os.Rename(path, to); err != nil {
		t.Error(err)
	}
}

func TestAFileThatWasCutOffGoesOnFromItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := start(t, nil)
	l.use(t, audit.Config{Path: path, MaxSizeMB: 1})
	for n, id := range []string{"first", "second"} {
		l.Write(accepted(id), v1alpha1.AuditAll)
		eventually(t, "the line is there", func() bool {
			data, err := os.ReadFile(path)
			return err == nil && strings.Contains(string(data), id)
		})
		if n == 0 {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.close(t)
	if got := ids(t, read(t, path)); len(got) != 1 || got[0] != "second" {
		t.Errorf("got %v", got)
	}
}

func TestNoMoreFilesThanAreWantedAreKept(t *testing.T) {
	dir := t.TempDir()
	l := start(t, nil)
	l.use(t, audit.Config{Path: filepath.Join(dir, "audit.log"), MaxSizeMB: 1, MaxBackups: 1})
	record := accepted("long")
	record.Message = strings.Repeat("m", 400<<10)
	for n := range 8 {
		l.Write(record, v1alpha1.AuditAll)
		eventually(t, "the line is written", func() bool { return l.result(audit.Written) == n+1 })
	}
	l.close(t)
	var aside []string
	eventually(t, "one file is left beside the log", func() bool {
		var err error
		if aside, err = filepath.Glob(filepath.Join(dir, "audit-*")); err != nil {
			t.Fatal(err)
		}
		return len(aside) == 1
	})
	if info, err := os.Stat(aside[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v: others must not read who logs in", info.Mode(), err)
	}
}

func TestOfAFileThatOthersSetAsideNothingIsSetAsideHere(t *testing.T) {
	dir := t.TempDir()
	l := start(t, nil)
	l.use(t, audit.Config{Path: filepath.Join(dir, "audit.log"), MaxSizeMB: 0})
	record := accepted("long")
	record.Message = strings.Repeat("m", 500<<10)
	for range 6 {
		l.Write(record, v1alpha1.AuditAll)
	}
	l.close(t)
	if files, err := filepath.Glob(filepath.Join(dir, "a*")); err != nil || len(files) != 1 {
		t.Errorf("got %q, %v", files, err)
	}
}
