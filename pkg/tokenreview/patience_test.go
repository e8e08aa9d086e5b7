package tokenreview

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type requestKey struct{}

// patiently does something with a context that ends in ten seconds, of a request that ends
// when told to.
func patiently(t *testing.T, do func(t *testing.T, p *patience, endRequest func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		request, end := context.WithCancel(context.WithValue(t.Context(), requestKey{}, "request"))
		defer end()
		p := newPatience(request, 10*time.Second)
		defer p.cancel()
		do(t, p, end)
	})
}

func TestPatienceEndsAsADeadlineDoes(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(p *patience, endRequest func())
		want error
	}{
		{"not before its time", func(*patience, func()) { time.Sleep(10*time.Second - 1) }, nil},
		{"with its time", func(*patience, func()) { time.Sleep(10 * time.Second) }, context.DeadlineExceeded},
		{"with the request", func(_ *patience, endRequest func()) { endRequest() }, context.Canceled},
		{"with the request, and its time is up later", func(_ *patience, endRequest func()) { endRequest(); time.Sleep(time.Minute) }, context.Canceled},
		{"when its owner is done with it", func(p *patience, _ func()) { p.cancel() }, context.Canceled},
		{"when its owner is done with it twice", func(p *patience, _ func()) { p.cancel(); p.cancel() }, context.Canceled},
	} {
		for _, who := range []struct {
			name  string
			waits bool
		}{{"nobody waits", false}, {"somebody waits", true}} {
			t.Run(test.name+", "+who.name, func(t *testing.T) {
				patiently(t, func(t *testing.T, p *patience, endRequest func()) {
					if who.waits {
						_ = p.Done()
					}
					test.end(p, endRequest)
					synctest.Wait()
					if err := p.Err(); !errors.Is(err, test.want) {
						t.Errorf("got %v, want %v", err, test.want)
					}
					select {
					case <-p.Done():
						if test.want == nil {
							t.Error("it has ended")
						}
					default:
						if test.want != nil {
							t.Error("it has not ended")
						}
					}
					if got := p.Value(requestKey{}); got != "request" {
						t.Errorf("expected the request's value, got %v", got)
					}
				})
			})
		}
	}
}

// As context.Context has it: what comes later changes nothing about how it has ended.
func TestPatienceEndsOnce(t *testing.T) {
	for _, test := range []struct {
		name        string
		first, then func(p *patience, endRequest func())
		want        error
	}{
		{"its time is up, then the request ends", func(*patience, func()) { time.Sleep(10 * time.Second) },
			func(_ *patience, endRequest func()) { endRequest() }, context.DeadlineExceeded},
		{"its time is up, then its owner is done with it", func(*patience, func()) { time.Sleep(10 * time.Second) },
			func(p *patience, _ func()) { p.cancel() }, context.DeadlineExceeded},
		{"the request ends, then its owner is done with it", func(_ *patience, endRequest func()) { endRequest() },
			func(p *patience, _ func()) { p.cancel() }, context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			patiently(t, func(t *testing.T, p *patience, endRequest func()) {
				test.first(p, endRequest)
				before := p.Err()
				test.then(p, endRequest)
				if after := p.Err(); !errors.Is(before, test.want) || !errors.Is(after, test.want) {
					t.Errorf("expected %v, got %v and then %v", test.want, before, after)
				}
			})
		})
	}
}

func TestWhoeverWaitsIsWoken(t *testing.T) {
	patiently(t, func(t *testing.T, p *patience, _ func()) {
		begun := time.Now()
		<-p.Done()
		if waited := time.Since(begun); waited != 10*time.Second {
			t.Errorf("waited %s", waited)
		}
	})
	patiently(t, func(t *testing.T, p *patience, endRequest func()) {
		go func() {
			time.Sleep(time.Second)
			endRequest()
		}()
		begun := time.Now()
		<-p.Done()
		if waited := time.Since(begun); waited != time.Second {
			t.Errorf("waited %s", waited)
		}
	})
}

func TestContextsMadeOfPatienceEndWithItAtOnce(t *testing.T) {
	patiently(t, func(t *testing.T, p *patience, _ func()) {
		for _, name := range []string{"first", "second"} {
			made, cancel := context.WithCancel(p)
			defer cancel()
			defer func() {
				// A goroutine that waits for the one to end the other would take a moment.
				if made.Err() == nil {
					t.Errorf("the %s goes on", name)
				}
			}()
			if made.Value(requestKey{}) != "request" {
				t.Errorf("the %s has not the request's value", name)
			}
		}
		p.cancel()
	})
}

func TestTheEarlierDeadlineCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for _, test := range []struct{ request, want time.Duration }{{time.Second, time.Second}, {time.Minute, 10 * time.Second}} {
			request, cancel := context.WithTimeout(t.Context(), test.request)
			defer cancel()
			if got, ok := newPatience(request, 10*time.Second).Deadline(); !ok || got.Sub(now) != test.want {
				t.Errorf("of a request of %s: got %s, want %s", test.request, got.Sub(now), test.want)
			}
		}
	})
}

func TestWhoeverDoesNotWaitNeedsNoTimer(t *testing.T) {
	request, end := context.WithCancel(t.Context())
	defer end()
	if got := testing.AllocsPerRun(100, func() {
		p := newPatience(request, time.Minute)
		if p.Err() != nil {
			t.Error("it has ended")
		}
		p.cancel()
	}); got > 1 {
		t.Errorf("got %v allocations", got)
	}
}
