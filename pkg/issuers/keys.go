package issuers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	oteltrace "go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"tokenreview.dev/webhook/internal/redact"
	"tokenreview.dev/webhook/internal/span"
)

const (
	// fileInterval is how often a key file is read again.
	fileInterval = 10 * time.Second
	// retryMin and retryMax bound the wait after a failed fetch, which doubles from one
	// to the other. With fetchTimeout they bound how long a returning issuer may go
	// unnoticed: 15 s.
	retryMin = time.Second
	retryMax = 5 * time.Second
	// fetchTimeout bounds one fetch, discovery included.
	fetchTimeout = 8 * time.Second
	// rest is the least time between two fetches: an issuer may rotate its keys every
	// second, and nobody's tokens make it be asked more often.
	rest = time.Second
	// maxAsked is how many fetches tokens bring about at once, askedInterval how long it
	// takes until they may bring about one more. One that brings a key which was not
	// known does not count: tokens with made-up kids must not become the issuer's load.
	maxAsked      = 2
	askedInterval = 10 * time.Second
	// rememberedSets is how many sets a key is looked for in that may be new: replicas of
	// one issuer can differ, and answer in turn.
	rememberedSets = 8
	// clockTolerance is how far ahead of the clock the time of keys may lie: clocks are
	// put right now and then.
	clockTolerance = time.Minute
	// closeWait is how long work that is told to end is waited for.
	closeWait = time.Second
)

// source is where an issuer's keys come from.
type source interface {
	// fetch returns the keys as they are now. It is called from one goroutine at a
	// time and obeys ctx.
	fetch(ctx context.Context) (answer, error)
}

// answer is what a source says.
type answer struct {
	set *KeySet
	// document is the set as the issuer publishes it, nil where it came from this
	// machine.
	document []byte
	// fresh is for how long the issuer says that it may be kept, zero if it does not.
	fresh time.Duration
}

// neverStale is the maxStaleness of keys that stand in the configuration.
const neverStale = time.Duration(math.MaxInt64)

// keys holds one issuer's key set and keeps it fresh in the background. The way of
// a request only ever loads a pointer, except for a token whose key is unknown.
type keys struct {
	source       source
	interval     func(fresh time.Duration) time.Duration // from a fetch to the next
	maxStaleness time.Duration
	// fixed says that the source never has others.
	fixed   bool
	saver   *saver // nil where keys are not saved
	now     func() time.Time
	room    *semaphore.Weighted
	observe func(error)
	// tracer makes a span of each fetch, which is of the issuer by that name; nil none.
	tracer oteltrace.Tracer
	name   string

	current atomic.Pointer[fetched]
	failure atomic.Pointer[error] // of the last fetch
	// first is closed when the first fetch has ended, well or not.
	first chan struct{}
	// recent are the sets that were fetched last. They are of run alone.
	recent []*KeySet

	wake   chan struct{} // asks for a fetch
	stop   context.CancelFunc
	closed <-chan struct{} // from stop on
	done   chan struct{}   // closed when the work has ended

	mu       sync.Mutex
	asks     *rate.Limiter // of fetches that tokens bring about
	waiters  int           // how many tokens wait for a fetch
	underway chan struct{} // closed when the fetch that is under way has ended; nil if there is none
	next     chan struct{} // closed when the next one has ended; nil if nobody waits for it
}

// fetched is a key set and when it was had.
type fetched struct {
	answer
	// at has no monotonic reading: a machine that sleeps does not stop keys from
	// becoming too old.
	at time.Time
	// restored says that another process fetched it.
	restored bool
}

// start begins fetching, and goes on until close.
func (k *keys) start() {
	ctx, cancel := context.WithCancel(context.Background())
	k.stop, k.closed = cancel, ctx.Done()
	k.first = make(chan struct{})
	k.wake = make(chan struct{}, 1)
	k.done = make(chan struct{})
	k.asks = newAsks()
	if k.saver != nil {
		k.saver.start()
	}
	go k.run(ctx)
}

func newAsks() *rate.Limiter { return rate.NewLimiter(rate.Every(askedInterval), maxAsked) }

// close ends the background work and waits for it, though not for long: a file system
// that hangs must not hold up the next configuration. What was fetched remains.
func (k *keys) close() {
	k.stop()
	wait := time.NewTimer(closeWait)
	defer wait.Stop()
	select {
	case <-k.done:
	case <-wait.C:
	}
	if k.saver != nil {
		k.saver.close()
	}
}

// awaitFirst waits until the first fetch has ended, well or not, or ctx is done.
func (k *keys) awaitFirst(ctx context.Context) {
	select {
	case <-k.first:
	case <-ctx.Done():
	}
}

