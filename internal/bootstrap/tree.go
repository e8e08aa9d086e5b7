package bootstrap

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// File is one to be written.
type File struct {
	// Name is its path in the folder, with slashes.
	Name string
	// Mode are its permissions.
	Mode    uint32
	Content []byte
}

// Result is what became of one file.
type Result struct {
	// Action is created, replaced or kept.
	Action string
	// File is its path.
	File string
}

// String is the line that tells a person of the result.
func (r Result) String() string { return fmt.Sprintf("%-8s %s", r.Action, r.File) }

// tree is the path of the folder that everything is written to.
type tree string

// openTree creates the folder if it is missing. One that is there must not be open to
// everyone: they could replace what is in it.
func openTree(dir string) (tree, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("create folder: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if perm := info.Mode().Perm(); perm&0o002 != 0 {
		return "", fmt.Errorf("%s: has mode %04o, everyone can replace its files: chmod it to 0700", dir, perm)
	}
	return tree(dir), nil
}

// write puts the files in place.
func (t tree) write(files []File) ([]Result, error) {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	results := make([]Result, 0, len(files))
	for _, file := range files {
		action, err := t.writeFile(file)
		if err != nil {
			return results, fmt.Errorf("%s: %w", t.path(file.Name), err)
		}
		results = append(results, Result{Action: action, File: t.path(file.Name)})
	}
	return results, nil
}

func (t tree) path(name string) string { return filepath.Join(string(t), filepath.FromSlash(name)) }

// check says whether the files can be written. What is below nodeDir and not among them
// is an error: it would be copied to the nodes, and nobody means it to.
func (t tree) check(files []File) error {
	known := map[string]bool{}
	for _, file := range files {
		path := t.path(file.Name)
		known[path] = true
		if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("%s: is not a regular file: remove it", path)
		}
		// Through a link the file would be outside of the tree.
		for dir := filepath.Dir(path); dir != t.path(""); dir = filepath.Dir(dir) {
			if info, err := os.Lstat(dir); err == nil && !info.IsDir() {
				return fmt.Errorf("%s: is not a folder: remove it", dir)
			}
		}
	}
	var others []string
	err := filepath.WalkDir(t.path(nodeDir), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !entry.IsDir() && !known[path] {
			others = append(others, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return fmt.Errorf("%s%s would be copied to the nodes with the rest, and is not of this target and configuration: remove it, or choose another folder",
			others[0], more(len(others)-1))
	}
	return nil
}

// more says how many there are beside the one that is named.
func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more)", n)
}

// makeFolders makes those that are missing, with mode 0755: whatever the operator's umask,
// on a node more than root has to get through them.
func makeFolders(dir string) error {
	switch _, err := os.Stat(dir); {
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := makeFolders(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// writeFile replaces a file whole, by a rename, unless it is as wanted.
func (t tree) writeFile(file File) (action string, err error) {
	path, mode := t.path(file.Name), fs.FileMode(file.Mode)
	if err := makeFolders(filepath.Dir(path)); err != nil {
		return "", err
	}
	action = "created"
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", err
	default:
		action = "replaced"
		have, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if bytes.Equal(have, file.Content) && info.Mode().Perm() == mode {
			return "kept", nil
		}
	}
	// Not beside the file: left behind by somebody who pulls the plug, it would be in the way
	// of the next run, or be copied to the nodes.
	temp, err := os.CreateTemp(string(t), ".bootstrap-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // what was renamed is gone already
	_, err = temp.Write(file.Content)
	if err = errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close()); err != nil {
		return "", err
	}
	return action, os.Rename(temp.Name(), path)
}
