package keyedhash

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"testing"
)

func TestNothingOfATokenIsLeftWhereItsNameWasMade(t *testing.T) {
	s := state{mac: hmac.New(sha256.New, []byte("key"))}
	s.write(strings.Repeat("token", 1000))
	if s.part != [len(s.part)]byte{} {
		t.Errorf("%q is left", s.part)
	}
}
