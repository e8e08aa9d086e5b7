package main

import (
	"fmt"
	"math"
	"strings"
)

// curve is what becomes of one thing while another grows.
type curve struct {
	// what grows, and what is measured.
	what string
	// first is what was measured at the first point, in words.
	first  string
	points []point
	// why it is not flat.
	why string
}

// point is a place on a curve, and how many times the first one it is.
type point struct {
	at       string
	relative float64
}

// flat is how far from the first any point may be.
const flat = 0.2

func (c *curve) flat() bool {
	for _, p := range c.points {
		if math.Abs(p.relative-1) > flat {
			return false
		}
	}
	return true
}

func (c *curve) row() []string {
	var points []string
	for _, p := range c.points {
		points = append(points, fmt.Sprintf("%s: %.2f", p.at, p.relative))
	}
	row := []string{c.what, c.first, strings.Join(points, ", "), "yes", ""}
	if !c.flat() {
		row[3], row[4] = "no", c.why
		if c.why == "" {
			row[4] = "**not explained**"
		}
	}
	return row
}

// timeCurve is a curve of points that took turns.
func timeCurve(what string, at []int, times []sample, why string) curve {
	c := curve{what: what, first: nanoseconds(times[0]), why: why}
	for i, n := range at {
		c.points = append(c.points, point{thousands(n), times[i].over(times[0]).median()})
	}
	return c
}
