// Package retryafter reads the Retry-After of HTTP answers.
package retryafter

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Wait is how long to wait from now on, by the value of a Retry-After (RFC 9110
// §10.2.3): from shortest, also where the value says nothing, to longest.
func Wait(value string, now time.Time, shortest, longest time.Duration) time.Duration {
	wait := shortest
	// Out of range, it is the largest number there is.
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil || errors.Is(err, strconv.ErrRange) {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		wait = date.Sub(now)
	}
	return min(max(wait, shortest), longest)
}
