package main

import (
	"context"
	"iter"
	"runtime"
	"syscall"
	"time"
)

// subject does something once whose time is compared with others', and fails if what
// comes of it is not right.
type subject func() error

// takeTurns has the subjects take turns, each for about the time slice, and returns the
// nanoseconds that each took for one time, by subject and round.
func takeTurns(ctx context.Context, rounds int, slice time.Duration, subjects []subject) ([]sample, error) {
	// What is only done the first time is not what is measured.
	for _, s := range subjects {
		if _, err := timeOnce(slice/4, s); err != nil {
			return nil, err
		}
	}
	samples := make([]sample, len(subjects))
	for round := range rounds {
		for i := range inTurn(round, len(subjects)) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			took, err := timeOnce(slice, subjects[i])
			if err != nil {
				return nil, err
			}
			samples[i] = append(samples[i], took)
		}
	}
	return samples, nil
}

// inTurn is in which order n take their turns in a round. Another one begins each time, and
// when each has begun they go the other way round: what one leaves behind, such as a file
// that the kernel goes on writing, must not always be there for the same other one.
func inTurn(round, n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for turn := range n {
			if round/n%2 == 1 {
				turn = n - 1 - turn
			}
			if !yield((round + turn) % n) {
				return
			}
		}
	}
}

// timeOnce does something until that takes more than half of d, and returns the
// nanoseconds of one time.
func timeOnce(d time.Duration, once subject) (float64, error) {
	runtime.GC() // of what others have left
	for times := 1; ; times *= 2 {
		took, err := timeAll(times, func(int) error { return once() })
		if err != nil {
			return 0, err
		}
		if took >= d/2 {
			return float64(took) / float64(times), nil
		}
	}
}

// timeAll does something many times, and returns the processor time that this process had
// meanwhile. It does not grow when the machine does something else, and nothing that is
// measured so waits for anything.
func timeAll(times int, one func(i int) error) (time.Duration, error) {
	begun, err := processorTime()
	if err != nil {
		return 0, err
	}
	for i := range times {
		if err := one(i); err != nil {
			return 0, err
		}
	}
	ended, err := processorTime()
	return ended - begun, err
}

// processorTime is how much this process has had since it began, see getrusage(2).
func processorTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

// onOneCore has Go code run on one core, until it is undone.
func onOneCore() (undo func()) {
	before := runtime.GOMAXPROCS(1)
	return func() { runtime.GOMAXPROCS(before) }
}
