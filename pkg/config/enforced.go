package config

import "k8s.io/apimachinery/pkg/util/validation/field"

// defaultEmailVerifiedClaim is the claim of OpenID Connect Core §5.1.
const defaultEmailVerifiedClaim = "email_verified"

// validateEnforced refuses the settings that this version decodes and validates but
// does not enforce yet. To load them would let in what they refuse.
func validateEnforced(spec *IssuerPolicySpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, setting := range []struct {
		path *field.Path
		used bool
	}{
		{path.Child("enforcement"), spec.Enforcement == EnforcementAudit},
		{path.Child("token"), spec.Token != Token{}},
		{path.Child("emailVerified"), spec.EmailVerified == EmailVerifiedRequired || spec.EmailVerified == EmailVerifiedIgnored},
		{path.Child("emailVerifiedClaim"), spec.EmailVerifiedClaim != "" && spec.EmailVerifiedClaim != defaultEmailVerifiedClaim},
		{path.Child("githubActions", "allow"), spec.GitHubActions != nil && len(spec.GitHubActions.Allow) > 0},
		{path.Child("entra"), spec.Entra != nil},
		{path.Child("kubernetes"), spec.Kubernetes != nil},
	} {
		if setting.used {
			errs = append(errs, field.Forbidden(setting.path, "is not enforced by this version of the webhook yet; remove it: ignoring it would let in what it refuses"))
		}
	}
	return errs
}
