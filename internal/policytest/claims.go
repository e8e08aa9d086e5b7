package policytest

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/config"
)

// defaultLifetime is how long a token is valid whose exp nobody gives.
const defaultLifetime = 5 * time.Minute

// issuer is the issuer that signs the case's token.
func (t *Test) issuer(c *v1alpha1.PolicyTestCase) *config.Issuer {
	issuer, err := issuerOf(t.Config, &t.Spec, c)
	if err != nil {
		panic(err) // Load has found one for every case.
	}
	return issuer
}

// issuerOf finds the issuer that a case names, by URL or short name.
func issuerOf(loaded *config.Config, spec *v1alpha1.PolicyTestSpec, c *v1alpha1.PolicyTestCase) (*config.Issuer, error) {
	wanted := c.Issuer
	if wanted == "" {
		wanted = spec.Issuer
	}
	if wanted == "" && len(loaded.Issuers) == 1 {
		return &loaded.Issuers[0], nil
	}
	var names []string
	for i := range loaded.Issuers {
		issuer := &loaded.Issuers[i]
		if wanted == issuer.JWT.Issuer.URL || wanted == issuer.Name {
			return issuer, nil
		}
		names = append(names, issuer.Name)
	}
	if wanted == "" {
		return nil, fmt.Errorf("the configuration has %d issuers: name one of %q here or in spec.issuer", len(names), names)
	}
	return nil, fmt.Errorf("the configuration has no issuer %q: name one of %q, by that name or by its url", wanted, names)
}

// Claims are the claims of a case's token at a time. Where nothing is said of iss,
// aud, iat and exp, they are filled in.
func (t *Test) Claims(c *v1alpha1.PolicyTestCase, now time.Time) map[string]any {
	issuer := t.issuer(c).JWT.Issuer
	claims := map[string]any{
		"iss": issuer.URL,
		"aud": issuer.Audiences[0],
		"iat": now.Unix(),
		"exp": now.Add(defaultLifetime).Unix(),
	}
	maps.Copy(claims, t.Spec.Claims)
	maps.Copy(claims, c.Claims)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	for _, name := range numericDates {
		if text, ok := claims[name].(string); ok && isRelative(text) {
			offset, err := parseRelative(text)
			if err != nil {
				panic(err) // Load has read it.
			}
			claims[name] = now.Add(offset).Unix()
		}
	}
	if sources, ok := claims["_claim_sources"].(map[string]any); ok {
		claims["_claim_sources"] = withoutEndpoints(sources)
	}
	return claims
}

// numericDates are the claims that are NumericDates (RFC 7519 §4.1), in which a test
// can say now, now+6h and the like.
var numericDates = [...]string{"exp", "nbf", "iat"}

// isRelative tells a time from any other text, which stays the text that it is, for
// a token that is wrong in this way.
func isRelative(text string) bool { return strings.HasPrefix(text, "now") }

// parseRelative returns how far from now the time is.
func parseRelative(text string) (time.Duration, error) {
	offset := strings.TrimPrefix(text, "now")
	if offset == "" {
		return 0, nil
	}
	duration, err := time.ParseDuration(offset)
	if err != nil || offset[0] != '+' && offset[0] != '-' {
		return 0, errors.New(`write "now", "now+6h" or "now-1h30m": the units are h, m and s`)
	}
	return duration, nil
}

// withoutEndpoints replaces the endpoints of distributed claims by what is no URL
// to go to: a policy test never leaves the machine. What the server would not go to
// either stays as it is.
func withoutEndpoints(sources map[string]any) map[string]any {
	without := make(map[string]any, len(sources))
	for name, source := range sources {
		if members, ok := source.(map[string]any); ok {
			if endpoint, ok := members["endpoint"].(string); ok && endpoint != "" {
				members = maps.Clone(members)
				members["endpoint"] = "not asked in a policy test"
				source = members
			}
		}
		without[name] = source
	}
	return without
}
