// Package regularfile reads the files that the configuration names.
package regularfile

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Read returns the content of the regular file at path, of at most limit bytes.
// Anything else, a pipe for example, is an error at once: reading it could last for
// ever. Errors name the path.
func Read(path string, limit int64) ([]byte, error) {
	return ReadChecked(path, limit, func(fs.FileInfo) error { return nil })
}

// ReadChecked is Read for a file that passes a check, which is of the very file that is
// read.
func ReadChecked(path string, limit int64, check func(fs.FileInfo) error) ([]byte, error) {
	// Opening a pipe would wait for somebody who writes into it. What was opened is
	// what is looked at, whatever path leads to by then.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if err := check(info); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return data, nil
}
