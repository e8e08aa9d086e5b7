package main

import (
	"fmt"
	"strconv"
)

// spread is the median, and between which values the half lies that is nearest to it.
func spread(s sample) string {
	return fmt.Sprintf("%s (%s–%s)", digits(s.median()), digits(s.quantile(0.25)), digits(s.quantile(0.75)))
}

// nanoseconds is the median of some, in a unit in which it can be read.
func nanoseconds(s sample) string {
	switch ns := s.median(); {
	case ns < 1e3:
		return digits(ns) + " ns"
	case ns < 1e6:
		return digits(ns/1e3) + " µs"
	default:
		return digits(ns/1e6) + " ms"
	}
}

func perSecond(s sample) string { return thousands(int(s.median())) + "/s" }

func mebibytes(bytes int64) string { return digits(float64(bytes) / mebibyte) }

func (a allocated) String() string {
	return fmt.Sprintf("%.0f, of %s bytes together", a.count, thousands(int(a.bytes)))
}

// digits shows three that say something, or all before the point.
func digits(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

// thousands writes a number that is not negative as 1,000,000.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