// run fetches again and again.
func (k *keys) run(ctx context.Context) {
	defer close(k.done)
	backoff := retryMin
	for first := true; ; first = false {
		err := k.fetchOnce(ctx)
		if first {
			close(k.first)
		}
		var wait time.Duration
		if err != nil {
			wait = backoff + spread(backoff/5)
			backoff = min(2*backoff, retryMax)
		} else {
			backoff = retryMin
			// Sooner, never later: keys are had again before they age out.
			interval := k.interval(k.current.Load().fresh)
			wait = interval - spread(interval/5)
			if k.saver != nil {
				k.saver.save(k.current.Load())
			}
		}
		if !k.pause(ctx, wait) {
			return
		}
	}
}

// spread is a random part of d, so that those who begin together do not go on
// together.
func spread(d time.Duration) time.Duration { return time.Duration(rand.Int64N(int64(d) + 1)) }

// pause waits until it is time to fetch again: after wait, or when a token has asked
// for it and the issuer has had its rest. It returns false if ctx ends before that.
func (k *keys) pause(ctx context.Context, wait time.Duration) bool {
	due, rested := time.NewTimer(wait), time.NewTimer(rest)
	defer due.Stop()
	defer rested.Stop()
	// Timers stand still while a machine sleeps, and the clock does not.
	look := time.NewTicker(time.Minute)
	defer look.Stop()
	begun := k.now().Round(0)
	for asked := false; !asked; {
		select {
		case <-ctx.Done():
			return false
		case <-due.C:
			return true
		case <-look.C:
			if k.now().Sub(begun) >= wait {
				return true
			}
		case <-k.wake:
			asked = true
		}
	}
	select {
	case <-ctx.Done():
		return false
	case <-due.C:
	case <-rested.C:
	}
	return true
}

// fetchOnce replaces the keys if it can; a failure leaves them as they are.
func (k *keys) fetchOnce(ctx context.Context) error {
	k.begin()
	fetching, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	fetching, step := span.Root(fetching, k.tracer, "fetch keys")
	step.Set(span.Issuer.String(k.name))
	got, err := fetch(fetching, k.source)
	step.EndTelling(err)
	if ctx.Err() != nil {
		// Closed meanwhile, which tells nothing of the issuer: those who wait learn of it
		// by closed.
		return ctx.Err()
	}
	if err != nil {
		k.failure.Store(&err)
		k.observe(err)
		k.end(false)
		return err
	}
	if before := k.current.Load(); before != nil && before.set.same(got.set) {
		got.set = before.set // Whoever remembers what it has proven sees that nothing has changed.
	}
	k.current.Store(&fetched{answer: got, at: k.now().Round(0)})
	k.failure.Store(nil)
	k.observe(nil)
	k.end(got.set.hasKeyBeside(k.recent))
	k.recent = append(k.recent, got.set)
	k.recent = k.recent[max(0, len(k.recent)-rememberedSets):]
	return nil
}

// fetch makes an error of a panic, which would end the process: what issuers publish
// goes through much code of others.
func fetch(ctx context.Context, from source) (got answer, err error) {
	defer redact.Panic(&err)
	return from.fetch(ctx)
}

// begin makes the fetch that now begins the one under way: whoever waits for the
// next one waits for it.
func (k *keys) begin() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.underway, k.next = k.next, nil
	if k.underway == nil {
		k.underway = make(chan struct{})
	}
	select {
	case <-k.wake:
	default:
	}
}

// end is called when a fetch has ended. news is whether it brought a key that was not
// known before.
func (k *keys) end(news bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if news {
		k.asks = newAsks()
	}
	close(k.underway)
	k.underway = nil
}

// restore takes over what another process has saved, where there are no keys yet.
// found is whether there was something, which an error says why it is not used.
func (k *keys) restore() (found bool, err error) {
	if k.saver == nil || k.current.Load() != nil {
		return false, nil
	}
	restored, err := k.saver.file.restore()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		err = fmt.Errorf("restore keys: %w", err)
		k.saver.failure.Store(&err) // until keys are saved
		return true, err
	}
	k.current.Store(restored)
	return true, nil
}

// get returns the keys to verify with now, or an error while there are none that
// may still be trusted. It does not wait.
func (k *keys) get() (*fetched, error) {
	current := k.current.Load()
	if current == nil {
		return nil, fmt.Errorf("no keys yet: %w", k.lastError())
	}
	age := k.age(current)
	if age < -clockTolerance {
		// A clock was wrong, and nobody knows how old they are: they age from now on.
		aging := *current
		aging.at = k.now().Round(0)
		if k.current.CompareAndSwap(current, &aging) && k.saver != nil {
			k.saver.save(&aging)
		}
		k.ask()
		return &aging, nil
	}
	if age > k.maxStaleness {
		k.ask()
		return nil, fmt.Errorf("the last keys are %s old, more than maxStaleness (%s): %w", age.Round(time.Second), k.maxStaleness, k.lastError())
	}
	return current, nil
}

// age is how old keys are, below zero for those from the future.
func (k *keys) age(of *fetched) time.Duration { return k.now().Sub(of.at) }

var errNotFetched = errors.New("the fetch has not ended")

func (k *keys) lastError() error {
	if err := k.failure.Load(); err != nil {
		return *err
	}
	return errNotFetched
}
