package main

import (
	"math"
	"slices"
	"testing"
)

func TestQuantilesLieBetweenValues(t *testing.T) {
	for _, test := range []struct {
		name                 string
		sample               sample
		first, median, third float64
	}{
		{"no values", nil, 0, 0, 0},
		{"one value", sample{7}, 7, 7, 7},
		{"two values", sample{10, 20}, 12.5, 15, 17.5},
		{"an odd number of values, out of order", sample{5, 1, 4, 2, 3}, 2, 3, 4},
		{"an even number of values", sample{4, 1, 3, 2}, 1.75, 2.5, 3.25},
		{"one that is far away", sample{1, 1, 1, 1, 1000}, 1, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := slices.Clone(test.sample)
			for q, want := range map[float64]float64{0.25: test.first, 0.5: test.median, 0.75: test.third} {
				if got := test.sample.quantile(q); math.Abs(got-want) > 1e-9 {
					t.Errorf("quantile %v: expected %v, got %v", q, want, got)
				}
			}
			if got := test.sample.median(); got != test.median {
				t.Errorf("expected the median %v, got %v", test.median, got)
			}
			if !slices.Equal(before, test.sample) {
				t.Errorf("the sample is another than before: %v", test.sample)
			}
		})
	}
}

func TestTheFirstAndTheLastQuantileAreTheLeastAndTheMost(t *testing.T) {
	s := sample{3, 9, 1}
	if least, most := s.quantile(0), s.quantile(1); least != 1 || most != 9 {
		t.Errorf("expected 1 and 9, got %v and %v", least, most)
	}
}

// A machine that is slower for a while is slower for both.
func TestARatioIsThatOfItsRound(t *testing.T) {
	ratios := sample{20, 200, 40}.over(sample{10, 100, 20})
	if want := (sample{2, 2, 2}); !slices.Equal(ratios, want) {
		t.Errorf("expected %v, got %v", want, ratios)
	}
}
