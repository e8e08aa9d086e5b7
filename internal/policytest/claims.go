package policytest

import (
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
	for _, name := range [...]string{"exp", "nbf", "iat"} {
		if text, ok := claims[name].(string); ok {
			claims[name] = numericDate(text, now)
		}
	}
	if sources, ok := claims["_claim_sources"].(map[string]any); ok {
		claims["_claim_sources"] = withoutEndpoints(sources)
	}
	return claims
}

// numericDate reads now, now+6h and the like. Any other text stays the text that it
// is, for a token that is wrong in this way.
func numericDate(text string, now time.Time) any {
	offset, ok := strings.CutPrefix(text, "now")
	switch {
	case !ok:
		return text
	case offset == "":
		return now.Unix()
	case offset[0] != '+' && offset[0] != '-':
		return text
	}
	duration, err := time.ParseDuration(offset)
	if err != nil {
		return text
	}
	return now.Add(duration).Unix()
}

// withoutEndpoints replaces the endpoints of distributed claims by what is no URL
// to go to: a policy test never leaves the machine.
func withoutEndpoints(sources map[string]any) map[string]any {
	without := make(map[string]any, len(sources))
	for name, source := range sources {
		if members, ok := source.(map[string]any); ok && members["endpoint"] != nil {
			members = maps.Clone(members)
			members["endpoint"] = "not asked in a policy test"
			source = members
		}
		without[name] = source
	}
	return without
}
