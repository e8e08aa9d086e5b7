package retryafter_test

import (
	"testing"
	"time"

	"tokenreview.dev/webhook/internal/retryafter"
)

func TestWaitIsWhatTheValueSaysWithinBounds(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		value    string
		expected time.Duration
	}{
		"seconds":                      {"30", 30 * time.Second},
		"a date":                       {"Sun, 22 Nov 2026 12:02:00 GMT", 2 * time.Minute},
		"nothing":                      {"", time.Second},
		"no time at all":               {"0", time.Second},
		"a date that has passed":       {"Sun, 22 Nov 2026 11:00:00 GMT", time.Second},
		"a date long ago":              {"Mon, 01 Jan 0001 00:00:00 GMT", time.Second},
		"an hour":                      {"3600", 10 * time.Minute},
		"a date next year":             {"Mon, 22 Nov 2027 12:00:00 GMT", 10 * time.Minute},
		"a date at the end of time":    {"Fri, 31 Dec 9999 23:59:59 GMT", 10 * time.Minute},
		"as many seconds as 32 bits":   {"4294967295", 10 * time.Minute},
		"more seconds than 32 bits":    {"4294967296", 10 * time.Minute},
		"more seconds than can be":     {"99999999999999999999", 10 * time.Minute},
		"a negative number":            {"-5", time.Second},
		"a number with a sign":         {"+5", time.Second},
		"a fraction":                   {"30.5", time.Second},
		"a date in the form of others": {"2026-11-22T12:02:00Z", time.Second},
		"something else":               {"soon", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if wait := retryafter.Wait(test.value, now, time.Second, 10*time.Minute); wait != test.expected {
				t.Errorf("expected %s, got %s", test.expected, wait)
			}
		})
	}
}
