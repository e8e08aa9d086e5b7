package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// serverID is the user that serves: another one where the tests may give files away.
func serverID() int {
	if uid := os.Geteuid(); uid != 0 {
		return uid
	}
	return 65532
}

func TestTheStateFolderBecomesTheServers(t *testing.T) {
	for _, test := range []struct {
		what   string
		before func(*testing.T, string)
	}{
		{"there is none", func(*testing.T, string) {}},
		{"kubelet has made it for root", func(t *testing.T, dir string) { mkdir(t, dir, 0o755) }},
		{"anybody can write it", func(t *testing.T, dir string) { mkdir(t, dir, 0o777) }},
		{"it is the server's already", func(t *testing.T, dir string) {
			mkdir(t, dir, 0o700)
			if err := os.Chown(dir, serverID(), -1); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "var", "state")
			test.before(t, dir)
			// A node starts the pod more than once.
			for range 2 {
				if err := initState(dir, serverID()); err != nil {
					t.Fatal(err)
				}
				info, err := os.Stat(dir)
				if err != nil {
					t.Fatal(err)
				}
				if ownerOf(info) != serverID() || info.Mode() != os.ModeDir|0o700 {
					t.Errorf("it has owner %d and mode %s", ownerOf(info), info.Mode())
				}
			}
		})
	}
}

func TestAFolderThatCannotBeTheServersIsAnError(t *testing.T) {
	for _, test := range []struct {
		what   string
		owner  int
		before func(*testing.T, string)
		want   string
	}{
		{"root serves", 0, func(*testing.T, string) {}, "owner: expected the id of a user that is not root, got 0"},
		{"a file stands there", serverID(), func(t *testing.T, dir string) {
			mkdir(t, filepath.Dir(dir), 0o700)
			if err := os.WriteFile(dir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a directory"},
		{"it is the server's, and others can write it", serverID(), func(t *testing.T, dir string) {
			mkdir(t, dir, 0o770)
			if err := os.Chown(dir, serverID(), -1); err != nil {
				t.Fatal(err)
			}
		}, "has mode 0770, others could replace saved keys: chmod it to 0700"},
		{"a link leads elsewhere", serverID(), func(t *testing.T, dir string) {
			elsewhere := t.TempDir()
			mkdir(t, filepath.Dir(dir), 0o700)
			if err := os.Symlink(elsewhere, dir); err != nil {
				t.Fatal(err)
			}
		}, "not a directory"},
	} {
		t.Run(test.what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "var", "state")
			test.before(t, dir)
			if err := initState(dir, test.owner); err == nil || !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func mkdir(t *testing.T, dir string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// Whatever the umask is.
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
}
