package config

import (
	"fmt"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/entra"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/liveness"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// Options is what Build needs from its surroundings.
type Options struct {
	issuers.Options
	// Groups answers in the place of Microsoft Graph for an issuer's overage, and
	// Liveness in that of the cluster that issued the token; nil means that these are
	// asked themselves. Policy tests say what they would answer.
	Groups   func(issuer *Issuer) policy.GroupResolver
	Liveness func(issuer *Issuer) policy.LivenessChecker
}

// Build compiles the configuration into rules to decide by. Issuers whose keys
// come from where they do in previous, which may be nil, go on with the keys they
// have; the others begin to fetch theirs. Whoever puts the rules in force closes
// previous' issuers.
func (c *Config) Build(previous *tokenreview.Rules, options Options) (*tokenreview.Rules, error) {
	rules := &tokenreview.Rules{Policies: make(map[string]*policy.Policy, len(c.Issuers))}
	configs := make([]issuers.Config, 0, len(c.Issuers))
	for i := range c.Issuers {
		issuer := &c.Issuers[i]
		if rules.Policies[issuer.Name] != nil {
			return nil, fmt.Errorf("configuration: two issuers go by the name %q", issuer.Name)
		}
		configs = append(configs, issuer.proof())
		decides, err := issuer.policy(options)
		if err != nil {
			return nil, fmt.Errorf("configuration: issuer %q: %w", issuer.Name, err)
		}
		rules.Policies[issuer.Name] = decides
	}
	var before *issuers.Set
	if previous != nil {
		before = previous.Issuers
	}
	set, err := issuers.NewSet(configs, before, options.Options)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	rules.Issuers = set
	return rules, nil
}

// proof says how the issuer's tokens are proven.
func (i *Issuer) proof() issuers.Config {
	return issuers.Config{
		Name:               i.Name,
		URL:                i.JWT.Issuer.URL,
		Audiences:          i.JWT.Issuer.Audiences,
		Algorithms:         i.Policy.Keys.Algorithms,
		GroupsClaim:        i.JWT.ClaimMappings.Groups.Claim,
		IgnoreClaimSources: entraTenant(i.JWT.Issuer, i.Policy.Entra) != "",
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

// policy says who the issuer's tokens speak for.
func (i *Issuer) policy(options Options) (*policy.Policy, error) {
	rules := policy.Config{
		Authenticator: i.JWT,
		Expressions:   i.Expressions,
		Policy:        i.Policy,
		EntraTenant:   entraTenant(i.JWT.Issuer, i.Policy.Entra),
	}
	if spec := i.Policy.Entra; spec != nil && spec.GroupOverage == v1alpha1.GroupOverageResolve {
		if options.Groups != nil {
			rules.Groups = options.Groups(i)
		} else {
			graph, err := i.graph(options)
			if err != nil {
				return nil, err
			}
			rules.Groups = graph
		}
	}
	if spec := i.Policy.Kubernetes; spec != nil && spec.Liveness == v1alpha1.LivenessTokenReview {
		if options.Liveness != nil {
			rules.Liveness = options.Liveness(i)
		} else {
			rules.Liveness = liveness.New(liveness.Config{
				Kubeconfig: spec.Kubeconfig,
				CacheTTL:   spec.LivenessCacheTTL.Duration,
			}, liveness.Options{Now: options.Now})
		}
	}
	return policy.New(rules), nil
}

func (i *Issuer) graph(options Options) (*entra.Graph, error) {
	spec := i.Policy.Entra.Graph
	return entra.NewGraph(entra.GraphConfig{
		Tenant:              entraTenant(i.JWT.Issuer, i.Policy.Entra),
		Cloud:               graphCloud(i.JWT.Issuer, i.Policy.Entra),
		ClientID:            spec.ClientID,
		ClientSecretFile:    spec.ClientSecretFile,
		ClientAssertionFile: spec.ClientAssertionFile,
		SecurityEnabledOnly: *spec.SecurityEnabledOnly,
		CacheTTL:            spec.CacheTTL.Duration,
	}, entra.GraphOptions{Now: options.Now})
}
