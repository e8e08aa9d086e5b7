package config

import (
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// warnings are what is valid in documents that are sound, but may not be what was
// meant.
func warnings(file decodedFile) Errors {
	var found Errors
	warn := func(d *document, path *field.Path, message string) {
		_, line := d.lookup(path.String())
		found = append(found, Error{File: d.file, Line: line, Document: d.number, Path: path.String(), Message: message})
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
		if policy.object.Spec.ReservedNames == ReservedNamesAllow {
			warn(policy.document, field.NewPath("spec", "reservedNames"), "lets this issuer produce users and groups that begin with \"system:\", such as system:masters: document 1 alone now keeps them out")
		}
	}
	return found.sorted()
}
