package main

import "testing"

func TestTable(t *testing.T) {
	for _, test := range []struct {
		name    string
		heading []string
		rows    [][]string
		want    string
	}{
		{"no rows", []string{"a", "b"}, nil, "| a | b |\n|---|---|\n"},
		{"rows", []string{"a", "b"}, [][]string{{"1", "2"}, {"3", "4"}}, "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n"},
		{"an empty cell", []string{"a"}, [][]string{{""}}, "| a |\n|---|\n|  |\n"},
		{"a cell that would end a cell or a row", []string{"a"}, [][]string{{"x|y\nz"}}, "| a |\n|---|\n| x\\|y z |\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := table(test.heading, test.rows); got != test.want {
				t.Errorf("expected\n%s\ngot\n%s", test.want, got)
			}
		})
	}
}
