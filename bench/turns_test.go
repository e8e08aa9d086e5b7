package main

import (
	"slices"
	"testing"
)

func TestNobodyTakesTheirTurnAlwaysAfterTheSameOne(t *testing.T) {
	for n := range 6 {
		var all []int
		for i := range n {
			all = append(all, i)
		}
		var begun []int
		after := map[[2]int]bool{}
		for round := range 2 * n {
			order := slices.Collect(inTurn(round, n))
			begun = append(begun, order[0])
			for i := range n - 1 {
				after[[2]int{order[i], order[i+1]}] = true
			}
			if sorted := slices.Sorted(slices.Values(order)); !slices.Equal(sorted, all) {
				t.Errorf("%d, round %d: expected each to have one turn, got %v", n, round, order)
			}
		}
		if sorted := slices.Sorted(slices.Values(begun)); !slices.Equal(sorted, slices.Sorted(slices.Values(append(all, all...)))) {
			t.Errorf("%d: expected each to begin twice, got %v", n, begun)
		}
		for i := range n {
			if next := (i + 1) % n; next != i && (!after[[2]int{i, next}] || !after[[2]int{next, i}]) {
				t.Errorf("%d: expected %d and %d to come after each other", n, i, next)
			}
		}
	}
}
