package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	// spares reports whether an error of run is recorded only: it has seen to it that
	// the token can do without the answer. Nil for never.
	spares func(error) bool
	// detail says for a trace what the check has produced, before the review's note; nil
	// for the note alone.
	detail func(*user.DefaultInfo) string
}

// describe says for a trace how the check passed.
func (c *check) describe(r *review) string {
	if c.detail == nil {
		return r.note
	}
	return strings.TrimSpace(c.detail(r.user) + " " + r.note)
}

// newChecks lists the steps of a decision: what the policy says about the claims,
// the cheap ones first; then document 1 in upstream's order, mappings before rules;
// and last the question to another cluster, which costs the most.
func (p *Policy) newChecks(config *Config) []check {
	var checks []check
	add := func(c check) { checks = append(checks, c) }
	policy := func(name string, run func(context.Context, *review) reason.Refusal) {
		add(check{name: name, own: true, run: decided(run)})
	}
	upstream := func(name string, run func(context.Context, *review) reason.Refusal, detail func(*user.DefaultInfo) string) {
		add(check{name: name, run: decided(run), detail: detail})
	}
	spec := &config.Policy
	if longest := spec.Token.MaxLifetime; longest != nil {
		policy("token.maxLifetime", lifetime{longest.Duration, config.Now}.check)
	}
	if email := newEmail(spec); email != nil {
		policy("emailVerified", email.check)
	}
	if github := spec.GitHubActions; github != nil && len(github.Allow) > 0 {
		policy("githubActions.allow", newGitHubRules(github.Allow).check)
	}
	if spec.Entra != nil {
		entra := newEntra(spec.Entra, config.EntraTenant)
		policy("entra.tenantIDs", entra.checkTenant)
		policy("entra.clientIDs", entra.checkClient)
		policy("entra.appOnlyTokens", entra.checkAppOnly)
		overage := p.newOverage(config)
		add(check{name: "entra.groupOverage", own: true, run: overage.check, spares: overage.spares})
	}
	if spec.Kubernetes != nil {
		policy("kubernetes.allow", newServiceAccounts(spec.Kubernetes).check)
	}
	upstream("username", p.mapUsername, func(u *user.DefaultInfo) string { return fmt.Sprintf("%.200q", u.Name) })
	upstream("groups", p.mapGroups, func(u *user.DefaultInfo) string { return some(u.Groups) })
	upstream("uid", p.mapUID, func(u *user.DefaultInfo) string { return one(u.UID) })
	upstream("extra", p.mapExtra, func(u *user.DefaultInfo) string { return someExtra(u.Extra) })
	upstream("required claims", p.checkRequiredClaims, nil)
	upstream("claimValidationRules", p.checkClaimRules, nil)
	if !p.auditOnly && (spec.GitHubActions != nil || spec.Kubernetes != nil) {
		// Before the user rules, which speak of the user that the cluster will see.
		add(check{name: "added groups and extras", run: decided(addToUser)})
	}
	upstream("userValidationRules", p.checkUserRules, nil)
	upstream("reservedNames", p.checkReservedNames, nil)
	if spec.Kubernetes != nil && spec.Kubernetes.Liveness == v1alpha1.LivenessTokenReview {
		liveness := newLiveness(config)
		add(check{name: "kubernetes.liveness", own: true, run: liveness.check, spares: liveness.spares})
	}
	return checks
}

// decided is a check that needs nobody's answer, and so has nothing to wait for. Its context
// never ends: CEL is bound by what an expression may cost, and does not look at it, but
// spends more on one that can end than on reading a claim.
func decided(run func(context.Context, *review) reason.Refusal) func(context.Context, *review) (reason.Refusal, error) {
	return func(_ context.Context, r *review) (reason.Refusal, error) { return run(context.Background(), r), nil }
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
	if r.traced && len(r.added.groups) > 0 {
		r.note = "groups " + some(r.added.groups)
	}
	if r.traced && len(r.added.extra) > 0 {
		r.note += ", extras " + someExtra(r.added.extra) // an account has groups, too
	}
	return reason.Refusal{}
}

// maxShown is how many of many texts a trace shows.
const maxShown = 20

// one shows a text that may be missing.
func one(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf("%.200q", text)
}

// some shows texts, of which there may be thousands.
func some(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	if len(texts) > maxShown {
		return fmt.Sprintf("%.200q and %d more", texts[:maxShown], len(texts)-maxShown)
	}
	return fmt.Sprintf("%.200q", texts)
}

// maxSaid is how many bytes of an error a refusal repeats.
const maxSaid = 1 << 10

// said is what an expression's error says. It quotes the expression, and may quote a
// claim of any length: of a long text both ends are shown.
func said(err error) string {
	text := err.Error()
	if len(text) <= maxSaid {
		return text
	}
	begin, end := text[:maxSaid/2], text[len(text)-maxSaid/2:]
	return strings.ToValidUTF8(begin, "") + " ... " + strings.ToValidUTF8(end, "")
}

// someExtra shows a user's extras.
func someExtra(extra map[string][]string) string {
	var shown []string
	for _, key := range slices.Sorted(maps.Keys(extra)) {
		shown = append(shown, key+"="+some(extra[key]))
	}
	return strings.Join(shown, " ")
}
