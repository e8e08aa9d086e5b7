package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"time"
)

// watchInterval is how often Watch looks.
const watchInterval = time.Second

// Watch calls changed with the content of the file at path whenever it is another
// than the one with the given digest, and with the error while it cannot be read,
// until ctx is done.
//
// It looks once a second. A new content counts once two looks in a row have found
// it, so that a file that is being written is not taken for a shorter one. Looking,
// rather than being told by the kernel, works alike for a renamed file, a
// ConfigMap's symlinks and any file system.
func Watch(ctx context.Context, path, digest string, changed func(data []byte, err error)) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	seen, failed := digest, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		data, err := readFile(path)
		if err != nil {
			// A file that is being replaced may be missing for a moment.
			if failed {
				continue
			}
			failed = true
			changed(nil, err)
			continue
		}
		current := digestOf(data)
		settled := current == seen
		seen = current
		if settled && (current != digest || failed) {
			digest, failed = current, false
			changed(data, nil)
		}
	}
}

// readFile reads a file up to a little more than what Parse accepts.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, MaxFileSize+1))
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
