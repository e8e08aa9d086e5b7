package config

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
)

// warnings are what is valid in documents that are sound, but may not be what was
// meant.
func warnings(file decodedFile) Errors {
	var found Errors
	warn := func(d *document, path *field.Path, message string) {
		_, line := d.lookup(path.String())
		found = append(found, Error{File: d.file, Line: line, Document: d.number, Path: path.String(), Message: printable(message)})
	}
	first, authentication := file.authentication.document, file.authentication.object
	if authentication.Anonymous != nil {
		warn(first, field.NewPath("anonymous"), "is for kube-apiserver alone: the webhook never sees a request without a token, and ignores it")
	}
	for i, jwt := range authentication.JWT {
		if jwt.Issuer.EgressSelectorType != "" {
			warn(first, field.NewPath("jwt").Index(i).Child("issuer", "egressSelectorType"), "is for kube-apiserver alone: the webhook connects to the issuer directly")
		}
	}
	for _, policy := range file.policies {
		for _, loose := range looseSettings(&policy.object.Spec) {
			if loose.set {
				warn(policy.document, field.NewPath("spec."+loose.path), loose.message)
			}
		}
		warnGitHubActions(&policy.object.Spec, func(path *field.Path, message string) { warn(policy.document, path, message) })
	}
	return found.sorted()
}

// looseSetting is a setting that lets in what would be refused without it.
type looseSetting struct {
	set           bool
	path, message string
}

func looseSettings(spec *v1alpha1.IssuerPolicySpec) []looseSetting {
	settings := []looseSetting{
		{spec.ReservedNames == v1alpha1.ReservedNamesAllow, "reservedNames",
			"lets this issuer produce users and groups that begin with \"system:\", such as system:masters: document 1 alone now keeps them out"},
		{spec.Enforcement == v1alpha1.EnforcementAudit, "enforcement",
			"records what this policy's checks would refuse and lets it in, and adds no groups and extras: set Enforce when the records are as they should be"},
		{spec.EmailVerified == v1alpha1.EmailVerifiedIgnored, "emailVerified",
			"lets in people with e-mail addresses that the issuer says are not verified: anybody may have entered such an address"},
	}
	if entra := spec.Entra; entra != nil && entra.Graph != nil {
		settings = append(settings, looseSetting{entra.Graph.OnFailure == v1alpha1.GraphFailureOmitGroups, "entra.graph.onFailure",
			"makes people with many groups come in without any while Microsoft Graph is away: a rule that refuses by a group does not refuse them then"})
	}
	if kubernetes := spec.Kubernetes; kubernetes != nil {
		settings = append(settings,
			looseSetting{len(kubernetes.Allow) == 0, "kubernetes",
				"admits every service account of that cluster: name some in kubernetes.allow, if not all of them should come in"},
			looseSetting{kubernetes.LivenessOnFailure == v1alpha1.LivenessFailureSignature, "kubernetes.livenessOnFailure",
				"lets deleted pods in while the cluster that issued their tokens is away"})
	}
	return settings
}
