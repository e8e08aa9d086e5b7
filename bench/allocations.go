package main

import "runtime"

// allocated is what one time leaves to the garbage collector.
type allocated struct{ count, bytes float64 }

// countAllocations does something many times, on one core.
func countAllocations(once subject) (allocated, error) {
	const times = 300
	defer onOneCore()()
	if err := once(); err != nil {
		return allocated{}, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		if err := once(); err != nil {
			return allocated{}, err
		}
	}
	runtime.ReadMemStats(&after)
	return allocated{
		count: float64(after.Mallocs-before.Mallocs) / times,
		bytes: float64(after.TotalAlloc-before.TotalAlloc) / times,
	}, nil
}
