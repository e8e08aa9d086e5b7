package main

import (
	"slices"
	"testing"
)

func TestACurveIsFlatOrSaysWhyNot(t *testing.T) {
	of := func(relative ...float64) []point {
		points := []point{{"1", 1}}
		for _, r := range relative {
			points = append(points, point{"10", r})
		}
		return points
	}
	for _, test := range []struct {
		name  string
		curve curve
		want  []string
	}{
		{"within a fifth", curve{what: "keys", first: "9 µs", points: of(1.19), why: "never said"}, []string{"keys", "9 µs", "1: 1.00, 10: 1.19", "yes", ""}},
		{"more than a fifth above", curve{what: "groups", first: "9 µs", points: of(1.21), why: "the token grows"}, []string{"groups", "9 µs", "1: 1.00, 10: 1.21", "no", "the token grows"}},
		{"more than a fifth below", curve{what: "keys", first: "9 µs", points: of(0.79)}, []string{"keys", "9 µs", "1: 1.00, 10: 0.79", "no", "**not explained**"}},
		{"steep at one point that is not the last", curve{what: "keys", first: "9 µs", points: of(1.5, 1)}, []string{"keys", "9 µs", "1: 1.00, 10: 1.50, 10: 1.00", "no", "**not explained**"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.curve.row(); !slices.Equal(got, test.want) {
				t.Errorf("expected %q, got %q", test.want, got)
			}
		})
	}
}

func TestAPointIsComparedWithTheFirstWithinTheRound(t *testing.T) {
	c := timeCurve("keys", []int{1, 1000}, []sample{{1000, 3000, 1000}, {2000, 6000, 2000}}, "")
	if want := []point{{"1", 1}, {"1,000", 2}}; !slices.Equal(c.points, want) || c.first != "1.00 µs" {
		t.Errorf("expected %v of 1.00 µs, got %v of %s", want, c.points, c.first)
	}
}
