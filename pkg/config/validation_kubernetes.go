package config

import (
	"fmt"
	"strings"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
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
	if kubernetes.Allow != nil && len(kubernetes.Allow) == 0 {
		errs = append(errs, field.Required(path.Child("allow"), "the list is empty: fill it in or remove it"))
	}
	for i, rule := range kubernetes.Allow {
		errs = append(errs, validateKubernetesRule(rule, path.Child("allow").Index(i))...)
	}
	errs = append(errs, validateEnum(kubernetes.Liveness, path.Child("liveness"), v1alpha1.LivenessSignature, v1alpha1.LivenessTokenReview)...)
	errs = append(errs, validateAbsolute(kubernetes.Kubeconfig, path.Child("kubeconfig"))...)
	switch asks := kubernetes.Liveness == v1alpha1.LivenessTokenReview; {
	case asks && kubernetes.Kubeconfig == "":
		errs = append(errs, field.Required(path.Child("kubeconfig"), "liveness TokenReview asks the cluster that issued the token: say with which kubeconfig"))
	case !asks && kubernetes.Kubeconfig != "":
		errs = append(errs, field.Forbidden(path.Child("kubeconfig"), "only liveness TokenReview uses it: set that, or remove this"))
	}
	if kubernetes.Liveness != v1alpha1.LivenessTokenReview {
		for _, setting := range []struct {
			name string
			used bool
		}{{"livenessCacheTTL", kubernetes.LivenessCacheTTL != nil}, {"livenessOnFailure", kubernetes.LivenessOnFailure != ""}} {
			if setting.used {
				errs = append(errs, field.Forbidden(path.Child(setting.name), "only liveness TokenReview uses it: set that, or remove this"))
			}
		}
	}
	errs = append(errs, validateCacheTTL(kubernetes.LivenessCacheTTL, path.Child("livenessCacheTTL"))...)
	return append(errs, validateEnum(kubernetes.LivenessOnFailure, path.Child("livenessOnFailure"), v1alpha1.LivenessFailureDeny, v1alpha1.LivenessFailureSignature)...)
}

// validateKubernetesExtras keeps document 1 from mapping the extras that say which
// cluster's pod a token is of.
func validateKubernetesExtras(kubernetes *v1alpha1.Kubernetes, extra []apiserver.ExtraMapping, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, mapping := range extra {
		if kubernetes != nil && strings.HasPrefix(mapping.Key, v1alpha1.Group+"/") {
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("it sets the extras of %s, and document 1 maps %q: rename that one", v1alpha1.Group, mapping.Key)))
		}
	}
	return errs
}

func validateKubernetesRule(rule v1alpha1.KubernetesRule, path *field.Path) field.ErrorList {
	if rule == (v1alpha1.KubernetesRule{}) {
		return field.ErrorList{field.Required(path, "the rule is empty and would admit every account: give namespace, serviceAccount or uid")}
	}
	var errs field.ErrorList
	for _, part := range []struct{ name, text string }{
		{"namespace", rule.Namespace}, {"serviceAccount", rule.ServiceAccount}, {"uid", rule.UID},
	} {
		if part.text != "" {
			errs = append(errs, validateText(part.text, path.Child(part.name))...)
		}
	}
	return errs
}
