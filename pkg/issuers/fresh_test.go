package issuers

import (
	"net/http"
	"testing"
	"time"
)

func TestForHowLongAnAnswerMayBeKept(t *testing.T) {
	const day = 24 * time.Hour
	for _, test := range []struct {
		name         string
		cacheControl []string
		age          string
		interval     time.Duration
	}{
		{"nothing said", nil, "", refreshInterval},
		{"half an hour", []string{"public, max-age=1800, must-revalidate"}, "", 30 * time.Minute},
		{"half an hour, in other case", []string{"Public", "MAX-AGE=1800"}, "", 30 * time.Minute},
		{"half an hour, in quotation marks", []string{`max-age="1800"`}, "", 30 * time.Minute},
		{"half an hour, of which a cache has had ten minutes", []string{"max-age=1800"}, "600", 20 * time.Minute},
		{"half an hour, of which a cache has had two", []string{"max-age=1800"}, "7200", refreshMin},
		{"half an hour, with an age that is none", []string{"max-age=1800"}, "soon", 30 * time.Minute},
		{"a day", []string{"max-age=86400"}, "", refreshMax},
		{"as long as numbers go", []string{"max-age=2147483647"}, "", refreshMax},
		{"longer than numbers go", []string{"max-age=99999999999999999999"}, "", refreshInterval},
		{"a second", []string{"max-age=1"}, "", refreshMin},
		{"no time at all", []string{"max-age=0"}, "", refreshMin},
		{"a negative time", []string{"max-age=-5"}, "", refreshInterval},
		{"a time that is none", []string{"max-age=soon"}, "", refreshInterval},
		{"that it must not be kept", []string{"no-cache, no-store, max-age=0, must-revalidate"}, "", refreshInterval},
		{"that it must be asked about", []string{"max-age=1800, no-cache"}, "", refreshInterval},
		{"that some of it must be asked about", []string{`max-age=1800, no-cache="Set-Cookie"`}, "", refreshInterval},
		{"what is for shared caches", []string{"s-maxage=1800"}, "", refreshInterval},
	} {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{"Cache-Control": test.cacheControl}
			if test.age != "" {
				header.Set("Age", test.age)
			}
			if got := refreshAfter(freshness(header), 7*day); got != test.interval {
				t.Errorf("expected a fetch after %s, got %s", test.interval, got)
			}
		})
	}
	if got := refreshAfter(30*time.Minute, time.Hour); got != 20*time.Minute {
		t.Errorf("expected keys to be fetched again well before they are too old, got %s", got)
	}
}
