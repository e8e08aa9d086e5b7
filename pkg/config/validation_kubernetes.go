package config

import (
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateKubernetes(kubernetes *Kubernetes, path *field.Path) field.ErrorList {
	var errs field.ErrorList
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
	errs = append(errs, validateEnum(kubernetes.Liveness, path.Child("liveness"), LivenessSignature, LivenessTokenReview)...)
	errs = append(errs, validateAbsolute(kubernetes.Kubeconfig, path.Child("kubeconfig"))...)
	switch asks := kubernetes.Liveness == LivenessTokenReview; {
	case asks && kubernetes.Kubeconfig == "":
		errs = append(errs, field.Required(path.Child("kubeconfig"), "liveness TokenReview asks the cluster that issued the token: say with which kubeconfig"))
	case !asks && kubernetes.Kubeconfig != "":
		errs = append(errs, field.Forbidden(path.Child("kubeconfig"), "only liveness TokenReview uses it: set that, or remove this"))
	}
	return errs
}

func validateKubernetesRule(rule KubernetesRule, path *field.Path) field.ErrorList {
	if rule == (KubernetesRule{}) {
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
