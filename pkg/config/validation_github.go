package config

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/policy"
)

func validateGitHubActions(github *v1alpha1.GitHubActions, reserved v1alpha1.ReservedNames, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if github.AllowAnyRepository && len(github.Allow) > 0 {
		errs = append(errs, field.Forbidden(path.Child("allowAnyRepository"), "the allow list restricts repositories and this lifts all restriction: remove one of the two"))
	}
	if github.Allow != nil && len(github.Allow) == 0 {
		errs = append(errs, field.Required(path.Child("allow"), "the list is empty: fill it in or remove it"))
	}
	for i := range github.Allow {
		errs = append(errs, validateGitHubActionsRule(&github.Allow[i], reserved, path.Child("allow").Index(i))...)
	}
	return errs
}

func validateGitHubActionsRule(rule *v1alpha1.GitHubActionsRule, reserved v1alpha1.ReservedNames, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if !isPinned(rule) && saysNothing(rule.Owner) && saysNothing(ownerPart(rule.Repository)) {
		// Everything else in a token, even the repository's name, is for the owner of any
		// repository to choose.
		errs = append(errs, field.Required(path, "the rule would admit every repository on GitHub, or all of some name: give repositoryID, owner or ownerID, or a repository that begins with its owner"))
	}
	errs = append(errs, validateGitHubNames(rule, path)...)
	errs = append(errs, validateGitHubID(rule.RepositoryID, path.Child("repositoryID"))...)
	errs = append(errs, validateGitHubID(rule.OwnerID, path.Child("ownerID"))...)
	errs = append(errs, validateEach(rule.Refs, path.Child("refs"), validateForm(canBeRef, `no ref matches: refs begin with "refs/", such as refs/heads/main; "*" stops at a "/", "**" does not`))...)
	errs = append(errs, validateTexts(rule.Environments, path.Child("environments"))...)
	errs = append(errs, validateEach(rule.Events, path.Child("events"), validateForm(eventForm.MatchString, "no event matches: write it as GitHub does, such as push or pull_request"))...)
	errs = append(errs, validateEach(rule.Workflows, path.Child("workflows"), validateForm(canBeWorkflow, `no workflow matches: write OWNER/NAME/.github/workflows/FILE@REF with a REF such as refs/heads/main, refs/tags/v1 or a whole commit; "*" stops at a "/", "**" does not`))...)
	errs = append(errs, validateEach(rule.RunnerEnvironments, path.Child("runnerEnvironments"), validateWord("github-hosted", "self-hosted"))...)
	errs = append(errs, validateEach(rule.Visibilities, path.Child("visibilities"), validateWord("public", "private", "internal"))...)
	errs = append(errs, validateTexts(rule.Groups, path.Child("groups"))...)
	for i, group := range rule.Groups {
		if strings.HasPrefix(group, policy.ReservedPrefix) && reserved != v1alpha1.ReservedNamesAllow {
			errs = append(errs, field.Invalid(path.Child("groups").Index(i), group, "a group that begins with \""+policy.ReservedPrefix+"\" is Kubernetes' own and would be refused: choose another, or set reservedNames: Allow"))
		}
	}
	return errs
}

// validateGitHubNames wants the patterns for names to match some, and the same ones.
func validateGitHubNames(rule *v1alpha1.GitHubActionsRule, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if rule.Repository != "" {
		errs = append(errs, validateForm(canBeRepository, "no repository matches: write OWNER/NAME")(rule.Repository, path.Child("repository"))...)
	}
	if rule.Owner != "" {
		errs = append(errs, validateForm(canBeOwner, `no owner has a "/": write its name alone, or repository: OWNER/NAME`)(rule.Owner, path.Child("owner"))...)
	}
	if len(errs) > 0 {
		return errs
	}
	if owner, _, ok := strings.Cut(rule.Repository, "/"); ok && rule.Owner != "" && policy.NewPattern(owner).IsLiteral() && !policy.NewNamePattern(rule.Owner).Match(owner) {
		return field.ErrorList{field.Invalid(path.Child("owner"), rule.Owner, fmt.Sprintf("no repository matches: repository wants the owner %.100q", owner))}
	}
	return nil
}

// canBeRepository reports whether a pattern can match OWNER/NAME.
func canBeRepository(pattern string) bool {
	slashes := strings.Count(pattern, "/")
	return slashes == 1 || slashes == 0 && strings.Contains(pattern, "**")
}

func canBeOwner(pattern string) bool { return !strings.Contains(pattern, "/") }

// canBeRef reports whether a pattern can match refs/KIND/NAME. The token's ref is
// never a branch's name alone.
func canBeRef(pattern string) bool {
	literal, _, isPattern := strings.Cut(pattern, "*")
	return hasSlashes(pattern, 2) && (strings.HasPrefix(literal, "refs/") || isPattern && strings.HasPrefix("refs/", literal))
}

// canBeWorkflow reports whether a pattern can match the whole of a job_workflow_ref,
// OWNER/NAME/.github/workflows/FILE@REF.
func canBeWorkflow(pattern string) bool {
	return hasSlashes(pattern, 4) && !strings.HasPrefix(pattern, ".github/") &&
		(workflowRef.MatchString(pattern) || strings.Contains(pattern, "*") && !strings.Contains(pattern, "@"))
}

// workflowRef is the REF at the end of a pattern for workflows: refs/KIND/NAME or the
// name of a commit, or what can match such. It is never a branch's or tag's name
// alone, although that is what a workflow's "uses" says.
var workflowRef = regexp.MustCompile(`@(refs/[^/]+/.+|[0-9a-f]{40}|[0-9a-f]{64}|(r|re|ref|refs|refs/[^*]*|[0-9a-f]{0,63})\*.*)$`)

// hasSlashes reports whether a pattern can match what has so many slashes, or more.
func hasSlashes(pattern string, least int) bool {
	return strings.Contains(pattern, "**") || strings.Count(pattern, "/") >= least
}

var eventForm = regexp.MustCompile(`^[a-z_]+$`)

// isPinned reports whether a rule is for one repository, or for one owner, whatever
// their names.
func isPinned(rule *v1alpha1.GitHubActionsRule) bool {
	return rule.RepositoryID != "" || rule.OwnerID != ""
}

// ownerPart is what a pattern for repositories, or for paths that begin with one,
// says of the owner: what precedes the first "/", or the first "**", which can be a
// "/" itself.
func ownerPart(pattern string) string {
	owner, _, _ := strings.Cut(pattern, "/")
	if i := strings.Index(owner, "**"); i >= 0 {
		return owner[:i+len("**")]
	}
	return owner
}

// saysNothing reports whether a pattern has no letter of a name.
func saysNothing(pattern string) bool { return strings.Trim(pattern, "*/") == "" }

func validateGitHubID(id string, path *field.Path) field.ErrorList {
	if id == "" || numericForm.MatchString(id) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, id, "must be the number that GitHub's API gives as id, in quotes")}
}

var numericForm = regexp.MustCompile(`^[1-9][0-9]*$`)
