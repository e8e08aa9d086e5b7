package certs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	permPrivate fs.FileMode = 0o600 // private keys, and the kubeconfig that may hold one
	permPublic  fs.FileMode = 0o644 // certificates
)

// directory is the path of the folder that Init works in.
type directory string

// openDirectory creates the folder if it is missing. One that is there keeps its
// mode, but must not be open to everyone: they could replace what is in it.
func openDirectory(path string) (directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", fmt.Errorf("create folder: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if perm := info.Mode().Perm(); perm&0o002 != 0 {
		return "", fmt.Errorf("%s: has mode %04o, everyone can replace its files: chmod it to 0700", path, perm)
	}
	return directory(path), nil
}

func (d directory) path(name string) string { return filepath.Join(string(d), name) }

// exists reports whether any of the files does. What is there has to be a file:
// replacing a symbolic link would leave its target behind, and a secret there.
func (d directory) exists(names ...string) (bool, error) {
	found := false
	for _, name := range names {
		info, err := os.Lstat(d.path(name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return false, err
		case info.Mode().Type() == fs.ModeSymlink:
			return false, fmt.Errorf("%s: is a symbolic link, want a file: remove it, or choose the folder it leads to", d.path(name))
		case !info.Mode().IsRegular():
			return false, fmt.Errorf("%s: is not a regular file: remove it", d.path(name))
		default:
			found = true
		}
	}
	return found, nil
}

// read returns a file's content, or nil if there is none. A file that gives
// everyone more than perm is an error. A group may have more, so that the
// webhook and kube-apiserver can run as users of their own.
func (d directory) read(name string, perm fs.FileMode) ([]byte, error) {
	there, err := d.exists(name)
	if err != nil || !there {
		return nil, err
	}
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if have := info.Mode().Perm(); have&^perm&0o007 != 0 {
		return nil, fmt.Errorf("%s: has mode %04o, which is open to everyone: chmod it to %04o", d.path(name), have, perm)
	}
	return io.ReadAll(f)
}

// file is one to be written.
type file struct {
	name    string
	perm    fs.FileMode
	content []byte
}

// write puts the files in place in their order, each whole or not at all. First
// all are written beside their destinations, so that a full disk or a missing
// permission changes nothing; then each is renamed.
//
// Between a new key and its certificate lies one rename. Readers meet a pair
// that does not match for that long and have to try again, as client-go and
// k8s.io/apiserver's dynamiccertificates do; a crash just there is what the
// check of an existing pair finds.
func (d directory) write(files []file) error {
	if len(files) == 0 {
		return nil
	}
	temporary := make([]string, 0, len(files))
	defer func() {
		for _, path := range temporary {
			_ = os.Remove(path) // what was renamed is gone already
		}
	}()
	for _, f := range files {
		path, err := d.stage(f)
		if path != "" {
			temporary = append(temporary, path)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.path(f.name), err)
		}
	}
	for i, f := range files {
		if err := os.Rename(temporary[i], d.path(f.name)); err != nil {
			return err
		}
	}
	return d.sync()
}

// stage writes a file under a temporary name and returns that, with or without
// an error, once there is something to clean up.
func (d directory) stage(f file) (path string, err error) {
	temp, err := os.CreateTemp(string(d), "."+filepath.Base(f.name)+".*") // mode 0600
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, temp.Close()) }()
	if _, err := temp.Write(f.content); err != nil {
		return temp.Name(), err
	}
	if err := temp.Chmod(f.perm); err != nil {
		return temp.Name(), err
	}
	return temp.Name(), temp.Sync()
}

// sync makes the renames outlive a power failure.
func (d directory) sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
