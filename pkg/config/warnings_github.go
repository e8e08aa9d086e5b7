package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/policy"
)

// warnGitHubActions says which rules of an allow-list let in more than they seem to.
// Each kind is said once, however many rules are of it.
func warnGitHubActions(spec *v1alpha1.IssuerPolicySpec, warn func(*field.Path, string)) {
	github := spec.GitHubActions
	if github == nil {
		return
	}
	path := field.NewPath("spec", "githubActions")
	if len(github.Allow) > 0 && !isGitHubActions(spec.Issuer) {
		warn(path.Child("allow"), fmt.Sprintf("is for tokens of GitHub Actions, and %.200q does not look like an issuer of such: tokens without GitHub's claims are refused", spec.Issuer))
	}
	var anyName, unpinned, pullRequests, pullRequestTarget, namesTarget []*field.Path
	for i := range github.Allow {
		rule, at := &github.Allow[i], path.Child("allow").Index(i)
		switch {
		case isPinned(rule):
		case !namesOwner(rule):
			anyName = append(anyName, at)
		default:
			unpinned = append(unpinned, at)
		}
		if j := slices.Index(rule.Events, "pull_request_target"); j >= 0 {
			namesTarget = append(namesTarget, at.Child("events").Index(j))
		}
		switch {
		case len(rule.Events) > 0:
		case len(rule.Refs) == 0 || slices.ContainsFunc(rule.Refs, matchesPullRequests):
			pullRequests = append(pullRequests, at)
		default:
			pullRequestTarget = append(pullRequestTarget, at)
		}
	}
	for _, kind := range []struct {
		paths   []*field.Path
		message string
	}{
		{anyName, "has a wildcard in the owner and no ownerID, and anybody can register a name that matches: write the owner out, and pin ownerID or repositoryID"},
		{unpinned, "pins neither repositoryID nor ownerID: after a rename or deletion whoever registers the name again comes in; GitHub's API gives the ids"},
		{pullRequests, "does not say which events: it admits pull_request and pull_request_target, which can run what nobody has reviewed; give events, such as [push, workflow_dispatch]"},
		{pullRequestTarget, "does not say which events: it admits pull_request_target, which works on what strangers propose, with the ref of the base; give events, such as [push, workflow_dispatch]"},
		{namesTarget, "works on what strangers propose, with the ref of the base: remove it, unless no workflow that it starts runs any of that"},
		{foreignWorkflows(github.Allow, path.Child("allow")), "is a workflow of an owner that no rule admits by name, and whoever may change it decides what runs: check its owner; where it is meant, pin a commit of it"},
	} {
		if len(kind.paths) > 0 {
			warn(kind.paths[0], kind.message+others(kind.paths[1:]))
		}
	}
}

// others names the first few paths that a warning is about besides its own.
func others(paths []*field.Path) string {
	const shown = 3
	if len(paths) == 0 {
		return ""
	}
	var names []string
	for _, path := range paths[:min(len(paths), shown)] {
		names = append(names, strings.TrimPrefix(path.String(), "spec.githubActions."))
	}
	text := " (also " + strings.Join(names, ", ")
	if more := len(paths) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text + ")"
}

// matchesPullRequests reports whether a ref can be the one that GitHub makes for a
// pull request.
func matchesPullRequests(ref string) bool {
	return strings.HasPrefix(ref, "refs/pull/") || policy.NewPattern(ref).Match("refs/pull/1/merge")
}

// ownerPatterns are what a rule wants of the owner's name, none where it leaves that
// open.
func ownerPatterns(rule *v1alpha1.GitHubActionsRule) []policy.Pattern {
	var patterns []policy.Pattern
	for _, owner := range []string{rule.Owner, ownerPart(rule.Repository)} {
		if !saysNothing(owner) {
			patterns = append(patterns, policy.NewNamePattern(owner))
		}
	}
	return patterns
}

// namesOwner reports whether a rule admits, by name, one owner.
func namesOwner(rule *v1alpha1.GitHubActionsRule) bool {
	return slices.ContainsFunc(ownerPatterns(rule), policy.Pattern.IsLiteral)
}

// foreignWorkflows returns the paths of the workflows that are not, or need not be,
// of an owner whom the rules admit by name, and are no fixed commit. Whose a rule is
// that admits by an id alone it cannot tell, and says nothing of the workflows there.
func foreignWorkflows(rules []v1alpha1.GitHubActionsRule, path *field.Path) []*field.Path {
	known := map[policy.Pattern]bool{}
	var wild []policy.Pattern
	for i := range rules {
		for _, owner := range ownerPatterns(&rules[i]) {
			if !owner.IsLiteral() && !known[owner] {
				wild = append(wild, owner)
			}
			known[owner] = true
		}
	}
	var foreign []*field.Path
	for i := range rules {
		if len(ownerPatterns(&rules[i])) == 0 {
			continue
		}
		for j, workflow := range rules[i].Workflows {
			name := ownerPart(workflow)
			owner := policy.NewNamePattern(name)
			if _, seen := known[owner]; !seen {
				// A star in name is a character like others: what a pattern matches with it, it
				// also matches with what the star stands for.
				known[owner] = slices.ContainsFunc(wild, func(p policy.Pattern) bool { return p.Match(name) })
			}
			if !known[owner] && !fixedWorkflow.MatchString(workflow) {
				foreign = append(foreign, path.Index(i).Child("workflows").Index(j))
			}
		}
	}
	return foreign
}

// fixedWorkflow is a workflow of one commit.
var fixedWorkflow = regexp.MustCompile(`^[^*]+@([0-9a-f]{40}|[0-9a-f]{64})$`)
