package main

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"tokenreview.dev/webhook/pkg/tokenreview"
)

// lookedUp is how many of the last tokens are looked up again: fewer than the cache holds.
const lookedUp = 1000

// distinctTokens lets the cache see more and more distinct tokens, and measures how long
// another look at some of them takes, and another new one.
func (b *bench) distinctTokens(ctx context.Context, r *report) error {
	_, rules, err := rulesOf(ctx, b.a.configuration)
	if err != nil {
		return err
	}
	defer rules.Issuers.Close(nil)
	minter, err := newMinter(b.a.elliptic, b.a.token.Claims)
	if err != nil {
		return err
	}
	at := append(append([]int{}, b.sizes.distinct...), b.tokens)
	lookups := curve{what: "distinct tokens before, cached decision"}
	fresh := curve{what: "distinct tokens before, new token beside the cache"}
	var firstLookup, firstFresh float64
	for i, n := range at {
		reviewer := cached(rules)
		last, err := fill(ctx, reviewer, minter, n)
		if err != nil {
			return err
		}
		lookup, one, err := b.lookups(ctx, reviewer, cached(rules), last)
		if err != nil {
			return err
		}
		decision, plain, err := b.newTokens(ctx, reviewer, uncached(rules), minter)
		if err != nil {
			return err
		}
		// Each is compared with what takes turns with it, and that with the first point.
		ofLookup, ofFresh := lookup.over(one).median(), decision.over(plain).median()
		if i == 0 {
			firstLookup, firstFresh = ofLookup, ofFresh
			lookups.first, fresh.first = nanoseconds(lookup), nanoseconds(decision)
		}
		lookups.points = append(lookups.points, point{thousands(n), ofLookup / firstLookup})
		fresh.points = append(fresh.points, point{thousands(n), ofFresh / firstFresh})
	}
	lookups.why = "more tokens than a processor's caches hold are looked at by turns"
	r.curves = append(r.curves, lookups, fresh)
	return nil
}

// fill has n new tokens decided about, on all cores, and returns the last of them.
func fill(ctx context.Context, reviewer *tokenreview.Reviewer, m *minter, n int) (last []string, err error) {
	last = make([]string, min(n, lookedUp))
	var (
		workers sync.WaitGroup
		taken   atomic.Int64
		mu      sync.Mutex
	)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := int(taken.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(taken.Add(1)) - 1 {
				token := m.next()
				failed := review(ctx, reviewer, token)
				mu.Lock()
				if failed != nil {
					err = failed
				}
				if place := i - n + len(last); place >= 0 {
					last[place] = token
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return last, err
}

// lookups compares decisions about the last tokens with those of a reviewer that has seen
// one alone.
func (b *bench) lookups(ctx context.Context, many, single *tokenreview.Reviewer, last []string) (lookup, one sample, err error) {
	defer onOneCore()()
	next := 0
	subjects := []subject{
		func() error {
			next = (next + 1) % len(last)
			return review(ctx, many, last[next])
		},
		reviewing(ctx, single, last[0]),
	}
	for range b.rounds {
		// What has expired by now is decided about anew, before it counts.
		for _, token := range last {
			if err := review(ctx, many, token); err != nil {
				return nil, nil, err
			}
		}
		samples, err := takeTurns(ctx, 1, b.slice, subjects)
		if err != nil {
			return nil, nil, err
		}
		lookup, one = append(lookup, samples[0]...), append(one, samples[1]...)
	}
	return lookup, one, nil
}

// newTokens compares decisions about new tokens beside the cache with those without one.
func (b *bench) newTokens(ctx context.Context, many, without *tokenreview.Reviewer, m *minter) (decision, plain sample, err error) {
	const each = 100
	reviewers := []*tokenreview.Reviewer{many, without}
	samples := make([]sample, len(reviewers))
	for round := range b.rounds {
		tokens := m.many(each * len(reviewers))
		for i := range inTurn(round, len(reviewers)) {
			took, err := reviewAll(ctx, reviewers[i], tokens[i*each:(i+1)*each])
			if err != nil {
				return nil, nil, err
			}
			samples[i] = append(samples[i], took)
		}
	}
	return samples[0], samples[1], nil
}

// reviewAll returns the nanoseconds that one of the tokens takes.
func reviewAll(ctx context.Context, reviewer *tokenreview.Reviewer, tokens []string) (float64, error) {
	defer onOneCore()()
	runtime.GC()
	took, err := timeAll(len(tokens), func(i int) error { return review(ctx, reviewer, tokens[i]) })
	return float64(took) / float64(len(tokens)), err
}
