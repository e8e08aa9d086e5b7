package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"time"
)

// WatchInterval is how often Watch looks.
const WatchInterval = time.Second

// Watch calls changed with the content of the file at path whenever it is another
// than the one with the given digest, and with the error while it cannot be read,
// until ctx is done. It looks each WatchInterval and whenever now receives.
//
// A new content counts once two looks in a row have found it, so that a file that
// is being written is not taken for a shorter one. Looking, rather than being told
// by the kernel, works alike for a renamed file, a ConfigMap's symlinks and any
// file system.
func Watch(ctx context.Context, path, digest string, now <-chan struct{}, changed func(data []byte, err error)) {
	ticker := time.NewTicker(WatchInterval)
	defer ticker.Stop()
	seen, failed := digest, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-now:
		case <-ticker.C:
		}
		data, err := os.ReadFile(path)
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

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
