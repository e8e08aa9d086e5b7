package config

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
)

// warnings are what is valid in documents that are sound, but may not be what was
// meant.
func warnings(file decodedFile, compiler authenticationcel.Compiler) Errors {
	var found Errors
	warn := func(d *document, path *field.Path, message string) {
		found = append(found, d.ErrorAt(path.String(), message))
	}
	first, authentication := file.authentication.document, file.authentication.object
	if authentication.Anonymous != nil {
		warn(first, field.NewPath("anonymous"), "is for kube-apiserver alone: the webhook never sees a request without a token, and ignores it")
	}
	for i, jwt := range authentication.JWT {
		if jwt.Issuer.EgressSelectorType != "" {
			warn(first, field.NewPath("jwt").Index(i).Child("issuer", "egressSelectorType"), "is for kube-apiserver alone: the webhook connects to the issuer directly")
		}
		if message := issuerWarning(&jwt, compiler); message != "" {
			warn(first, field.NewPath("jwt").Index(i).Child("issuer", "url"), message)
		}
	}
	if webhook := file.webhook; webhook.object != nil {
		if limit := webhook.object.Spec.Limits.MaxRequestsInFlight; limit != nil && *limit < lowRequestsInFlight {
			warn(webhook.document, field.NewPath("spec", "limits", "maxRequestsInFlight"), fmt.Sprintf(
				"is below %d: tokens of strangers that wait for an issuer's keys can fill it, and others' are answered 429 meanwhile", lowRequestsInFlight))
		}
	}
	if webhook := file.webhook; webhook.object != nil && !auditToFile(&webhook.object.Spec.Audit) {
		for setting, set := range auditFileSettings(&webhook.object.Spec.Audit) {
			if set {
				warn(webhook.document, field.NewPath("spec", "audit", setting), "is for a file, and the audit log goes to standard output: name the file in spec.audit.path")
			}
		}
	}
	for _, policy := range file.policies {
		for _, doubtful := range doubtfulSettings(&policy.object.Spec) {
			if doubtful.set {
				warn(policy.document, field.NewPath("spec."+doubtful.path), doubtful.message)
			}
		}
		warnGitHubActions(&policy.object.Spec, func(path *field.Path, message string) { warn(policy.document, path, message) })
	}
	return found.Sorted()
}

func auditToFile(audit *v1alpha1.Audit) bool {
	return audit.Path != "" && audit.Path != defaultAuditPath
}

// auditFileSettings tells which settings are given that are for files alone.
func auditFileSettings(audit *v1alpha1.Audit) map[string]bool {
	return map[string]bool{
		"maxSizeMB": audit.MaxSizeMB != nil, "maxBackups": audit.MaxBackups != nil, "maxAgeDays": audit.MaxAgeDays != 0,
	}
}

// lowRequestsInFlight is what may wait for keys, and some room beside it.
const lowRequestsInFlight = 200

// doubtfulSetting is a setting that lets in what would be refused without it, or
// that does not do what it seems to.
type doubtfulSetting struct {
	set           bool
	path, message string
}

func doubtfulSettings(spec *v1alpha1.IssuerPolicySpec) []doubtfulSetting {
	withoutEmailVerified := spec.EmailVerified == v1alpha1.EmailVerifiedRequired && looksAtEmailVerified(spec)
	settings := []doubtfulSetting{
		{spec.ReservedNames == v1alpha1.ReservedNamesAllow, "reservedNames",
			"lets this issuer produce users and groups that begin with \"system:\", such as system:masters: document 1 alone now keeps them out"},
		{spec.Enforcement == v1alpha1.EnforcementAudit && !hasOwnCheck(spec), "enforcement",
			"has nothing to record: Audit is for this policy's own checks, and it has none; document 1 is enforced all the same"},
		{spec.Enforcement == v1alpha1.EnforcementAudit && hasOwnCheck(spec), "enforcement",
			"records what this policy's checks would refuse and lets it in, and adds no groups and extras: set Enforce when the records are as they should be"},
		{spec.EmailVerified == v1alpha1.EmailVerifiedIgnored, "emailVerified",
			"lets in people with e-mail addresses that the issuer says are not verified: anybody may have entered such an address"},
		{withoutEmailVerified && isGitHubActions(spec.Issuer), "emailVerified",
			"wants email_verified, which no token of GitHub Actions has, so all would be refused: remove this"},
		{withoutEmailVerified && entraTenant(apiserver.Issuer{URL: spec.Issuer}, spec.Entra) != "", "emailVerified",
			"wants email_verified, which Entra ID gives no token, so all would be refused: set emailVerifiedClaim: xms_edov, an optional claim of the application"},
	}
	if github := spec.GitHubActions; github != nil {
		settings = append(settings, doubtfulSetting{github.AllowAnyRepository, "githubActions.allowAnyRepository",
			"lets in every repository on GitHub that document 1 does not refuse: anybody there can get a token for your audience"})
	}
	if entra := spec.Entra; entra != nil && entra.Graph != nil {
		settings = append(settings, doubtfulSetting{entra.Graph.OnFailure == v1alpha1.GraphFailureOmitGroups, "entra.graph.onFailure",
			"makes people with many groups come in without any while Microsoft Graph is away: a rule that refuses by a group does not refuse them then"})
	}
	if kubernetes := spec.Kubernetes; kubernetes != nil {
		settings = append(settings,
			doubtfulSetting{len(kubernetes.Allow) == 0, "kubernetes",
				"admits every service account of that cluster: name some in kubernetes.allow, if not all of them should come in"},
			doubtfulSetting{slices.ContainsFunc(kubernetes.Allow, admitsAnyNamespace), "kubernetes.allow",
				"has a rule without namespace and uid: whoever can make an account in any namespace of that cluster can give it the name"},
			doubtfulSetting{kubernetes.LivenessOnFailure == v1alpha1.LivenessFailureSignature, "kubernetes.livenessOnFailure",
				"lets deleted pods in while the cluster that issued their tokens is away"})
	}
	return settings
}

// looksAtEmailVerified reports whether the policy goes by email_verified, and by no
// other claim.
func looksAtEmailVerified(spec *v1alpha1.IssuerPolicySpec) bool {
	return spec.EmailVerifiedClaim == "" || spec.EmailVerifiedClaim == defaultEmailVerifiedClaim
}

// hasOwnCheck reports whether the policy checks anything that document 1 does not.
func hasOwnCheck(spec *v1alpha1.IssuerPolicySpec) bool {
	return spec.Token.MaxLifetime != nil ||
		spec.EmailVerified == v1alpha1.EmailVerifiedRequired || !looksAtEmailVerified(spec) ||
		spec.GitHubActions != nil && len(spec.GitHubActions.Allow) > 0 ||
		spec.Entra != nil || spec.Kubernetes != nil
}

// admitsAnyNamespace reports whether a rule goes by the account's name alone.
func admitsAnyNamespace(rule v1alpha1.KubernetesRule) bool {
	return isAny(rule.Namespace) && rule.UID == "" && rule.ServiceAccount != ""
}
