package entra

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"

	"tokenreview.dev/webhook/internal/retryafter"
)

const (
	// defaultPause follows a failure that does not say how long to wait, or says less.
	defaultPause = time.Second
	// maxPause bounds what a Retry-After may ask for: Microsoft's own are seconds to a
	// few minutes.
	maxPause = 10 * time.Minute
	// maxPaused is for how many principals a failure of their own is remembered.
	maxPaused = 1024
)

// pause keeps requests back after a failure: all of them, or those for one principal.
// There is one for Graph and its token endpoint together, since neither is of use
// without the other.
type pause struct {
	now        func() time.Time
	principals *cache.LRUExpireCache // principal → ownPause

	mu    sync.Mutex
	until time.Time
	text  string // why
}

func newPause(now func() time.Time) *pause {
	return &pause{now: now, principals: cache.NewLRUExpireCacheWithClock(maxPaused, clock(now))}
}

// check returns an error while there must be no request.
func (p *pause) check() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now().Before(p.until) {
		return fmt.Errorf("no request before %s: %s", p.until.UTC().Format(time.RFC3339), p.text)
	}
	return nil
}

// begin starts a pause, unless a longer one goes on already, and returns the error
// for whoever met the failure that text describes.
func (p *pause) begin(wait time.Duration, text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := p.now().Add(wait); until.After(p.until) {
		p.until, p.text = until, text
	}
	return fmt.Errorf("%s; next request after %s", text, p.until.UTC().Format(time.RFC3339))
}

// ownPause is that of one principal.
type ownPause struct {
	until time.Time
	text  string // why
}

// checkFor returns an error while there must be no request for who alone.
func (p *pause) checkFor(who principal) error {
	value, ok := p.principals.Get(who)
	if !ok {
		return nil
	}
	own := value.(ownPause)
	if p.now().Before(own.until) {
		return fmt.Errorf("no request for this principal before %s: %s", own.until.UTC().Format(time.RFC3339), own.text)
	}
	return nil
}

// beginFor starts a pause for who alone, whose failure keeps nobody else out: there are
// principals whose groups Graph cannot tell in time. A Graph that fails for everybody is
// not hammered either: each principal is looked up once a pause, no more than maxLookups
// at a time, which is no more than Graph bears when it answers, and if it does not, it
// says 429 or 503.
func (p *pause) beginFor(who principal, text string) error {
	own := ownPause{until: p.now().Add(defaultPause), text: text}
	p.principals.Add(who, own, defaultPause)
	return fmt.Errorf("%s; next request for this principal after %s", text, own.until.UTC().Format(time.RFC3339))
}

// retryAfter is how long an answer asks to wait, within bounds.
func (p *pause) retryAfter(header http.Header) time.Duration {
	return retryafter.Wait(header.Get("Retry-After"), p.now(), defaultPause, maxPause)
}
