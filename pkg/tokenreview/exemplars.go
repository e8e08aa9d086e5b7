package tokenreview

import (
	"sync"
	"sync/atomic"
	"time"
)

// exemplars says which requests are exemplars: of each series, and of each bucket of a
// histogram, one in a second. To make one takes several times as long as to count, and
// nobody reads them as often. It is safe for concurrent use.
type exemplars struct{ last sync.Map } // of exemplarOf → *atomic.Int64, seconds of Unix time

// exemplarOf is what has exemplars of its own: slow decisions, which are rare and which
// people look for, are not in the shadow of others.
type exemplarOf struct {
	series any
	bucket int
}

// due reports whether the request that came in at a time is to be an exemplar.
func (e *exemplars) due(series any, bucket int, at time.Time) bool {
	of := exemplarOf{series, bucket}
	known, ok := e.last.Load(of)
	if !ok {
		known, _ = e.last.LoadOrStore(of, new(atomic.Int64))
	}
	last, now := known.(*atomic.Int64), at.Unix()
	before := last.Load()
	return before != now && last.CompareAndSwap(before, now)
}
