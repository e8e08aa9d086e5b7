package config

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// watched is a file under Watch and what Watch has told of it.
type watched struct {
	path string

	mu   sync.Mutex
	told []string
}

// look lets Watch look n times.
func (w *watched) look(n int) {
	time.Sleep(time.Duration(n) * watchInterval) // of the bubble's clock
	synctest.Wait()
}

func (w *watched) write(t *testing.T, content string) {
	t.Helper()
	if err := os.WriteFile(w.path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *watched) expect(t *testing.T, told ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.told, told) {
		t.Errorf("expected %q to be told, got %q", told, w.told)
	}
	w.told = nil
}

func watch(t *testing.T, test func(t *testing.T, w *watched)) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{path: filepath.Join(t.TempDir(), "config.yaml")}
		w.write(t, "first")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go Watch(ctx, w.path, digestOf([]byte("first")), func(data []byte, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if errors.Is(err, fs.ErrNotExist) {
				w.told = append(w.told, "missing")
				return
			}
			w.told = append(w.told, string(data))
		})
		time.Sleep(watchInterval / 2) // so that looks fall between the test's steps
		test(t, w)
	})
}

func TestWatchTellsOfAChangedFileOnce(t *testing.T) {
	watch(t, func(t *testing.T, w *watched) {
		w.look(3)
		w.expect(t)
		w.write(t, "second")
		w.look(5)
		w.expect(t, "second")
	})
}

func TestWatchWaitsUntilAFileIsWritten(t *testing.T) {
	watch(t, func(t *testing.T, w *watched) {
		for _, part := range []string{"se", "seco", "second"} {
			w.write(t, part)
			w.look(1)
		}
		w.expect(t)
		w.look(1)
		w.expect(t, "second")
	})
}

func TestWatchTellsOfAFileThatReturnsToWhatItWas(t *testing.T) {
	watch(t, func(t *testing.T, w *watched) {
		w.write(t, "second")
		w.look(2)
		w.write(t, "first")
		w.look(2)
		w.expect(t, "second", "first")
	})
}

func TestWatchTellsOfAMissingFileOnceAndOfItsReturn(t *testing.T) {
	watch(t, func(t *testing.T, w *watched) {
		if err := os.Remove(w.path); err != nil {
			t.Fatal(err)
		}
		w.look(3)
		w.expect(t, "missing")
		w.write(t, "first")
		w.look(3)
		w.expect(t, "first")
	})
}

// A ConfigMap mount is a symlink to a symlink that is replaced as a whole.
func TestWatchSeesThroughTheSymlinksOfAConfigMap(t *testing.T) {
	watch(t, func(t *testing.T, w *watched) {
		dir := filepath.Dir(w.path)
		link := func(target, name string) {
			if err := os.Symlink(target, filepath.Join(dir, name+".new")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		for version, content := range map[string]string{"..1": "first", "..2": "second"} {
			if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, version, "config.yaml"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		link("..1", "..data")
		link(filepath.Join("..data", "config.yaml"), "config.yaml")
		w.look(2)
		w.expect(t)
		link("..2", "..data")
		w.look(2)
		w.expect(t, "second")
	})
}
