package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"time"
)

// WatchInterval is how often Watch looks.
const WatchInterval = time.Second

// Watch calls changed with the content of the file at path whenever it is another
// than the one with the given digest, and with the error while it cannot be read,
// until ctx is done. It looks each WatchInterval and whenever now receives.
//
// A new content counts once two looks in a row, half an interval apart at least,
// have found it, so that a file that is being written is not taken for a shorter
// one. Looking, rather than being told
// by the kernel, works alike for a renamed file, a ConfigMap's symlinks and any
// file system.
func Watch(ctx context.Context, path, digest string, now <-chan struct{}, changed func(data []byte, err error)) {
	ticker := time.NewTicker(WatchInterval)
	defer ticker.Stop()
	seen, failed := digest, false
	var since time.Time // when seen was first found
	for {
		select {
		case <-ctx.Done():
			return
		case <-now:
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
		if current != seen {
			seen, since = current, time.Now()
		}
		settled := time.Since(since) >= WatchInterval/2
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
