package config

import (
	"fmt"
	"time"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/audit"
	"tokenreview.dev/webhook/pkg/entra"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/liveness"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// Options is what Build needs from its surroundings.
type Options struct {
	issuers.Options
	// Groups answers in the place of Microsoft Graph, and Liveness in that of the
	// cluster that issued a token; nil means that these are asked themselves. Policy
	// tests say what they would answer.
	Groups   policy.GroupResolver
	Liveness policy.LivenessChecker
	// OnGraphAnswer is told of every answer about somebody's groups by the tenant's id, and
	// OnGraphQuestion how long Microsoft was asked for one. OnLivenessAnswer and
	// OnLivenessQuestion are the same of other clusters, by the kubeconfig's path. They are
	// called from several goroutines; nil means that nobody is told.
	OnGraphAnswer, OnLivenessAnswer     func(name string, cached bool, err error)
	OnGraphQuestion, OnLivenessQuestion func(name string, took time.Duration)
}

// Build compiles the configuration into rules to decide by. What has not changed
// since previous, which may be nil, goes on: an issuer's keys whose source is the
// same, and what Microsoft Graph and other clusters have answered. The keys of other
// issuers begin to be fetched. Whoever puts the rules in force closes previous'
// issuers.
func (c *Config) Build(previous *tokenreview.Rules, options Options) (*tokenreview.Rules, error) {
	if previous == nil {
		previous = &tokenreview.Rules{}
	}
	rules := &tokenreview.Rules{
		Policies: make(map[string]*policy.Policy, len(c.Issuers)),
		Limits: tokenreview.Limits{
			MaxRequestsInFlight: *c.Webhook.Limits.MaxRequestsInFlight,
			MaxConnections:      *c.Webhook.Limits.MaxConnections,
		},
		Decisions: tokenreview.DecisionCache{
			AllowedTTL: c.Webhook.DecisionCache.AllowedTTL.Duration,
			RefusedTTL: c.Webhook.DecisionCache.RefusedTTL.Duration,
			MaxEntries: *c.Webhook.DecisionCache.MaxEntries,
		},
		Now: options.Now,
		Permissions: tokenreview.Permissions{
			Authenticate: callerRules(c.Webhook.Callers.Authenticate),
			TokenReview:  callerRules(c.Webhook.Callers.TokenReview),
		},
		Records: map[string]tokenreview.RecordRule{"": {Level: c.Webhook.Audit.Level}},
	}
	others := newAsked(previous.Policies, options)
	configs := make([]issuers.Config, 0, len(c.Issuers))
	for i := range c.Issuers {
		issuer := &c.Issuers[i]
		if rules.Policies[issuer.Name] != nil {
			return nil, fmt.Errorf("configuration: two issuers go by the name %q", issuer.Name)
		}
		configs = append(configs, issuer.proof())
		rules.Policies[issuer.Name] = issuer.policy(others, options)
		rules.Records[issuer.Name] = tokenreview.RecordRule{Level: issuer.Policy.Audit.Level, Claims: issuer.Policy.Audit.Claims}
	}
	set, err := issuers.NewSet(configs, previous.Issuers, options.Options)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	rules.Issuers = set
	return rules, nil
}

// callerRules are nil for nil, which is not the same as none.
func callerRules(callers []v1alpha1.Caller) []tokenreview.CallerRule {
	if callers == nil {
		return nil
	}
	rules := make([]tokenreview.CallerRule, len(callers))
	for i, caller := range callers {
		rules[i] = tokenreview.CallerRule(caller)
	}
	return rules
}

// AuditConfig says where decisions are written down.
func (c *Config) AuditConfig() audit.Config {
	spec := c.Webhook.Audit
	return audit.Config{
		Path:                 spec.Path,
		MaxSizeMB:            *spec.MaxSizeMB,
		MaxBackups:           *spec.MaxBackups,
		MaxAgeDays:           spec.MaxAgeDays,
		MaxRefusalsPerSecond: *spec.MaxRefusalsPerSecond,
		FingerprintKeyFile:   spec.FingerprintKeyFile,
	}
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
func (i *Issuer) policy(others *asked, options Options) *policy.Policy {
	rules := policy.Config{
		Authenticator: i.JWT,
		Expressions:   i.Expressions,
		Policy:        i.Policy,
		EntraTenant:   entraTenant(i.JWT.Issuer, i.Policy.Entra),
		Now:           options.Now,
	}
	if spec := i.Policy.Entra; spec != nil && spec.GroupOverage == v1alpha1.GroupOverageResolve {
		rules.Groups = others.groupResolver(i.graph())
	}
	if spec := i.Policy.Kubernetes; spec != nil && spec.Liveness == v1alpha1.LivenessTokenReview {
		rules.Liveness = others.livenessChecker(liveness.Config{Kubeconfig: spec.Kubeconfig, CacheTTL: spec.LivenessCacheTTL.Duration})
	}
	return policy.New(rules)
}

// graph says how Microsoft Graph is asked about the issuer's tenant.
func (i *Issuer) graph() entra.GraphConfig {
	spec := i.Policy.Entra.Graph
	return entra.GraphConfig{
		Tenant:              entraTenant(i.JWT.Issuer, i.Policy.Entra),
		Cloud:               graphCloud(i.JWT.Issuer, &i.Policy),
		ClientID:            spec.ClientID,
		ClientSecretFile:    spec.ClientSecretFile,
		ClientAssertionFile: spec.ClientAssertionFile,
		SecurityEnabledOnly: *spec.SecurityEnabledOnly,
		CacheTTL:            spec.CacheTTL.Duration,
	}
}
