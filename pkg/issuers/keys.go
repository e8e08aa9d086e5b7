package issuers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// refreshInterval is how often keys are fetched again, give or take a tenth, and
	// so about how long a key that the issuer has withdrawn goes on verifying.
	refreshInterval = 10 * time.Minute
	// fileInterval is how often a key file is read again.
	fileInterval = 10 * time.Second
	// retryMin and retryMax bound the wait after a failed fetch; it doubles from
	// one to the other, so a returning issuer is noticed within retryMax.
	retryMin = time.Second
	retryMax = 10 * time.Second
	// minFetchInterval is the least time between a fetch and another one that a token
	// asks for: tokens with made-up kids must not become the issuer's load.
	minFetchInterval = 10 * time.Second
	// maxWaiters is how many reviews may wait for one issuer's fetch. Waiting holds a
	// stream of the API server's one HTTP/2 connection, which has 250.
	maxWaiters = 128
	// fetchTimeout bounds one fetch, discovery included.
	fetchTimeout = 10 * time.Second
)

// source is where an issuer's keys come from.
type source interface {
	// fetch returns the keys as they are now. It is called from one goroutine at a
	// time and obeys ctx.
	fetch(ctx context.Context) (*KeySet, error)
}

// neverStale is the maxStaleness of keys that stand in the configuration.
const neverStale = time.Duration(math.MaxInt64)

// keys holds one issuer's key set and keeps it fresh in the background. The way of
// a request only ever loads a pointer, except for a token whose key is unknown.
type keys struct {
	source       source
	interval     time.Duration
	maxStaleness time.Duration
	now          func() time.Time
	observe      func(error)

	current atomic.Pointer[fetched]
	failure atomic.Pointer[error]
	// first is closed when the first fetch has ended, well or not.
	first chan struct{}

	wake chan struct{}
	stop context.CancelFunc
	done chan struct{}

	mu        sync.Mutex
	attempted time.Time     // when the last fetch began
	waiters   int           // how many wait for pending
	pending   chan struct{} // closed when the fetch under way or asked for has ended
}

// fetched is a key set and when it was had.
type fetched struct {
	*KeySet
	at time.Time
}

// start begins fetching, and goes on until close.
func (k *keys) start() {
	ctx, cancel := context.WithCancel(context.Background())
	k.stop = cancel
	k.first = make(chan struct{})
	k.wake = make(chan struct{}, 1)
	k.done = make(chan struct{})
	go k.run(ctx)
}

// close ends the background work and waits for it. What was fetched remains.
func (k *keys) close() {
	k.stop()
	<-k.done
}

// awaitFirst waits until the first fetch has ended, well or not, or ctx is done.
func (k *keys) awaitFirst(ctx context.Context) {
	select {
	case <-k.first:
	case <-ctx.Done():
	}
}

func (k *keys) run(ctx context.Context) {
	defer close(k.done)
	retry := retryMin
	for first := true; ; first = false {
		err := k.fetchOnce(ctx)
		if first {
			close(k.first)
		}
		wait := k.interval + time.Duration(rand.Int64N(int64(k.interval)/5+1)) - k.interval/10
		if err != nil {
			wait = retry + time.Duration(rand.Int64N(int64(retry)/5+1))
			retry = min(2*retry, retryMax)
		} else {
			retry = retryMin
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-k.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// fetchOnce replaces the keys if it can; a failure leaves them as they are.
func (k *keys) fetchOnce(ctx context.Context) error {
	k.mu.Lock()
	k.attempted = k.now()
	if k.pending == nil {
		k.pending = make(chan struct{})
	}
	// Whoever has asked is served by this fetch.
	select {
	case <-k.wake:
	default:
	}
	k.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	set, err := k.source.fetch(ctx)
	if ctx.Err() == context.Canceled {
		err = ctx.Err() // closed meanwhile, which tells nothing of the issuer
	}
	if err == nil {
		k.current.Store(&fetched{KeySet: set, at: k.now()})
		k.failure.Store(nil)
	} else {
		k.failure.Store(&err)
	}
	if !errors.Is(err, context.Canceled) {
		k.observe(err)
	}

	k.mu.Lock()
	close(k.pending)
	k.pending = nil
	k.mu.Unlock()
	return err
}

// get returns the keys to verify with now, or an error while there are none that
// may still be trusted. It does not wait.
func (k *keys) get() (*fetched, error) {
	current := k.current.Load()
	if current == nil {
		return nil, fmt.Errorf("no keys yet: %w", k.lastError())
	}
	if age := k.now().Sub(current.at); age > k.maxStaleness {
		return nil, fmt.Errorf("the last keys are %s old, more than maxStaleness (%s): %w", age.Round(time.Second), k.maxStaleness, k.lastError())
	}
	return current, nil
}

// newer returns keys fetched after seen, fetching if the last fetch is long
// enough ago. All who ask meanwhile wait for the same fetch. It returns seen
// where there is nothing newer to be had now.
func (k *keys) newer(ctx context.Context, seen *fetched) (*fetched, error) {
	if current := k.current.Load(); current != seen {
		return k.get()
	}
	k.mu.Lock()
	if k.pending == nil {
		if k.now().Sub(k.attempted) < minFetchInterval {
			k.mu.Unlock()
			if k.failure.Load() != nil {
				return nil, fmt.Errorf("the token's key is not among the known ones, and they cannot be refreshed: %w", k.lastError())
			}
			return seen, nil
		}
		k.pending = make(chan struct{})
		k.wake <- struct{}{} // never blocks: it is emptied before pending is cleared
	}
	if k.waiters >= maxWaiters {
		k.mu.Unlock()
		return nil, errors.New("too many tokens wait for the issuer's keys already")
	}
	k.waiters++
	pending := k.pending
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.waiters--
	}()

	select {
	case <-pending:
	case <-k.done:
		return nil, errors.New("the issuer's configuration was just replaced")
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the issuer's keys: %w", ctx.Err())
	}
	if current := k.current.Load(); current != seen {
		return k.get()
	}
	return nil, fmt.Errorf("the token's key is not among the known ones, and they cannot be refreshed: %w", k.lastError())
}

var errNotFetched = errors.New("the fetch has not ended")

func (k *keys) lastError() error {
	if err := k.failure.Load(); err != nil {
		return *err
	}
	return errNotFetched
}
