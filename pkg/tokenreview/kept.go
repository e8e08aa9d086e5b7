package tokenreview

import (
	"sync"
	"time"

	"k8s.io/utils/lru"

	"tokenreview.dev/webhook/internal/keyedhash"
)

// kept are decisions of one kind that are remembered for the same time. It is safe for
// concurrent use.
type kept struct {
	ttl   time.Duration
	size  int
	table *lru.Cache // of keyedhash.Sum → *decided

	mu sync.Mutex
	// ending are when the last ones that were added cease to hold, in that order.
	ending []ending
}

type ending struct {
	name  keyedhash.Sum
	until time.Time
}

func newKept(ttl time.Duration, size int) *kept {
	return &kept{ttl: ttl, size: size, table: lru.New(max(1, size))} // 0 would be no bound
}

// get returns a decision that holds now.
func (k *kept) get(name keyedhash.Sum, now time.Time) (*decided, bool) {
	value, ok := k.table.Get(name)
	if !ok {
		return nil, false
	}
	if known := value.(*decided); known.holds(now) {
		return known, true
	}
	k.table.Remove(name)
	return nil, false
}

// add remembers a decision from now on, if there is time and room to, and forgets those
// that hold no more: the table alone would do so only for want of room.
func (k *kept) add(name keyedhash.Sum, made *decided, now time.Time) {
	if k.ttl <= 0 || k.size <= 0 {
		return
	}
	made.from, made.until = now, now.Add(k.ttl)
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.ending) > 0 && k.ending[0].until.Before(now) {
		// It may have been decided again since.
		if value, ok := k.table.Get(k.ending[0].name); ok && value.(*decided).until.Before(now) {
			k.table.Remove(k.ending[0].name)
		}
		k.ending = k.ending[1:]
	}
	if len(k.ending) == k.size {
		k.ending = k.ending[1:] // Its turn in the table comes as well.
	}
	k.ending = append(k.ending, ending{name, made.until})
	k.table.Add(name, made)
}
