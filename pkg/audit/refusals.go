package audit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// refusals bounds how many refusals are written, so that nobody can fill a disk, or
// push what matters out of it, with tokens that are refused. Those of one issuer do
// not hide another's, and those of tokens that anybody may have made up hide none that
// an issuer has signed.
type refusals struct {
	perSecond int
	now       func() time.Time

	mu    sync.Mutex
	kinds map[string]*kind
}

// kind is the refusals of one issuer's tokens, or of all that are not proven.
type kind struct {
	limiter *rate.Limiter
	omitted int64
}

func newRefusals(perSecond int, now func() time.Time) *refusals {
	return &refusals{perSecond: perSecond, now: now, kinds: map[string]*kind{}}
}

// admit reports whether the refusal may be written, and how many of its kind were
// left out since the last that was.
func (r *refusals) admit(record *Record) (omitted int64, ok bool) {
	if r.perSecond == 0 {
		return 0, true
	}
	name := "" // which no issuer has
	if record.Proven {
		name = record.Issuer
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kinds[name]
	if k == nil {
		k = &kind{limiter: rate.NewLimiter(rate.Limit(r.perSecond), 10*r.perSecond)}
		r.kinds[name] = k
	}
	if !k.limiter.AllowN(r.now(), 1) {
		k.omitted++
		return 0, false
	}
	omitted, k.omitted = k.omitted, 0
	return omitted, true
}
