package main

import "testing"

func TestNumbersCanBeRead(t *testing.T) {
	for _, test := range []struct{ name, got, want string }{
		{"nanoseconds", nanoseconds(sample{987.6}), "988 ns"},
		{"microseconds", nanoseconds(sample{2_345}), "2.35 µs"},
		{"tens of microseconds", nanoseconds(sample{98_765}), "98.8 µs"},
		{"a millisecond", nanoseconds(sample{1_234_000}), "1.23 ms"},
		{"many milliseconds", nanoseconds(sample{123_400_000}), "123 ms"},
		{"a rate", perSecond(sample{12_345.6}), "12,345/s"},
		{"a ratio and its quartiles", spread(sample{1, 2, 3, 4, 5}), "3.00 (2.00–4.00)"},
		{"memory", mebibytes(96 << 20), "96.0"},
		{"allocations", allocated{count: 119.6, bytes: 19_834.2}.String(), "120, of 19,834 bytes together"},
		{"nothing", thousands(0), "0"},
		{"hundreds", thousands(999), "999"},
		{"thousands", thousands(1000), "1,000"},
		{"a million", thousands(1_000_000), "1,000,000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.got != test.want {
				t.Errorf("expected %q, got %q", test.want, test.got)
			}
		})
	}
}
