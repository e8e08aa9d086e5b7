package main

import (
	"context"
	"runtime"
	"time"
)

// asked is a server and what it is asked, to be compared with others.
type asked struct {
	*clients
	body func() []byte
	// before is called before each turn.
	before func()
}

// turns is what came of the turns of one that was asked, a value for each round.
type turns struct {
	perSecond sample
	// p50, p99 and processor are in nanoseconds: how long half of the answers took at most,
	// and all but a hundredth, and how much time of a processor the server spent on one.
	p50, p99, processor sample
}

// takeTurnsAsking has those who are asked take turns, each for about the time d.
func takeTurnsAsking(ctx context.Context, rounds int, d time.Duration, all []asked) ([]turns, error) {
	results := make([]turns, len(all))
	for round := range rounds {
		for i := range inTurn(round, len(all)) {
			if all[i].before != nil {
				all[i].before()
			}
			runtime.GC() // of what the others have left here
			before, err := all[i].server.processorTime()
			if err != nil {
				return nil, err
			}
			got, err := all[i].ask(ctx, d, all[i].body)
			if err != nil {
				return nil, err
			}
			after, err := all[i].server.processorTime()
			if err != nil {
				return nil, err
			}
			results[i].add(got, after-before)
		}
	}
	return results, nil
}

func (t *turns) add(got answers, processor time.Duration) {
	t.perSecond = append(t.perSecond, got.perSecond)
	t.p50 = append(t.p50, got.p50)
	t.p99 = append(t.p99, got.p99)
	t.processor = append(t.processor, float64(processor)/float64(got.count))
}
