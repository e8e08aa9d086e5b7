package audit_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tokenreview.dev/webhook/pkg/audit"
)

func TestFingerprintsTellTokensApartAndDependOnTheKey(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	one, another := start(t, nil), start(t, nil)
	again := one.Fingerprint("token")
	if again != one.Fingerprint("token") || one.Fingerprint("token") == one.Fingerprint("tokeN") {
		t.Error("a process does not tell tokens apart")
	}
	if one.Fingerprint("token") == another.Fingerprint("token") {
		t.Error("two processes without a key of their own in common agree")
	}
	for _, l := range []*logged{one, another} {
		l.use(t, audit.Config{FingerprintKeyFile: key})
		for _, length := range []int{0, 5, 1023, 1024, 1025, 2048, 5000} {
			token := strings.Repeat("token", 1000)[:length]
			mac := hmac.New(sha256.New, []byte(strings.Repeat("k", 32)))
			mac.Write([]byte(token))
			if got, want := l.Fingerprint(token).String(), hex.EncodeToString(mac.Sum(nil)[:16]); got != want {
				t.Errorf("%d bytes: got %s, want half of the HMAC, %s", length, got, want)
			}
		}
	}
}

func TestAKeyThatCannotBeUsedIsSaidAndTheOneFromBeforeGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	l := start(t, nil)
	own := l.Fingerprint("token")
	if err := l.Use(audit.Config{FingerprintKeyFile: path}); err == nil || !strings.Contains(err.Error(), "spec.audit.fingerprintKeyFile") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if l.Fingerprint("token") != own {
		t.Error("without the file the process has a key of its own")
	}
	write := func(bytes int) {
		if err := os.WriteFile(path, []byte(strings.Repeat("k", bytes)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(32)
	l.use(t, audit.Config{FingerprintKeyFile: path})
	shared := l.Fingerprint("token")
	if shared == own {
		t.Error("the file's key is not used")
	}
	write(31)
	if err := l.Use(audit.Config{FingerprintKeyFile: path}); err == nil || !strings.Contains(err.Error(), "has 31 bytes, and a key wants 32: make one with openssl rand -out "+path+" 32") {
		t.Errorf("got %v", err)
	}
	if l.Fingerprint("token") != shared {
		t.Error("the key from before does not go on")
	}
}
