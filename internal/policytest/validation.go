package policytest

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/reason"
)

// validate validates what a test says by itself.
func validate(test *v1alpha1.PolicyTest) field.ErrorList {
	var errs field.ErrorList
	if test.Metadata.Name == "" {
		errs = append(errs, field.Required(field.NewPath("metadata", "name"), "name the test"))
	}
	spec, path := &test.Spec, field.NewPath("spec")
	if spec.Configuration == "" {
		errs = append(errs, field.Required(path.Child("configuration"), "give the path of the configuration file, relative to this one"))
	}
	if len(spec.Cases) == 0 {
		errs = append(errs, field.Required(path.Child("cases"), "a test without cases would always pass: add some"))
	}
	names := map[string]bool{}
	for i := range spec.Cases {
		c, path := &spec.Cases[i], path.Child("cases").Index(i)
		switch {
		case c.Name == "":
			errs = append(errs, field.Required(path.Child("name"), "name the case"))
		case names[c.Name]:
			errs = append(errs, field.Duplicate(path.Child("name"), c.Name))
		}
		names[c.Name] = true
		errs = append(errs, validateGraph(c.Graph, path.Child("graph"))...)
		if liveness := []v1alpha1.PolicyTestLiveness{v1alpha1.PolicyTestLive, v1alpha1.PolicyTestNotLive, v1alpha1.PolicyTestUnavailable}; c.Liveness != "" && !slices.Contains(liveness, c.Liveness) {
			errs = append(errs, field.NotSupported(path.Child("liveness"), c.Liveness, liveness))
		}
		errs = append(errs, validateExpectation(&c.Expect, path.Child("expect"))...)
	}
	return errs
}

func validateGraph(graph *v1alpha1.PolicyTestGraph, path *field.Path) field.ErrorList {
	if graph == nil {
		return nil
	}
	given := 0
	for _, is := range []bool{graph.Groups != nil, graph.Unknown, graph.Error != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		return field.ErrorList{field.Required(path, "give exactly one answer: groups, unknown: true or error")}
	}
	return nil
}

func validateExpectation(expect *v1alpha1.PolicyTestExpectation, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case (expect.User == nil) == (expect.Reason == ""):
		errs = append(errs, field.Required(path, "a token is either accepted or refused: give exactly one of user and reason"))
	case expect.User != nil && expect.User.Username == "":
		errs = append(errs, field.Required(path.Child("user", "username"), "no user is without one"))
	case expect.User != nil && expect.Text != "":
		errs = append(errs, field.Forbidden(path.Child("text"), "it is part of a refusal: remove it, or give a reason in the place of a user"))
	case expect.User == nil && expect.Audiences != nil:
		errs = append(errs, field.Forbidden(path.Child("audiences"), "a refused token has none: remove it, or give a user in the place of a reason"))
	}
	for _, code := range []struct{ name, value string }{{"reason", expect.Reason}, {"wouldRefuse", expect.WouldRefuse}} {
		if code.value != "" && !slices.Contains(reason.Codes(), reason.Code(code.value)) {
			errs = append(errs, field.NotSupported(path.Child(code.name), reason.Code(code.value), reason.Codes()))
		}
	}
	return errs
}

// validateAgainst validates what a test says of its configuration.
func validateAgainst(loaded *config.Config, spec *v1alpha1.PolicyTestSpec) field.ErrorList {
	var errs field.ErrorList
	for i := range spec.Cases {
		c, path := &spec.Cases[i], field.NewPath("spec", "cases").Index(i)
		issuer, err := issuerOf(loaded, spec, c)
		if err != nil {
			errs = append(errs, field.Invalid(path.Child("issuer"), c.Issuer, err.Error()))
			continue
		}
		if entra := issuer.Policy.Entra; c.Graph != nil && (entra == nil || entra.GroupOverage != v1alpha1.GroupOverageResolve) {
			errs = append(errs, field.Forbidden(path.Child("graph"), fmt.Sprintf("Microsoft Graph is not asked for tokens of %q, for whose policy entra.groupOverage is not Resolve: remove it", issuer.Name)))
		}
		if kubernetes := issuer.Policy.Kubernetes; c.Liveness != "" && (kubernetes == nil || kubernetes.Liveness != v1alpha1.LivenessTokenReview) {
			errs = append(errs, field.Forbidden(path.Child("liveness"), fmt.Sprintf("nobody is asked whether tokens of %q are alive, for whose policy kubernetes.liveness is not TokenReview: remove it", issuer.Name)))
		}
	}
	return errs
}
