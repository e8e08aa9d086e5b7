package issuers

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tokenreview.dev/webhook/pkg/reason"
)

// notBeforeLeeway is how far ahead nbf may lie, as for upstream: issuers' clocks
// differ. exp has no leeway.
const notBeforeLeeway = time.Minute

// checkTimes is RFC 7519 §4.1.4 and §4.1.5. A token without exp has expired.
// It returns exp where it refuses nothing.
func checkTimes(claims *Claims, now time.Time) (expiry time.Time, _ reason.Refusal) {
	expiry, present, err := claims.Time("exp")
	switch {
	case err != nil:
		return time.Time{}, reason.Refusal{Code: reason.TokenMalformed, Text: "exp: " + err.Error()}
	case !present:
		return time.Time{}, reason.Refusal{Code: reason.Expired, Text: "the token has no exp, and so has expired"}
	case expiry.Before(now):
		return time.Time{}, reason.Refusal{Code: reason.Expired, Text: fmt.Sprintf("the token expired at %s, it is now %s", stamp(expiry), stamp(now))}
	}
	notBefore, present, err := claims.Time("nbf")
	switch {
	case err != nil:
		return time.Time{}, reason.Refusal{Code: reason.TokenMalformed, Text: "nbf: " + err.Error()}
	case present && now.Add(notBeforeLeeway).Before(notBefore):
		return time.Time{}, reason.Refusal{Code: reason.NotYetValid, Text: fmt.Sprintf("the token is valid from %s, it is now %s", stamp(notBefore), stamp(now))}
	}
	if value, ok := claims.Get("iat"); ok && value.Kind() == 'n' {
		return time.Time{}, reason.Refusal{Code: reason.TokenMalformed, Text: "iat: expected a number of seconds, got a null"}
	}
	if _, _, err := claims.Time("iat"); err != nil {
		return time.Time{}, reason.Refusal{Code: reason.TokenMalformed, Text: "iat: " + err.Error()}
	}
	return expiry, reason.Refusal{}
}

// timesText shows what checkTimes has compared with the clock.
func timesText(claims *Claims, now time.Time) string {
	var text string
	for _, name := range [...]string{"exp", "nbf", "iat"} {
		if at, present, err := claims.Time(name); err == nil && present {
			text += fmt.Sprintf("%s %s, ", name, stamp(at))
		}
	}
	return text + "it is now " + stamp(now)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// maxNumericDate is the end of the year 9999, beyond which RFC 3339 has no
// spelling. No issuer means such a time.
const maxNumericDate = 253402300799

// Time decodes a claim that must be a NumericDate (RFC 7519 §2: seconds since
// 1970 as a JSON number, not text) and reports whether the set has it. Fractions
// of a second are cut off, as upstream does.
func (c *Claims) Time(name string) (at time.Time, present bool, err error) {
	value, ok := c.Get(name)
	if !ok || value.Kind() == 'n' {
		return time.Time{}, false, nil
	}
	seconds, err := numericDate(value)
	if err != nil {
		return time.Time{}, false, err
	}
	return time.Unix(seconds, 0), true, nil
}

func numericDate(value jsontext.Value) (int64, error) {
	if value.Kind() != '0' {
		return 0, fmt.Errorf("expected a number of seconds, got a %s", kindName(value))
	}
	if seconds, err := strconv.ParseInt(string(value), 10, 64); err == nil {
		if seconds > maxNumericDate || seconds < -maxNumericDate {
			return 0, errors.New("the time is out of range")
		}
		return seconds, nil
	}
	seconds, err := strconv.ParseFloat(string(value), 64)
	if err != nil || math.Abs(seconds) > maxNumericDate {
		return 0, errors.New("the time is out of range")
	}
	return int64(seconds), nil
}
