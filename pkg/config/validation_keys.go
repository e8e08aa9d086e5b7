package config

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/issuers"
)

// minMaxStaleness leaves time to fetch keys again before they are too old.
const minMaxStaleness = time.Minute

func validateKeys(keys *v1alpha1.Keys, path *field.Path) field.ErrorList {
	errs := validateEach(keys.Algorithms, path.Child("algorithms"), validateWord(issuers.SupportedAlgorithms()...))
	if staleness := keys.MaxStaleness; staleness != nil && staleness.Duration < minMaxStaleness {
		errs = append(errs, field.Invalid(path.Child("maxStaleness"), staleness.Duration.String(), "must be at least 1m: keys have to be fetched again before they are too old"))
	}
	errs = append(errs, validateAbsolute(keys.JWKSFile, path.Child("jwksFile"))...)
	if keys.JWKSURL != "" {
		errs = append(errs, validateKeySetURL(keys.JWKSURL, path.Child("jwksURL"))...)
	}
	if keys.JWKS != "" {
		errs = append(errs, validateKeySet(keys.JWKS, path.Child("jwks"))...)
	}
	if places := keyPlaces(keys); len(places) > 1 {
		errs = append(errs, field.Forbidden(path.Child(places[1]), fmt.Sprintf("the keys come from one place: keep one of %q", places)))
	}
	return errs
}

// validateKeyPlace refuses a second source of keys beside document 1's.
func validateKeyPlace(keys *v1alpha1.Keys, discoveryURL string, path *field.Path) field.ErrorList {
	places := keyPlaces(keys)
	if discoveryURL == "" || len(places) == 0 {
		return nil
	}
	return field.ErrorList{field.Forbidden(path.Child(places[0]),
		"document 1 has a discoveryURL for this issuer, and the keys come from one place: remove one of the two")}
}

// keyPlaces are the fields that say where the keys come from.
func keyPlaces(k *v1alpha1.Keys) []string {
	var names []string
	for _, source := range []struct{ name, value string }{{"jwks", k.JWKS}, {"jwksFile", k.JWKSFile}, {"jwksURL", k.JWKSURL}} {
		if source.value != "" {
			names = append(names, source.name)
		}
	}
	return names
}

// validateKeySetURL allows a query, without which Azure AD B2C has no keys.
func validateKeySetURL(text string, path *field.Path) field.ErrorList {
	address, err := url.Parse(text)
	if err != nil {
		return field.ErrorList{field.Invalid(path, text, "is not a URL")}
	}
	var errs field.ErrorList
	if address.Scheme != "https" || address.Host == "" {
		errs = append(errs, field.Invalid(path, text, "must be an https URL with a host: whoever can change the keys can be anyone"))
	}
	if address.User != nil {
		errs = append(errs, field.Invalid(path, text, "must not contain a username or password"))
	}
	if address.Fragment != "" {
		errs = append(errs, field.Invalid(path, text, "must not contain a fragment"))
	}
	return errs
}

// validateKeySet wants a set of public keys (RFC 7517 §5), and says what is wrong
// without quoting any of it: a set that does not belong here may be secret.
func validateKeySet(text string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	invalid := func(detail string) {
		errs = append(errs, field.Invalid(path, field.OmitValueType{}, detail))
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts([]byte(text), &set); err != nil || len(set.Keys) == 0 {
		invalid(`must be a JSON Web Key Set with at least one public key, {"keys": […]} in JSON (RFC 7517 §5)`)
		return errs
	}
	for i, member := range set.Keys {
		if isSecret(member) {
			invalid(fmt.Sprintf("keys[%d] is private or symmetric: whoever reads this file could sign; put the public key here and replace this one", i))
		}
	}
	if len(errs) > 0 {
		return errs
	}
	parsed, err := issuers.ParseKeySet([]byte(text))
	if err != nil {
		invalid(err.Error())
		return errs
	}
	for _, err := range parsed.Skipped() {
		invalid(fmt.Sprintf("%v: remove it, it would never be used", err))
	}
	return errs
}

// isSecret reports whether a member of a key set has a parameter that only a
// private or symmetric key has (RFC 7518 §6.2.2, §6.3.2, §6.4.1). What is no object
// has none, and is no key either.
func isSecret(member json.RawMessage) bool {
	var parameters map[string]json.RawMessage
	_ = json.Unmarshal(member, &parameters)
	return slices.ContainsFunc([]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}, func(name string) bool {
		return parameters[name] != nil
	})
}
