package tokenreview

import (
	"context"
	"sync"
	"time"

	"k8s.io/utils/lru"

	"tokenreview.dev/webhook/internal/keyedhash"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/reason"
)

// DecisionCache says for how long decisions are used again, for the same token and
// audiences. The zero value is never.
type DecisionCache struct {
	// AllowedTTL is for accepted tokens, which are never accepted past their exp, and
	// RefusedTTL for refused ones.
	AllowedTTL, RefusedTTL time.Duration
	// MaxEntries is how many decisions of either kind are remembered at a time.
	MaxEntries int
}

// DefaultDecisionCache is what kube-apiserver does itself with tokens that it need not
// ask a webhook about: 10 seconds. A refusal has half of that, since whoever mends what
// it is about tries again.
func DefaultDecisionCache() DecisionCache {
	return DecisionCache{AllowedTTL: 10 * time.Second, RefusedTTL: 5 * time.Second, MaxEntries: 10_000}
}

// maxKeptToken is the length in bytes above which a token is decided for each who asks:
// what a decision holds is about as long, and to name a token takes longer than to refuse
// one that anybody has made up. Tokens of real issuers stay below, with some 300 groups in
// them.
const maxKeptToken = 16 << 10

// decisions are those that were made lately by one configuration, and those that are
// being made. Of the tokens they hold nothing but keyed hashes. They are safe for
// concurrent use.
//
// Nothing that anybody can make up pushes out a decision: only those about proven tokens
// are remembered, and refused ones apart, since of some issuers, GitHub first of all,
// every stranger can get tokens.
type decisions struct {
	now              func() time.Time
	allowed, refused *kept
	repeats          *lru.Cache // of keyedhash.Sum → *repeat, of requests about those

	mu       sync.Mutex
	underWay map[keyedhash.Sum]*flight
}

// decided is a decision, and what it rests on.
type decided struct {
	answer Answer
	// of is where it is remembered, if it lasts.
	of *decisions
	// issuer and keys have proved the token, and expiry is its exp where it is for us.
	issuer *issuers.Issuer
	keys   *issuers.KeySet
	expiry time.Time
	// asked is whether somebody else's answer is part of it, who has a memory of their own.
	asked bool
	// from and until are when it may be used again: by the clock on the wall, which may be
	// put back, and does not stand still while a machine sleeps.
	from, until time.Time
}

// lasts reports whether the same would be decided again in a moment.
func (d *decided) lasts() bool {
	switch d.answer.Refusal.Code {
	case reason.NotYetValid, reason.LifetimeTooLong:
		// Of an iat or nbf ahead, which comes.
		return false
	}
	return d.answer.Proven && !d.answer.Undecided && !d.answer.Overloaded && !d.asked
}

// stands reports whether what a decision rests on is still so: exp, and the keys that
// tokens are verified with.
func (d *decided) stands(now time.Time) bool {
	return (d.answer.User == nil || !now.After(d.expiry)) && (!d.answer.Proven || d.issuer.KeysInUse() == d.keys)
}

// holds reports whether a decision that is remembered is still as good as another.
func (d *decided) holds(now time.Time) bool {
	return !now.Before(d.from) && !now.After(d.until) && d.stands(now)
}

// flight is a decision that is being made.
type flight struct {
	landed chan struct{} // is closed when the decision is made
	// made is what was decided, nil if whoever led has left before the end.
	made *decided
}

func newDecisions(rules *Rules) *decisions {
	config := rules.Decisions
	d := &decisions{
		now:     rules.Now,
		allowed: newKept(config.AllowedTTL, config.MaxEntries), refused: newKept(config.RefusedTTL, config.MaxEntries),
		repeats: lru.New(maxRepeats), underWay: make(map[keyedhash.Sum]*flight),
	}
	if d.now == nil {
		d.now = time.Now
	}
	return d
}

// recall returns a decision that was made before and still holds.
func (d *decisions) recall(name keyedhash.Sum) (*decided, bool) {
	now := d.now()
	if known, ok := d.allowed.get(name, now); ok {
		return known, true
	}
	return d.refused.get(name, now)
}

// again is the answer for one more request.
func (a Answer) again() Answer {
	a.Cached = true
	return a
}

// maxShared is how long anybody waits for a decision that somebody else makes: many times
// what one takes that asks nobody. Where somebody is asked who hangs, those who wait must
// count among the tokens that wait for keys and in their issuer's share, as one by one.
const maxShared = 100 * time.Millisecond

// once returns the decision about what goes by a name: one that was made before, or the
// one that somebody is making, or what decide comes to. A burst of one token is decided
// once.
//
// It is not x/sync's singleflight, in which nobody can leave before the end but at the
// price of a goroutine for each decision, whose panic would end the process.
func (d *decisions) once(ctx context.Context, name keyedhash.Sum, decide func() *decided) Answer {
	for {
		underWay, leads := d.join(name)
		if leads {
			return d.lead(ctx, name, underWay, decide)
		}
		select {
		case <-underWay.landed:
			// The token may have expired meanwhile, and the keys may have gone.
			if made := underWay.made; made != nil && made.stands(d.now()) {
				return made.answer.again()
			}
		case <-time.After(maxShared):
			return decide().answer
		}
	}
}

// join returns the flight of a name, a new one if there is none: then the caller leads,
// and lands it.
func (d *decisions) join(name keyedhash.Sum) (underWay *flight, leads bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	underWay, found := d.underWay[name]
	if !found {
		underWay = &flight{landed: make(chan struct{})}
		d.underWay[name] = underWay
	}
	return underWay, !found
}

// lead decides for everybody who has joined. Where that fails them, because of a panic or
// because the leader's own time is up, they go on without.
func (d *decisions) lead(ctx context.Context, name keyedhash.Sum, underWay *flight, decide func() *decided) Answer {
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.underWay, name)
		close(underWay.landed)
	}()
	// The flight before may have landed meanwhile.
	if known, ok := d.recall(name); ok {
		underWay.made = known
		return known.answer.again()
	}
	made := decide()
	if ctx.Err() == nil {
		underWay.made = made
	}
	d.keep(name, made)
	return made.answer
}

// keep remembers a decision if it lasts.
func (d *decisions) keep(name keyedhash.Sum, made *decided) {
	if !made.lasts() {
		return
	}
	made.of = d
	kept := d.refused
	if made.answer.User != nil {
		kept = d.allowed
	}
	kept.add(name, made, d.now().Round(0))
}
