package main

import "slices"

// sample is what was measured, a value for each round.
type sample []float64

// quantile is the value that the part q of all values lies below, between two of them
// where it falls there. It is 0 for no values.
func (s sample) quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	at := q * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

func (s sample) median() float64 { return s.quantile(0.5) }

// over divides by another sample round by round, which both had to share.
func (s sample) over(other sample) sample {
	ratios := make(sample, len(s))
	for i := range s {
		ratios[i] = s[i] / other[i]
	}
	return ratios
}
