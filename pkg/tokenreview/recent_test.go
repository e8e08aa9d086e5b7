package tokenreview

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/pkg/audit"
)

func TestTheLastDecisionsAboutATokenAreRememberedTheLatestFirst(t *testing.T) {
	r := newRecent()
	at := time.Now()
	add := func(token audit.Fingerprint, id string, at time.Time, proven bool) {
		r.add(&question{id: id, fingerprint: token, at: at}, &Answer{Proven: proven})
	}
	expect := func(token audit.Fingerprint, want string) {
		t.Helper()
		var got []string
		for _, event := range r.of(token) {
			got = append(got, event.RequestID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("expected %q, got %q", want, got)
		}
	}
	one, other, both := audit.Fingerprint{1}, audit.Fingerprint{2}, audit.Fingerprint{3}
	for n := range 4 {
		add(one, strconv.Itoa(n), at, true) // all in the same moment
	}
	expect(one, "3 2 1 0")
	before := r.of(one)
	for n := range 6 {
		add(one, strconv.Itoa(4+n), at.Add(time.Duration(n)), true)
	}
	expect(one, "9 8 7 6 5")
	if before[0].RequestID != "3" || before[3].RequestID != "0" {
		t.Errorf("what was told before has changed: %v", before)
	}
	if kept := len(events(r.proven, one)); kept != maxEvents {
		t.Errorf("%d decisions are kept", kept)
	}
	expect(other, "")
	// While its issuer's keys are away a token is not proven.
	add(both, "first", at, true)
	add(both, "second", at.Add(1), false)
	add(both, "third", at.Add(2), true)
	expect(both, "third second first")
}
