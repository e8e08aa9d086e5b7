package policy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/reason"
)

// githubClaim is one of the claims that a rule can ask for. Those that say whose
// repository it is come first; the others are for its owner to choose.
type githubClaim int

const (
	githubRepositoryID githubClaim = iota
	githubOwnerID
	githubRepository
	githubOwner
	githubRef
	githubEnvironment
	githubEvent
	githubWorkflow
	githubRunner
	githubVisibility
	githubClaims // their number
)

// name is the claim's in a token. sub is none of them: its owner can redefine it.
func (c githubClaim) name() string {
	return [githubClaims]string{
		"repository_id", "repository_owner_id", "repository", "repository_owner",
		"ref", "environment", "event_name", "job_workflow_ref", "runner_environment", "repository_visibility",
	}[c]
}

// maxGitHubValue is the size in bytes above which a claim is taken for absent. The
// longest that GitHub gives, job_workflow_ref, has a few hundred; and what a pattern
// with stars costs grows with the square of what it is compared with, which
// strangers choose.
const maxGitHubValue = 1024

// githubToken is what the rules read of a token. A claim that it does not have, or
// that is no text, is empty, and matches nothing.
type githubToken struct {
	values [githubClaims]string
	// notText are the claims that the token has and that are no text.
	notText [githubClaims]bool
	// compared are the values as they are compared: the names in lower case.
	compared [githubClaims]string
}

func readGitHubToken(claims *issuers.Claims) *githubToken {
	t := &githubToken{}
	for claim := range githubClaims {
		value, err := claims.String(claim.name())
		t.notText[claim] = err != nil && claims.Has(claim.name())
		if len(value) <= maxGitHubValue {
			t.values[claim], t.compared[claim] = value, value
		}
	}
	t.compared[githubRepository] = lowerASCII(t.values[githubRepository])
	t.compared[githubOwner] = lowerASCII(t.values[githubOwner])
	return t
}

// githubCondition is one field that a rule gives: any of the patterns matches.
type githubCondition struct {
	claim githubClaim
	// given is what the administrator wrote.
	given    []string
	patterns []Pattern
}

func (c *githubCondition) holds(t *githubToken) bool {
	value := t.compared[c.claim]
	return value != "" && slices.ContainsFunc(c.patterns, func(p Pattern) bool { return p.Match(value) })
}

// githubRule admits a token for which all its conditions hold.
type githubRule struct {
	conditions []githubCondition
	groups     []string
	// repository and owner are the one repository, and the one owner, that the rule
	// can admit by name, in lower case; empty where there is not just one.
	repository, owner string
	// repositoryID and ownerID are those that the rule pins.
	repositoryID, ownerID string
}

func newGitHubRule(spec *v1alpha1.GitHubActionsRule) githubRule {
	rule := githubRule{groups: spec.Groups, repositoryID: spec.RepositoryID, ownerID: spec.OwnerID}
	anyOf := func(claim githubClaim, compile func(string) Pattern, given []string) {
		if len(given) == 0 {
			return
		}
		condition := githubCondition{claim: claim, given: given}
		for _, text := range given {
			condition.patterns = append(condition.patterns, compile(text))
		}
		rule.conditions = append(rule.conditions, condition)
	}
	one := func(claim githubClaim, compile func(string) Pattern, given string) {
		if given != "" {
			anyOf(claim, compile, []string{given})
		}
	}
	one(githubRepositoryID, newLiteral, spec.RepositoryID)
	one(githubOwnerID, newLiteral, spec.OwnerID)
	one(githubRepository, NewNamePattern, spec.Repository)
	one(githubOwner, NewNamePattern, spec.Owner)
	anyOf(githubRef, NewPattern, spec.Refs)
	anyOf(githubEnvironment, NewPattern, spec.Environments)
	anyOf(githubEvent, newLiteral, spec.Events)
	anyOf(githubWorkflow, NewPattern, spec.Workflows)
	anyOf(githubRunner, newLiteral, spec.RunnerEnvironments)
	anyOf(githubVisibility, newLiteral, spec.Visibilities)

	if repository := lowerASCII(spec.Repository); NewPattern(repository).IsLiteral() {
		rule.repository = repository
	}
	if owner := lowerASCII(cmp.Or(spec.Owner, ownerOf(spec.Repository))); NewPattern(owner).IsLiteral() {
		rule.owner = owner
	}
	return rule
}

// ownerOf is the part of a repository's name, or of a pattern for such, that is its
// owner's.
func ownerOf(repository string) string {
	owner, _, _ := strings.Cut(repository, "/")
	return owner
}

func (r *githubRule) admits(t *githubToken) bool {
	return !slices.ContainsFunc(r.conditions, func(c githubCondition) bool { return !c.holds(t) })
}

// githubRules is the allow-list of a GitHub Actions issuer: any rule admits.
type githubRules struct {
	rules []githubRule
	index githubIndex
}

func newGitHubRules(specs []v1alpha1.GitHubActionsRule) *githubRules {
	g := &githubRules{rules: make([]githubRule, len(specs))}
	for i := range specs {
		g.rules[i] = newGitHubRule(&specs[i])
	}
	g.index = newGitHubIndex(g.rules)
	return g
}

// check admits a token by every rule that does, for each adds its groups.
func (g *githubRules) check(_ context.Context, r *review) reason.Refusal {
	token := readGitHubToken(r.Claims)
	var admitting []int
	for _, found := range g.index.find(token) {
		for _, i := range found {
			if g.rules[i].admits(token) {
				admitting = append(admitting, i)
			}
		}
	}
	if len(admitting) == 0 {
		return reason.Refusal{Code: reason.RepositoryNotAllowed, Text: g.explain(token)}
	}
	slices.Sort(admitting)
	for _, i := range admitting {
		for _, group := range g.rules[i].groups {
			if !slices.Contains(r.added.groups, group) {
				r.added.groups = append(r.added.groups, group)
			}
		}
	}
	if r.traced {
		r.note = admission(admitting, token) + g.rules[admitting[0]].held(token, len(admitting) > 1)
	}
	return reason.Refusal{}
}

// held says what a rule that has admitted a token has looked at.
func (r *githubRule) held(t *githubToken, oneOfMany bool) string {
	var held []string
	for i := range r.conditions {
		claim := r.conditions[i].claim
		held = append(held, fmt.Sprintf("%s is %.200q", claim.name(), t.values[claim]))
	}
	if oneOfMany {
		return "; the first by " + strings.Join(held, ", ")
	}
	return " by " + strings.Join(held, ", ")
}

// admission says which rules have admitted a token.
func admission(rules []int, t *githubToken) string {
	const shown = 10
	var names []string
	for _, i := range rules[:min(len(rules), shown)] {
		names = append(names, fmt.Sprintf("allow[%d]", i))
	}
	verb := "admits"
	if len(rules) > 1 {
		verb = "admit"
	}
	text := strings.Join(names, ", ")
	if more := len(rules) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%s %s %s", text, verb, t.repository())
}
