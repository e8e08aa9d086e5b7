package certs

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWriteChangesNothingWhenAFileCannotBePrepared(t *testing.T) {
	dir := directory(t.TempDir())
	if err := os.WriteFile(dir.path("tls.key"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A name longer than file systems take stands for a full disk.
	long := strings.Repeat("x", 255)
	err := dir.write([]file{
		{name: "tls.key", perm: permPrivate, content: []byte("new")},
		{name: long, perm: permPublic, content: []byte("new")},
	})
	var pathError *fs.PathError
	if !errors.As(err, &pathError) {
		t.Fatalf("error is %v, want one that names a path", err)
	}
	if got, _ := os.ReadFile(dir.path("tls.key")); string(got) != "old" {
		t.Errorf("tls.key holds %q, want it untouched", got)
	}
	wantFiles(t, dir, "tls.key")
}

func TestWriteLeavesNoTemporaryFilesWhenARenameFails(t *testing.T) {
	dir := directory(t.TempDir())
	if err := os.Mkdir(dir.path("tls.crt"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := dir.write([]file{
		{name: "tls.key", perm: permPrivate, content: []byte("new")},
		{name: "tls.crt", perm: permPublic, content: []byte("new")},
		{name: "webhook.kubeconfig", perm: permPrivate, content: []byte("new")},
	})
	if err == nil {
		t.Fatal("no error")
	}
	wantFiles(t, dir, "tls.crt", "tls.key")
}

func TestWriteReplacesRatherThanOverwrites(t *testing.T) {
	dir := directory(t.TempDir())
	if err := os.WriteFile(dir.path("tls.crt"), []byte("old, and longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(dir.path("tls.crt"))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := dir.write([]file{{name: "tls.crt", perm: permPublic, content: []byte("new")}}); err != nil {
		t.Fatal(err)
	}
	held := make([]byte, 64)
	n, err := reader.Read(held)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(held[:n]); got != "old, and longer" {
		t.Errorf("who had the file open reads %q, want the old content whole", got)
	}
	if got, _ := os.ReadFile(dir.path("tls.crt")); string(got) != "new" {
		t.Errorf("file holds %q, want the new content", got)
	}
}

func TestAKeyIsPutInPlaceBeforeItsCertificate(t *testing.T) {
	p := &plan{dir: "unused"}
	authority, err := newAuthority(time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p.add(Created, Authority, authority)
	if len(p.files) != 2 || p.files[0].name != "ca.key" || p.files[1].name != "ca.crt" {
		t.Errorf("files are written in the order %v, want ca.key and then ca.crt", p.files)
	}
}

func wantFiles(t *testing.T, dir directory, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(string(dir))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("folder holds %q, want %q", got, want)
	}
}
