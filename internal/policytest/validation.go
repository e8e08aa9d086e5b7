package policytest

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/entra"
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
	errs = append(errs, validateClaims(spec.Claims, path.Child("claims"))...)
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
		errs = append(errs, validateClaims(c.Claims, path.Child("claims"))...)
		errs = append(errs, validateGraph(c.Graph, path.Child("graph"))...)
		if liveness := []v1alpha1.PolicyTestLiveness{v1alpha1.PolicyTestLive, v1alpha1.PolicyTestNotLive, v1alpha1.PolicyTestUnavailable}; c.Liveness != "" && !slices.Contains(liveness, c.Liveness) {
			errs = append(errs, field.NotSupported(path.Child("liveness"), c.Liveness, liveness))
		}
		errs = append(errs, validateExpectation(&c.Expect, path.Child("expect"))...)
		errs = append(errs, validateUnavailable(c, path.Child("expect"))...)
	}
	return errs
}

// validateClaims refuses times that are meant to be relative to now and are not.
func validateClaims(claims map[string]any, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range numericDates {
		if text, ok := claims[name].(string); ok && isRelative(text) {
			if _, err := parseRelative(text); err != nil {
				errs = append(errs, field.Invalid(path.Child(name), text, err.Error()))
			}
		}
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
	var errs field.ErrorList
	for i, group := range graph.Groups {
		if !entra.IsGUID(group) {
			errs = append(errs, field.Invalid(path.Child("groups").Index(i), group, "Microsoft Graph answers with object ids, not with names: write the group's, a GUID"))
		}
	}
	return errs
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
		switch value, path := reason.Code(code.value), path.Child(code.name); {
		case value == "":
		case slices.Contains(notTestable[:], value):
			errs = append(errs, field.Invalid(path, value, "what signatures and keys decide cannot be tested: a case's token is signed with a key that is trusted"))
		case !slices.Contains(reason.Codes(), value):
			errs = append(errs, field.NotSupported(path, value, testable()))
		}
	}
	return errs
}

// validateUnavailable wants the case to say that Microsoft Graph fails where it expects
// what comes of that. Without, it would pass because the test asks nobody, where the
// server would ask and may well be told.
func validateUnavailable(c *v1alpha1.PolicyTestCase, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, code := range []struct{ name, value string }{{"reason", c.Expect.Reason}, {"wouldRefuse", c.Expect.WouldRefuse}} {
		if code.value == string(reason.ClaimsUnavailable) && (c.Graph == nil || c.Graph.Error == "") {
			errs = append(errs, field.Invalid(path.Child(code.name), code.value, "only that Microsoft Graph fails can be tested, and distributed claims cannot: give the case graph.error"))
		}
	}
	return errs
}

// notTestable are the reasons that say something of signatures and keys: those of a
// case's token are always good.
var notTestable = [...]reason.Code{reason.AlgorithmNotAllowed, reason.KeysUnavailable, reason.KeyUnknown, reason.SignatureInvalid}

// testable are the reasons that a case can expect.
func testable() []reason.Code {
	return slices.DeleteFunc(reason.Codes(), func(code reason.Code) bool { return slices.Contains(notTestable[:], code) })
}

// validateAgainst validates what a test says of its configuration.
func validateAgainst(loaded *config.Config, spec *v1alpha1.PolicyTestSpec) field.ErrorList {
	var errs field.ErrorList
	if _, err := issuerOf(loaded, spec, &v1alpha1.PolicyTestCase{}); err != nil && spec.Issuer != "" {
		errs = append(errs, field.Invalid(field.NewPath("spec", "issuer"), spec.Issuer, err.Error()))
	}
	for i := range spec.Cases {
		c, path := &spec.Cases[i], field.NewPath("spec", "cases").Index(i)
		issuer, err := issuerOf(loaded, spec, c)
		if err != nil && c.Issuer == "" && spec.Issuer != "" {
			continue // It is said once.
		}
		if err != nil {
			errs = append(errs, field.Invalid(path.Child("issuer"), c.Issuer, err.Error()))
			continue
		}
		errs = append(errs, validateIss(loaded, issuer, spec, c, path)...)
		if policy := issuer.Policy.Entra; c.Graph != nil && (policy == nil || policy.GroupOverage != v1alpha1.GroupOverageResolve) {
			errs = append(errs, field.Forbidden(path.Child("graph"), fmt.Sprintf("Microsoft Graph is not asked for tokens of %q, for whose policy entra.groupOverage is not Resolve: remove it", issuer.Name)))
		}
		if kubernetes := issuer.Policy.Kubernetes; c.Liveness != "" && (kubernetes == nil || kubernetes.Liveness != v1alpha1.LivenessTokenReview) {
			errs = append(errs, field.Forbidden(path.Child("liveness"), fmt.Sprintf("nobody is asked whether tokens of %q are alive, for whose policy kubernetes.liveness is not TokenReview: remove it", issuer.Name)))
		}
	}
	return errs
}

// validateIss refuses tokens in the name of one issuer that another has signed. What
// the server says of them is a matter of signatures.
func validateIss(loaded *config.Config, signer *config.Issuer, spec *v1alpha1.PolicyTestSpec, c *v1alpha1.PolicyTestCase, path *field.Path) field.ErrorList {
	iss, issPath := spec.Claims["iss"], field.NewPath("spec", "claims", "iss")
	if own, ok := c.Claims["iss"]; ok {
		iss, issPath = own, path.Child("claims", "iss")
	}
	for i := range loaded.Issuers {
		if named := &loaded.Issuers[i]; named != signer && named.JWT.Issuer.URL == iss {
			return field.ErrorList{field.Invalid(issPath, iss, fmt.Sprintf("that is the issuer %q, and %q signs the token, so the server refuses its signature, which cannot be tested: have issuer name who signs, and leave iss out", named.Name, signer.Name))}
		}
	}
	return nil
}
