package tokenreview

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// patience is a request's context that ends at a time of its own, as one of
// context.WithDeadline does. But only whoever waits for that sets a timer, and most
// decisions wait for nothing: to set one and to stop it takes longer than to check a
// token's audience and times. It is safe for concurrent use.
type patience struct {
	context.Context // the request's
	until           time.Time

	once sync.Once
	// timed is nil until somebody waits, and over when nobody is to wait any more.
	timed atomic.Pointer[timed]
}

type timed struct {
	context.Context
	cancel context.CancelFunc
}

var over = func() *timed {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return &timed{ctx, cancel}
}()

// newPatience returns a context that ends after d, or with ctx, or when it is cancelled,
// which whoever makes it has to do.
func newPatience(ctx context.Context, d time.Duration) *patience {
	return &patience{Context: ctx, until: time.Now().Add(d)}
}

func (p *patience) cancel() {
	p.once.Do(func() { p.timed.Store(over) })
	p.timed.Load().cancel()
}

func (p *patience) Done() <-chan struct{} {
	p.once.Do(func() {
		ctx, cancel := context.WithDeadline(p.Context, p.until)
		p.timed.Store(&timed{ctx, cancel})
	})
	return p.timed.Load().Done()
}

func (p *patience) Deadline() (time.Time, bool) {
	if earlier, ok := p.Context.Deadline(); ok && earlier.Before(p.until) {
		return earlier, true
	}
	return p.until, true
}

func (p *patience) Err() error {
	timed := p.timed.Load()
	if timed == nil {
		if p.Context.Err() == nil && time.Now().Before(p.until) {
			return nil
		}
		p.Done() // It has ended, and how does not change any more.
		timed = p.timed.Load()
	}
	return timed.Err()
}

// Value is the request's. Where there is a timer, that tells contexts made of this one of
// itself: each would have a goroutine of its own to wait for it otherwise.
func (p *patience) Value(key any) any {
	if timed := p.timed.Load(); timed != nil && timed != over {
		return timed.Value(key)
	}
	return p.Context.Value(key)
}
