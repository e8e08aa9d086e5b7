package config

import (
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
)

// reportOpenGitHubIssuers refuses an issuer that is GitHub Actions, by its URL or
// because a policy says so, and that nothing restricts to some repositories. Anyone can
// run a workflow that gets a token for any audience, so such an issuer lets everyone on
// GitHub in. An allow list that is only recorded restricts nobody.
//
// It waits until document 1 and the policies are sound, and nothing is unreadable: the
// restriction may be what is misspelt.
func reportOpenGitHubIssuers(file decodedFile, compiler authenticationcel.Compiler) {
	if !file.authentication.sound() || file.incomplete {
		return
	}
	for _, policy := range file.policies {
		if !policy.sound() {
			return
		}
	}
	for i, jwt := range file.authentication.object.JWT {
		policy := file.policyOf(jwt.Issuer.URL)
		if said := policy != nil && policy.object.Spec.GitHubActions != nil; !said && !isGitHubActions(jwt.Issuer.URL) || hasRuleOver(isRepositoryClaim, jwt.ClaimValidationRules, compiler) {
			continue
		}
		at, path := file.authentication.document, field.NewPath("jwt").Index(i).Child("issuer", "url")
		if policy != nil {
			at, path = policy.document, field.NewPath("spec", "githubActions")
			switch github := policy.object.Spec.GitHubActions; {
			case github == nil:
			case github.AllowAnyRepository:
				continue
			case len(github.Allow) > 0 && policy.object.Spec.Enforcement == v1alpha1.EnforcementAudit:
				at.Report(field.ErrorList{field.Forbidden(field.NewPath("spec", "enforcement"), "this issuer is GitHub Actions and Audit makes githubActions.allow refuse nobody, so every repository on GitHub would get in: "+
					"add a claimValidationRules entry over claims.repository_id or claims.repository_owner_id to document 1, which Audit leaves in force, or set Enforce")})
				continue
			case len(github.Allow) > 0:
				continue
			}
		}
		at.Report(field.ErrorList{field.Forbidden(path, "this issuer is GitHub Actions and no rule over the repository restricts it (one over sub does not count: a repository's owner can redefine it), so every repository on GitHub would get in: "+
			"add githubActions.allow to an IssuerPolicy, or a claimValidationRules entry over claims.repository_id or claims.repository_owner_id to document 1; "+
			"githubActions.allowAnyRepository: true if that is what you want")})
	}
}

// isGitHubActions reports whether an issuer is github.com, with or without an
// enterprise's slug, GitHub Enterprise Server, or GitHub Enterprise Cloud with data
// residency.
func isGitHubActions(issuer string) bool {
	address, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	host := strings.ToLower(address.Hostname())
	return host == "token.actions.githubusercontent.com" ||
		strings.HasPrefix(host, "token.actions.") && strings.HasSuffix(host, ".ghe.com") ||
		strings.HasSuffix(strings.TrimSuffix(address.Path, "/"), "/_services/token")
}

// isRepositoryClaim reports whether a claim tells one owner's repositories from
// another's. repository_visibility does not: anyone has a public one.
func isRepositoryClaim(name string) bool {
	switch name {
	case "repository", "repository_id", "repository_owner", "repository_owner_id":
		return true
	}
	return false
}
