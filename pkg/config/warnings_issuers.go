package config

import (
	"fmt"
	"regexp"

	"k8s.io/apiserver/pkg/apis/apiserver"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
)

// issuerWarning says what is wrong with an issuer that document 1 names, empty for
// nothing.
func issuerWarning(jwt *apiserver.JWTAuthenticator, compiler authenticationcel.Compiler) string {
	issuer := jwt.Issuer.URL
	switch {
	case v1WithoutSlash.MatchString(issuer):
		return fmt.Sprintf("is the iss of no token: v1 issuers of Entra ID end with \"/\": write %s/", issuer)
	case sharedTenant(issuer) != "":
		return "is the iss of no token: put the tenant's id in the place of " + sharedTenant(issuer)
	case issuer == "https://gitlab.com" && !hasRuleOver(isProjectClaim, jwt.ClaimValidationRules, compiler):
		return "gives any job of anybody on gitlab.com a token for any aud, and no claimValidationRules entry is over the project: " +
			"add one over claims.project_id or claims.namespace_id"
	}
	return ""
}

// v1WithoutSlash is a v1 issuer of Entra ID, but for the "/" at its end.
var v1WithoutSlash = regexp.MustCompile(`^https://sts\.(?:windows\.net|chinacloudapi\.cn)/[^/]+$`)

// isProjectClaim reports whether a claim of GitLab tells one group's projects from
// another's.
func isProjectClaim(name string) bool {
	switch name {
	case "project_id", "project_path", "namespace_id", "namespace_path":
		return true
	}
	return false
}
