package config

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiservervalidation "k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
)

// validate reports to each document what is wrong with what it says: by itself,
// and next to the others.
func validate(file decodedFile, compiler authenticationcel.Compiler) {
	var disallowed []string
	if webhook := file.webhook; webhook.object != nil {
		disallowed = webhook.object.Spec.DisallowedIssuers
		webhook.Report(validateWebhook(webhook.object))
	}
	if authentication := file.authentication; authentication.object != nil {
		authentication.Report(apiservervalidation.ValidateAuthenticationConfiguration(compiler, authentication.object, disallowed))
	}
	for i, policy := range file.policies {
		if policy.object == nil {
			continue
		}
		policy.Report(validatePolicy(policy.object))
		policy.Report(validateAmongPolicies(policy, file.policies[:i]))
		if file.authentication.sound() {
			policy.Report(validateAgainstAuthentication(policy.object, file))
		}
	}
	reportOpenGitHubIssuers(file, compiler)
}

// validatePolicy validates what a policy says by itself.
func validatePolicy(policy *v1alpha1.IssuerPolicy) field.ErrorList {
	spec, path := &policy.Spec, field.NewPath("spec")
	errs := validateName(policy.Metadata.Name, field.NewPath("metadata", "name"))
	if spec.Issuer == "" {
		errs = append(errs, field.Required(path.Child("issuer"), "name the jwt[].issuer.url of document 1 that the policy is for"))
	}
	errs = append(errs, validateEnum(spec.Enforcement, path.Child("enforcement"), v1alpha1.EnforcementEnforce, v1alpha1.EnforcementAudit)...)
	errs = append(errs, validateKeys(&spec.Keys, path.Child("keys"))...)
	errs = append(errs, validatePositive(spec.Token.MaxLifetime, path.Child("token", "maxLifetime"))...)
	errs = append(errs, validateEnum(spec.EmailVerified, path.Child("emailVerified"), v1alpha1.EmailVerifiedRequired, v1alpha1.EmailVerifiedIfPresent, v1alpha1.EmailVerifiedIgnored)...)
	if spec.EmailVerifiedClaim != "" && spec.EmailVerified == v1alpha1.EmailVerifiedIgnored {
		errs = append(errs, field.Forbidden(path.Child("emailVerifiedClaim"), "emailVerified Ignored looks at no claim: remove this"))
	}
	if spec.EmailVerifiedClaim != "" {
		errs = append(errs, validateText(spec.EmailVerifiedClaim, path.Child("emailVerifiedClaim"))...)
	}
	errs = append(errs, validateIssuerAudit(&spec.Audit, path.Child("audit"))...)
	errs = append(errs, validateEnum(spec.ReservedNames, path.Child("reservedNames"), v1alpha1.ReservedNamesDeny, v1alpha1.ReservedNamesAllow)...)
	if spec.GitHubActions != nil {
		errs = append(errs, validateGitHubActions(spec.GitHubActions, spec.ReservedNames, path.Child("githubActions"))...)
	}
	if spec.Entra != nil {
		errs = append(errs, validateEntra(spec.Entra, path.Child("entra"))...)
	}
	if spec.Kubernetes != nil {
		errs = append(errs, validateKubernetes(spec.Kubernetes, spec.ReservedNames, path)...)
	}
	return append(errs, validateKind(spec, path)...)
}

// validateKind refuses a policy that takes its issuer for more than one kind: each
// kind's checks refuse all tokens of the others.
func validateKind(spec *v1alpha1.IssuerPolicySpec, path *field.Path) field.ErrorList {
	var kinds []string
	for _, kind := range []struct {
		name string
		used bool
	}{
		{"githubActions", spec.GitHubActions != nil}, {"entra", spec.Entra != nil}, {"kubernetes", spec.Kubernetes != nil},
	} {
		if kind.used {
			kinds = append(kinds, kind.name)
		}
	}
	if len(kinds) < 2 {
		return nil
	}
	return field.ErrorList{field.Forbidden(path.Child(kinds[1]), fmt.Sprintf("an issuer is of one kind, and nobody would get in: keep one of %q", kinds))}
}

// validateAmongPolicies validates a policy next to those that precede it.
func validateAmongPolicies(policy decoded[v1alpha1.IssuerPolicy], preceding []decoded[v1alpha1.IssuerPolicy]) field.ErrorList {
	var errs field.ErrorList
	for _, other := range preceding {
		if other.object == nil {
			continue
		}
		if issuer := policy.object.Spec.Issuer; issuer != "" && issuer == other.object.Spec.Issuer {
			errs = append(errs, duplicate(field.NewPath("spec", "issuer"), issuer,
				fmt.Sprintf("document %d is a policy for it already: merge the two", other.Number)))
		}
		if mine, others := policy.object.Spec.Kubernetes, other.object.Spec.Kubernetes; mine != nil && others != nil && mine.ClusterName != "" && mine.ClusterName == others.ClusterName {
			errs = append(errs, duplicate(field.NewPath("spec", "kubernetes", "clusterName"), mine.ClusterName,
				fmt.Sprintf("document %d calls its cluster that, and the accounts of both would be the same groups: choose another", other.Number)))
		}
		if name := policy.object.Metadata.Name; name != "" && name == other.object.Metadata.Name {
			errs = append(errs, duplicate(field.NewPath("metadata", "name"), name,
				fmt.Sprintf("document %d has the name already: choose another", other.Number)))
		}
	}
	return errs
}

// validateAgainstAuthentication validates a policy next to document 1.
func validateAgainstAuthentication(policy *v1alpha1.IssuerPolicy, file decodedFile) field.ErrorList {
	var errs field.ErrorList
	var urls []string
	for _, jwt := range file.authentication.object.JWT {
		url := jwt.Issuer.URL
		urls = append(urls, url)
		if url == policy.Spec.Issuer {
			errs = append(errs, validateKeyPlace(&policy.Spec.Keys, jwt.Issuer.DiscoveryURL, field.NewPath("spec", "keys"))...)
			errs = append(errs, validateEntraIssuer(&policy.Spec, jwt.Issuer, field.NewPath("spec", "entra"))...)
			errs = append(errs, validateKubernetesIssuer(policy.Spec.Kubernetes, &jwt, field.NewPath("spec", "kubernetes"))...)
		}
		errs = append(errs, validateKubernetesExtras(policy.Spec.Kubernetes, &jwt, field.NewPath("spec", "kubernetes"))...)
		if name := policy.Metadata.Name; name == derivedName(url) && file.policyOf(url) == nil {
			errs = append(errs, duplicate(field.NewPath("metadata", "name"), name,
				fmt.Sprintf("issuer %q goes by the name, having no policy: choose another", url)))
		}
	}
	if issuer := policy.Spec.Issuer; issuer != "" && !slices.Contains(urls, issuer) {
		errs = append(errs, field.Invalid(field.NewPath("spec", "issuer"), issuer,
			fmt.Sprintf("no jwt[].issuer.url of document 1 is this, to the letter; it has %q", urls)))
	}
	return errs
}

func validateName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "give the issuer's short name in logs, metrics and reasons")}
	}
	var errs field.ErrorList
	for _, problem := range utilvalidation.IsDNS1123Label(name) {
		errs = append(errs, field.Invalid(path, name, problem))
	}
	return errs
}

// duplicate is field.Duplicate that says of what.
func duplicate(path *field.Path, value, detail string) *field.Error {
	err := field.Duplicate(path, value)
	err.Detail = detail
	return err
}

// isText reports whether the file is what this package knows to split: libyaml also
// reads UTF-16.
func isText(data []byte) bool { return utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 }
