package config

import (
	"fmt"
	"strings"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/entra"
	"tokenreview.dev/webhook/pkg/policy"
)

func validateKubernetes(kubernetes *v1alpha1.Kubernetes, reserved v1alpha1.ReservedNames, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	path := spec.Child("kubernetes")
	if reserved == v1alpha1.ReservedNamesAllow {
		errs = append(errs, field.Forbidden(spec.Child("reservedNames"), "an account of another cluster must never go by a name that this cluster's own accounts have: remove it, and give the name a prefix in document 1"))
	}
	if kubernetes.ClusterName == "" {
		errs = append(errs, field.Required(path.Child("clusterName"), "it tells this cluster's accounts from others' and from our own"))
	} else {
		for _, problem := range utilvalidation.IsDNS1123Label(kubernetes.ClusterName) {
			errs = append(errs, field.Invalid(path.Child("clusterName"), kubernetes.ClusterName, problem))
		}
	}
	if kubernetes.ClusterName+":" == policy.ReservedPrefix {
		errs = append(errs, field.Invalid(path.Child("clusterName"), kubernetes.ClusterName, fmt.Sprintf("the groups of its accounts would begin with %q, and every token would be refused: choose another", policy.ReservedPrefix)))
	}
	if kubernetes.Allow != nil && len(kubernetes.Allow) == 0 {
		errs = append(errs, field.Required(path.Child("allow"), "the list is empty: fill it in or remove it"))
	}
	for i, rule := range kubernetes.Allow {
		errs = append(errs, validateKubernetesRule(rule, path.Child("allow").Index(i))...)
	}
	errs = append(errs, validateEnum(kubernetes.Liveness, path.Child("liveness"), v1alpha1.LivenessSignature, v1alpha1.LivenessTokenReview)...)
	errs = append(errs, validateAbsolute(kubernetes.Kubeconfig, path.Child("kubeconfig"))...)
	asks := kubernetes.Liveness == v1alpha1.LivenessTokenReview
	if asks && kubernetes.Kubeconfig == "" {
		errs = append(errs, field.Required(path.Child("kubeconfig"), "liveness TokenReview asks the cluster that issued the token: say with which kubeconfig"))
	}
	for _, setting := range []struct {
		name string
		used bool
	}{
		{"kubeconfig", kubernetes.Kubeconfig != ""}, {"livenessCacheTTL", kubernetes.LivenessCacheTTL != nil}, {"livenessOnFailure", kubernetes.LivenessOnFailure != ""},
	} {
		if setting.used && !asks {
			errs = append(errs, field.Forbidden(path.Child(setting.name), "only liveness TokenReview uses it: set that, or remove this"))
		}
	}
	errs = append(errs, validateTTL(kubernetes.LivenessCacheTTL, maxCacheTTL, path.Child("livenessCacheTTL"))...)
	return append(errs, validateEnum(kubernetes.LivenessOnFailure, path.Child("livenessOnFailure"), v1alpha1.LivenessFailureDeny, v1alpha1.LivenessFailureSignature)...)
}

// validateKubernetesIssuer wants an issuer that may be a cluster, and document 1 to
// give its accounts names of their own.
func validateKubernetesIssuer(kubernetes *v1alpha1.Kubernetes, jwt *apiserver.JWTAuthenticator, path *field.Path) field.ErrorList {
	if kubernetes == nil {
		return nil
	}
	if kind := knownKind(jwt.Issuer.URL); kind != "" {
		return field.ErrorList{field.Forbidden(path, fmt.Sprintf("the issuer %q is %s and no cluster, and every token would be refused: remove this", jwt.Issuer.URL, kind))}
	}
	var errs field.ErrorList
	// sub begins with "system:" itself.
	username := jwt.ClaimMappings.Username
	if username.Claim == "sub" && (username.Prefix == nil || strings.HasPrefix(*username.Prefix+policy.ReservedPrefix, policy.ReservedPrefix)) ||
		strings.TrimSpace(username.Expression) == "claims.sub" {
		errs = append(errs, field.Forbidden(path, fmt.Sprintf("document 1 makes of sub a username that begins with %q, and such a name from another cluster is always refused: give username another prefix there, such as %q",
			policy.ReservedPrefix, kubernetes.ClusterName+":")))
	}
	return errs
}

// validateKubernetesExtras wants no issuer of document 1 to map the extras that say
// which cluster's pod a token is of.
func validateKubernetesExtras(kubernetes *v1alpha1.Kubernetes, jwt *apiserver.JWTAuthenticator, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, mapping := range jwt.ClaimMappings.Extra {
		if kubernetes != nil && strings.HasPrefix(mapping.Key, v1alpha1.Group+"/") {
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("it sets the extras of %s, and document 1 maps %q for %q: rename that one", v1alpha1.Group, mapping.Key, jwt.Issuer.URL)))
		}
	}
	return errs
}

// knownKind is what an issuer is by its URL, empty where that does not tell.
func knownKind(issuer string) string {
	if isGitHubActions(issuer) {
		return "GitHub Actions"
	}
	if _, ok := entra.ParseIssuer(issuer, ""); ok {
		return "Entra ID"
	}
	return ""
}

func validateKubernetesRule(rule v1alpha1.KubernetesRule, path *field.Path) field.ErrorList {
	if rule.UID == "" && isAny(rule.Namespace) && isAny(rule.ServiceAccount) {
		return field.ErrorList{field.Required(path, "the rule would admit every account: give namespace, serviceAccount or uid, or remove allow")}
	}
	var errs field.ErrorList
	for _, part := range []struct {
		name, text string
		validate   func(string, *field.Path) field.ErrorList
	}{
		{"namespace", rule.Namespace, validateForm(canBeObjectName, "no namespace matches: write the namespace's name alone; serviceAccount has the rest")},
		{"serviceAccount", rule.ServiceAccount, validateForm(canBeObjectName, "no account matches: write the account's name alone; namespace has the rest")},
		{"uid", rule.UID, validateText},
	} {
		if part.text != "" {
			errs = append(errs, part.validate(part.text, path.Child(part.name))...)
		}
	}
	return errs
}

// isAny reports whether a pattern says nothing about a name.
func isAny(pattern string) bool { return strings.Trim(pattern, "*") == "" }

// canBeObjectName reports whether a pattern can match a name, and is not what sub or
// kubectl make of two.
func canBeObjectName(pattern string) bool { return !strings.ContainsAny(pattern, ":/") }
