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
	if rule.Repository != "" {
		errs = append(errs, validateText(rule.Repository, path.Child("repository"))...)
		if !strings.Contains(rule.Repository, "/") && !strings.Contains(rule.Repository, "**") {
			errs = append(errs, field.Invalid(path.Child("repository"), rule.Repository, "no repository matches without a \"/\": write OWNER/NAME"))
		}
	}
	if rule.Owner != "" {
		errs = append(errs, validateText(rule.Owner, path.Child("owner"))...)
	}
	if owner, _, ok := strings.Cut(rule.Repository, "/"); ok && rule.Owner != "" && policy.NewPattern(owner).IsLiteral() && !nameMatches(rule.Owner, owner) {
		errs = append(errs, field.Invalid(path.Child("owner"), rule.Owner, fmt.Sprintf("no repository matches: repository wants the owner %.100q", owner)))
	}
	errs = append(errs, validateGitHubID(rule.RepositoryID, path.Child("repositoryID"))...)
	errs = append(errs, validateGitHubID(rule.OwnerID, path.Child("ownerID"))...)
	errs = append(errs, validateTexts(rule.Refs, path.Child("refs"))...)
	errs = append(errs, validateTexts(rule.Environments, path.Child("environments"))...)
	errs = append(errs, validateTexts(rule.Events, path.Child("events"))...)
	errs = append(errs, validateTexts(rule.Workflows, path.Child("workflows"))...)
	errs = append(errs, validateEach(rule.RunnerEnvironments, path.Child("runnerEnvironments"), validateWord("github-hosted", "self-hosted"))...)
	errs = append(errs, validateEach(rule.Visibilities, path.Child("visibilities"), validateWord("public", "private", "internal"))...)
	errs = append(errs, validateTexts(rule.Groups, path.Child("groups"))...)
	for i, group := range rule.Groups {
		if strings.HasPrefix(group, "system:") && reserved != v1alpha1.ReservedNamesAllow {
			errs = append(errs, field.Invalid(path.Child("groups").Index(i), group, "a group that begins with \"system:\" is Kubernetes' own and would be refused: choose another, or set reservedNames: Allow"))
		}
	}
	return errs
}

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

// nameMatches reports whether a pattern for owners matches in any case.
func nameMatches(pattern, owner string) bool {
	return policy.NewPattern(strings.ToLower(pattern)).Match(strings.ToLower(owner))
}

func validateGitHubID(id string, path *field.Path) field.ErrorList {
	if id == "" || numericForm.MatchString(id) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, id, "must be the number that GitHub's API gives as id, in quotes")}
}

var numericForm = regexp.MustCompile(`^[1-9][0-9]*$`)
