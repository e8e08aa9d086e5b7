package config

import (
	"fmt"

	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// Build compiles the configuration into rules to decide by. Issuers whose keys
// come from where they do in previous, which may be nil, go on with the keys they
// have; the others begin to fetch theirs. Whoever puts the rules in force closes
// previous' issuers.
func (c *Config) Build(previous *tokenreview.Rules, options issuers.Options) (*tokenreview.Rules, error) {
	rules := &tokenreview.Rules{Policies: make(map[string]*policy.Policy, len(c.Issuers))}
	configs := make([]issuers.Config, 0, len(c.Issuers))
	for _, issuer := range c.Issuers {
		if rules.Policies[issuer.Name] != nil {
			return nil, fmt.Errorf("configuration: two issuers go by the name %q", issuer.Name)
		}
		configs = append(configs, issuer.proof())
		rules.Policies[issuer.Name] = policy.New(policy.Config{
			Authenticator:      issuer.JWT,
			Expressions:        issuer.Expressions,
			AllowReservedNames: issuer.Policy.ReservedNames == ReservedNamesAllow,
		})
	}
	var before *issuers.Set
	if previous != nil {
		before = previous.Issuers
	}
	set, err := issuers.NewSet(configs, before, options)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	rules.Issuers = set
	return rules, nil
}

// proof says how the issuer's tokens are proven.
func (i *Issuer) proof() issuers.Config {
	return issuers.Config{
		Name:        i.Name,
		URL:         i.JWT.Issuer.URL,
		Audiences:   i.JWT.Issuer.Audiences,
		Algorithms:  i.Policy.Keys.Algorithms,
		GroupsClaim: i.JWT.ClaimMappings.Groups.Claim,
		Keys: issuers.KeysConfig{
			JWKS:                 []byte(i.Policy.Keys.JWKS),
			JWKSFile:             i.Policy.Keys.JWKSFile,
			JWKSURL:              i.Policy.Keys.JWKSURL,
			DiscoveryURL:         i.JWT.Issuer.DiscoveryURL,
			CertificateAuthority: []byte(i.JWT.Issuer.CertificateAuthority),
			MaxStaleness:         i.Policy.Keys.MaxStaleness.Duration,
		},
	}
}
