package policy

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/reason"
)

// check is one step of a decision. It may complete the review's user, or refuse. An
// error is a *reason.Unavailable.
type check struct {
	name string
	// own marks a check of the IssuerPolicy's, which enforcement Audit only records.
	own bool
	run func(context.Context, *review) (reason.Refusal, error)
	// detail says for a trace what the check has produced; nil for the review's note.
	detail func(*user.DefaultInfo) string
}

// describe says for a trace how the check passed.
func (c *check) describe(r *review) string {
	note := r.note
	r.note = ""
	if c.detail != nil {
		return c.detail(r.user)
	}
	return note
}

// decided is a check that needs nobody's answer.
func decided(run func(context.Context, *review) reason.Refusal) func(context.Context, *review) (reason.Refusal, error) {
	return func(ctx context.Context, r *review) (reason.Refusal, error) { return run(ctx, r), nil }
}

// newChecks lists the steps of a decision: what the policy says about the claims,
// the cheap ones first; then document 1 in upstream's order, mappings before rules;
// and last the question to another cluster, which costs the most.
func (p *Policy) newChecks(config *Config) []check {
	spec := &config.Policy
	var checks []check
	own := func(name string, run func(context.Context, *review) reason.Refusal) {
		checks = append(checks, check{name: name, own: true, run: decided(run)})
	}
	if longest := spec.Token.MaxLifetime; longest != nil {
		own("token.maxLifetime", lifetime{longest.Duration}.check)
	}
	if p.recordsEmail(config) {
		own("emailVerified", email{claim: emailVerifiedClaim(spec), required: spec.EmailVerified == v1alpha1.EmailVerifiedRequired}.check)
	}
	if github := spec.GitHubActions; github != nil && len(github.Allow) > 0 {
		own("githubActions.allow", newGitHubRules(github.Allow).check)
	}
	if spec.Entra != nil {
		entra := newEntra(spec.Entra, config.EntraTenant)
		own("entra.tenantIDs", entra.checkTenant)
		own("entra.clientIDs", entra.checkClient)
		own("entra.appOnlyTokens", entra.checkAppOnly)
		checks = append(checks, check{name: "entra.groupOverage", own: true, run: p.newOverage(config).check})
	}
	if spec.Kubernetes != nil {
		own("kubernetes.allow", newServiceAccounts(spec.Kubernetes).check)
	}
	plain := func(name string, run func(context.Context, *review) reason.Refusal, detail func(*user.DefaultInfo) string) {
		checks = append(checks, check{name: name, run: decided(run), detail: detail})
	}
	plain("username", p.mapUsername, func(u *user.DefaultInfo) string { return u.Name })
	plain("groups", p.mapGroups, func(u *user.DefaultInfo) string { return fmt.Sprintf("%q", u.Groups) })
	plain("uid", p.mapUID, func(u *user.DefaultInfo) string { return u.UID })
	plain("extra", p.mapExtra, func(u *user.DefaultInfo) string { return fmt.Sprintf("%q", u.Extra) })
	plain("required claims", p.checkRequiredClaims, nil)
	plain("claimValidationRules", p.checkClaimRules, nil)
	if !p.auditOnly && (spec.GitHubActions != nil || spec.Kubernetes != nil) {
		// Before the user rules, which speak of the user that the cluster will see.
		plain("added groups and extras", addToUser, nil)
	}
	plain("userValidationRules", p.checkUserRules, nil)
	plain("reservedNames", p.checkReservedNames, nil)
	if config.Liveness != nil {
		checks = append(checks, check{name: "kubernetes.liveness", own: true, run: newLiveness(config).check})
	}
	return checks
}

// addition is what is added to a user.
type addition struct {
	groups []string
	extra  map[string][]string
}

// addToUser adds what the policy's own checks have found for the user.
func addToUser(_ context.Context, r *review) reason.Refusal {
	for _, group := range r.added.groups {
		if !slices.Contains(r.user.Groups, group) {
			r.user.Groups = append(r.user.Groups, group)
		}
	}
	if len(r.added.extra) > 0 && r.user.Extra == nil {
		r.user.Extra = make(map[string][]string, len(r.added.extra))
	}
	for key, values := range r.added.extra {
		r.user.Extra[key] = values
	}
	if r.traced {
		r.note = fmt.Sprintf("groups %q, extras %q", r.added.groups, r.added.extra)
	}
	return reason.Refusal{}
}
