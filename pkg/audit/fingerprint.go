package audit

import (
	"encoding/hex"
	"fmt"

	"tokenreview.dev/webhook/internal/keyedhash"
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

func fingerprint(hash *keyedhash.Hash, token string) Fingerprint {
	sum := hash.Text(token)
	return Fingerprint(sum[:len(Fingerprint{})])
}
