package issuers

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// refreshInterval is how long keys are kept of which the issuer does not say how
	// long they may be, and so about how long a key that the issuer has withdrawn goes on
	// verifying.
	refreshInterval = 10 * time.Minute
	// refreshMin and refreshMax bound what an issuer may say instead: it must neither be
	// asked all the time, nor keep us from seeing what it withdraws.
	refreshMin = time.Minute
	refreshMax = time.Hour
)

// refreshAfter is how long keys are kept before they are fetched again, of which the
// issuer says that they are fresh for that long, and which are refused when they are
// older than maxStaleness.
func refreshAfter(fresh, maxStaleness time.Duration) time.Duration {
	interval := refreshInterval
	if fresh > 0 {
		interval = min(max(fresh, refreshMin), refreshMax)
	}
	// They must be fetched again before they are too old, and once more if that fails.
	return min(interval, maxStaleness/3)
}

// freshness is for how long the answer says that it may be kept (RFC 9111 §4.2.1),
// zero if it does not. One that says no-store or no-cache does not: that is for caches
// that hand it on, and what stands in it is meant to verify with.
func freshness(header http.Header) time.Duration {
	var fresh time.Duration
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil {
				return 0
			}
			// max-age=0 is said, too.
			fresh = max(time.Duration(seconds)*time.Second, 1)
		}
	}
	if age, err := strconv.ParseUint(header.Get("Age"), 10, 31); err == nil && fresh > 0 {
		fresh = max(fresh-time.Duration(age)*time.Second, 1)
	}
	return fresh
}
