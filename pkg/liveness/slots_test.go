package liveness

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// takeSoon takes a slot that must be free.
func takeSoon(t *testing.T, s *slots, subject string) (release func()) {
	t.Helper()
	began := time.Now()
	release, err := s.take(t.Context(), subject)
	if err != nil || !time.Now().Equal(began) {
		t.Fatalf("%s: expected a slot at once, got error %v after %s", subject, err, time.Since(began))
	}
	return release
}

// expectWait takes a slot for which ctx lasts too short.
func expectWait(t *testing.T, s *slots, subject, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), questionTimeout)
	defer cancel()
	began := time.Now()
	_, err := s.take(ctx, subject)
	if err == nil || err.Error() != text {
		t.Errorf("expected error %q, got %v", text, err)
	}
	if took := time.Since(began); took != questionTimeout {
		t.Errorf("expected to wait for as long as the question may, got %s", took)
	}
}

func expectEmpty(t *testing.T, s *slots) {
	t.Helper()
	if len(s.all) != 0 || len(s.subjects) != 0 {
		t.Errorf("expected nothing to be left, got %d slots and %d subjects", len(s.all), len(s.subjects))
	}
}

func TestASubjectHasItsShareOfTheSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots()
		var held []func()
		for range 8 {
			held = append(held, takeSoon(t, s, "deployer"))
		}
		expectWait(t, s, "deployer", "8 questions about other tokens of this account are under way: context deadline exceeded")
		held = append(held, takeSoon(t, s, "other"))
		for _, release := range held {
			release()
		}
		expectEmpty(t, s)
	})
}

func TestAllSubjectsTogetherHaveSoManySlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots()
		var held []func()
		for i := range 128 {
			held = append(held, takeSoon(t, s, fmt.Sprint(i/8)))
		}
		expectWait(t, s, "other", "128 questions about other tokens are under way: context deadline exceeded")
		for _, release := range held {
			release()
		}
		expectEmpty(t, s)
	})
}

func TestWhoWaitsForASlotGetsTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots()
		var held []func()
		for range 8 {
			held = append(held, takeSoon(t, s, "deployer"))
		}
		got := make(chan func())
		go func() {
			release, err := s.take(t.Context(), "deployer")
			if err != nil {
				t.Error(err)
			}
			got <- release
		}()
		synctest.Wait()
		select {
		case <-got:
			t.Fatal("expected to wait")
		default:
		}
		held[0]()
		held[0] = <-got
		for _, release := range held {
			release()
		}
		expectEmpty(t, s)
	})
}
