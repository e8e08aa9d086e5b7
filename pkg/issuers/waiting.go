package issuers

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/semaphore"

	"tokenreview.dev/webhook/internal/span"
)

const (
	// ownPlaces is how many tokens may wait for the keys of one issuer in any case,
	// whatever happens to other issuers.
	ownPlaces = 4
	// sharedPlaces is how many more may wait for those of all issuers together. Anybody can
	// make up tokens that wait, and waiting holds a stream of the API server's HTTP/2
	// connection, which has 250.
	sharedPlaces = 128
)

// newRoom returns the shared places.
func newRoom() *semaphore.Weighted { return semaphore.NewWeighted(sharedPlaces) }

// ask has the next fetch made as soon as may be. It counts as a token's.
func (k *keys) ask() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.askLocked()
}

// askLocked is ask, and returns what is closed when that fetch has ended, or nil if
// tokens have brought about too many.
func (k *keys) askLocked() <-chan struct{} {
	if k.next == nil {
		if !k.asks.Allow() {
			return nil
		}
		k.next = make(chan struct{})
		select {
		case k.wake <- struct{}{}:
		default:
		}
	}
	return k.next
}

// newer returns keys fetched after seen, for a token whose key is not in seen: those
// that prove it, if need be by waiting for the next fetch with everybody else who does.
// Where they do not, or no fetch is to be had so soon, it returns the keys as they are.
// An error means that it cannot be told whether the issuer has the key.
func (k *keys) newer(ctx context.Context, seen *fetched, proves func(*KeySet) bool) (_ *fetched, err error) {
	if k.fixed {
		return seen, nil
	}
	current := k.current.Load()
	if current != seen && proves(current.set) {
		return k.get()
	}
	leave, err := k.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, step := span.Start(ctx, "wait for keys")
	defer func() { step.End(err) }()
	for {
		k.mu.Lock()
		ended, wasUnderWay := (<-chan struct{})(k.underway), k.underway != nil
		if !wasUnderWay {
			ended = k.askLocked() // nil if no fetch is to be had
		}
		k.mu.Unlock()
		if ended != nil {
			select {
			case <-ended:
			case <-k.closed:
				return nil, errors.New("the issuer's configuration was just replaced")
			case <-ctx.Done():
				return nil, fmt.Errorf("waiting for the issuer's keys: %w", ctx.Err())
			}
		}
		if k.failure.Load() != nil {
			return nil, fmt.Errorf("the token's key is not among the known ones, and they cannot be refreshed: %w", k.lastError())
		}
		current, err := k.get()
		// A fetch that was under way may have been answered before the key was published.
		if err != nil || !wasUnderWay || proves(current.set) {
			return current, err
		}
	}
}

// enter lets a token wait for a fetch, unless too many do already.
func (k *keys) enter() (leave func(), err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	shared := k.waiters >= ownPlaces
	if shared && !k.room.TryAcquire(1) {
		return nil, errors.New("too many tokens wait for issuers' keys already")
	}
	k.waiters++
	return func() {
		if shared {
			k.room.Release(1)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.waiters--
	}, nil
}
