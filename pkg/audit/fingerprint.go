package audit

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"

	"tokenreview.dev/webhook/internal/regularfile"
)

// Fingerprint tells tokens apart: the first half of an HMAC-SHA-256 (RFC 2104). Without
// the key nobody can tell whether a token that they have is the one.
type Fingerprint [16]byte

// MarshalText returns the fingerprint in hexadecimal.
func (f Fingerprint) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, f[:]), nil }

func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// minKey and maxKey bound the length in bytes of a key that is read from a file.
const minKey, maxKey = 32, 4 << 10

// readKey reads a key of fingerprints.
func readKey(path string) ([]byte, error) {
	key, err := regularfile.Read(path, maxKey)
	if err != nil {
		return nil, fmt.Errorf("spec.audit.fingerprintKeyFile: %w", err)
	}
	if len(key) < minKey {
		return nil, fmt.Errorf("spec.audit.fingerprintKeyFile: %s has %d bytes, and a key wants %d: make one with openssl rand -out %[1]s %[3]d", path, len(key), minKey)
	}
	return key, nil
}

// fingerprints makes fingerprints with one key. It is safe for concurrent use.
type fingerprints struct{ pool sync.Pool }

// newFingerprints returns fingerprints with a key, one of its own if that is nil.
func newFingerprints(key []byte) *fingerprints {
	if key == nil {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails
	}
	return &fingerprints{pool: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

func (f *fingerprints) of(token string) (fingerprint Fingerprint) {
	mac := f.pool.Get().(hash.Hash)
	defer f.pool.Put(mac)
	mac.Reset()
	_, _ = mac.Write([]byte(token)) // never fails
	var sum [sha256.Size]byte
	copy(fingerprint[:], mac.Sum(sum[:0]))
	return fingerprint
}
