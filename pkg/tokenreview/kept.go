package tokenreview

import (
	"sync"
	"time"

	"tokenreview.dev/webhook/internal/keyedhash"
)

// kept are decisions of one kind that are remembered for the same time: whichever came
// first ends first, and makes room first. It is safe for concurrent use.
type kept struct {
	ttl  time.Duration
	size int

	mu    sync.Mutex
	known map[keyedhash.Sum]*decided
	// added are those that were added last, in that order: all that are known, and some
	// that are not any more.
	added []named
}

// named is a decision, and the name that it goes by.
type named struct {
	name keyedhash.Sum
	made *decided
}

func newKept(ttl time.Duration, size int) *kept {
	return &kept{ttl: ttl, size: size, known: make(map[keyedhash.Sum]*decided)}
}

// len is how many decisions are remembered, whether or not they still hold.
func (k *kept) len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.known)
}

// get returns a decision that holds now.
func (k *kept) get(name keyedhash.Sum, now time.Time) (*decided, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known, ok := k.known[name]
	if !ok {
		return nil, false
	}
	if known.holds(now) {
		return known, true
	}
	delete(k.known, name)
	return nil, false
}

// add remembers a decision from now on, if there is time and room to, and forgets those
// that hold no more.
func (k *kept) add(name keyedhash.Sum, made *decided, now time.Time) {
	if k.ttl <= 0 || k.size <= 0 {
		return
	}
	made.from, made.until = now, now.Add(k.ttl)
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.added) > 0 && (k.added[0].made.until.Before(now) || len(k.added) == k.size) {
		k.forgetFirst()
	}
	k.added = append(k.added, named{name, made})
	k.known[name] = made
}

func (k *kept) forgetFirst() {
	first := k.added[0]
	// It may have been decided again since.
	if k.known[first.name] == first.made {
		delete(k.known, first.name)
	}
	k.added[0] = named{}
	k.added = k.added[1:]
}
