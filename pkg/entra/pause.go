package entra

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// defaultPause follows a failure that does not say how long to wait.
	defaultPause = time.Second
	// minPause and maxPause bound what a Retry-After may ask for: Microsoft's own are
	// seconds to a few minutes.
	minPause = time.Second
	maxPause = 10 * time.Minute
)

// pause keeps requests back after a failure. There is one for Graph and its token
// endpoint together, since neither is of use without the other.
type pause struct {
	now func() time.Time

	mu    sync.Mutex
	until time.Time
	text  string // why
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

// retryAfter is how long an answer asks to wait (RFC 9110 §10.2.3), within bounds.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	// Out of range, it is the largest number there is.
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil || errors.Is(err, strconv.ErrRange) {
		return min(max(time.Duration(seconds)*time.Second, minPause), maxPause)
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), minPause), maxPause)
	}
	return defaultPause
}
