package config

import (
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateGitHubActions(github *GitHubActions, reserved ReservedNames, path *field.Path) field.ErrorList {
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

func validateGitHubActionsRule(rule *GitHubActionsRule, reserved ReservedNames, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if rule.RepositoryID == "" && rule.OwnerID == "" && matchesAll(rule.Repository) && matchesAll(rule.Owner) {
		// Everything else in a token is for the owner of any repository to choose.
		errs = append(errs, field.Required(path, "the rule would admit every repository on GitHub: give repository, repositoryID, owner or ownerID"))
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
		if strings.HasPrefix(group, "system:") && reserved != ReservedNamesAllow {
			errs = append(errs, field.Invalid(path.Child("groups").Index(i), group, "a group that begins with \"system:\" is Kubernetes' own and would be refused: choose another, or set reservedNames: Allow"))
		}
	}
	return errs
}

// matchesAll reports whether a pattern says nothing about a name.
func matchesAll(pattern string) bool { return strings.Trim(pattern, "*/") == "" }

func validateGitHubID(id string, path *field.Path) field.ErrorList {
	if id == "" || numericForm.MatchString(id) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, id, "must be the number that GitHub's API gives as id, in quotes")}
}

var numericForm = regexp.MustCompile(`^[1-9][0-9]*$`)
