package issuers

import (
	"strings"
	"testing"
)

func TestATokenDoesNotWaitInItsRoomForTheNext(t *testing.T) {
	for _, text := range []string{"", "a token", strings.Repeat("x", maxKeptInput)} {
		room := new(signingInput)
		signed := room.of(untrustedToken{signingInput: text})
		if string(signed) != text {
			t.Errorf("expected %.20q to be signed, got %.20q", text, signed)
		}
		room.release()
		if string(signed) != strings.Repeat("\x00", len(text)) {
			t.Errorf("%.20q is left", signed)
		}
	}
}

func TestRoomThatHasGrownLargeIsNotUsedAgain(t *testing.T) {
	large := new(signingInput)
	large.of(untrustedToken{signingInput: strings.Repeat("x", maxKeptInput+1)})
	for range 10 {
		large.release()
		if room := signingInputs.Get().(*signingInput); room == large {
			t.Fatalf("%d bytes are kept", cap(*room))
		}
	}
}
