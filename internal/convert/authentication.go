package convert

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apiserver/pkg/apis/apiserver"

	"tokenreview.dev/webhook/pkg/entra"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/policy"
)

// reader finds out what flags mean to kube-apiserver.
type reader struct {
	flags Flags
	files Files
	file
	errs Errors
}

func (r *reader) fail(flag string, err error) {
	r.errs = append(r.errs, fmt.Errorf("--%s: %w", flag, err))
}

func (r *reader) note(lines ...string) { r.notes = append(r.notes, lines...) }

func (r *reader) read() {
	for _, flag := range AllFlags() {
		if !utf8.ValidString(strings.Join(r.flags[flag.Name], "")) {
			r.fail(flag.Name, errors.New("the value is not UTF-8 text"))
		}
	}
	r.readIssuer()
	r.readMappings()
	var err error
	if r.jwt.ClaimValidationRules, err = requiredClaims(r.flags[requiredClaim]); err != nil {
		r.fail(requiredClaim, err)
	}
	r.readAlgorithms()
	r.disallowedIssuers = distinct(r.flags[serviceAccountIssuer])
}

func (r *reader) readIssuer() {
	issuer, client := r.flags.last(issuerURL, ""), r.flags.last(clientID, "")
	if err := validateURL(issuer); err != nil {
		r.fail(issuerURL, err)
	}
	if client == "" {
		r.fail(clientID, errors.New("is required: give the client's id, which tokens have in aud"))
	}
	r.jwt.Issuer = apiserver.Issuer{URL: issuer, Audiences: []string{client}}
	name := r.flags.last(caFile, "")
	if name == "" {
		return
	}
	certificates, hasKey, err := r.files.readCertificates(name)
	if err != nil {
		r.fail(caFile, err)
	}
	if hasKey {
		r.note("The CA file holds a private key too. It is not copied, and does not belong there.")
	}
	r.jwt.Issuer.CertificateAuthority = certificates
}

// validateURL refuses what kube-apiserver refuses, without quoting a password.
func validateURL(issuer string) error {
	if issuer == "" {
		return errors.New("is required: give the issuer's URL, the iss of its tokens to the letter")
	}
	address, err := url.Parse(issuer)
	switch {
	case err != nil:
		return errors.New("is not a URL: give the issuer's https URL")
	case address.User != nil:
		return errors.New("must not contain a username or password: remove them")
	case address.Scheme != "https" || address.Host == "":
		return fmt.Errorf("%q must be an https URL with a host: kube-apiserver and the webhook take no other", issuer)
	case address.RawQuery != "" || address.Fragment != "":
		return fmt.Errorf("%q must not contain a query or fragment: give the iss of the issuer's tokens", issuer)
	}
	return nil
}

func (r *reader) readMappings() {
	claim, prefix := r.flags.last(usernameClaim, "sub"), r.flags.last(usernamePrefix, "")
	if claim == "" {
		r.fail(usernameClaim, errors.New("is empty: name the claim that is the username, or remove the flag, which means sub"))
	}
	switch {
	case prefix == "-":
		prefix = ""
	case prefix == "" && claim != "email":
		prefix = r.jwt.Issuer.URL + "#"
	}
	r.jwt.ClaimMappings.Username = apiserver.PrefixedClaimOrExpression{Claim: claim, Prefix: &prefix}
	reserved := canBeReserved(prefix)

	groups, groupsPrefix := r.flags.last(groupsClaim, ""), r.flags.last(groupsPrefix, "")
	if groups != "" {
		r.jwt.ClaimMappings.Groups = apiserver.PrefixedClaimOrExpression{Claim: groups, Prefix: &groupsPrefix}
		reserved = reserved || canBeReserved(groupsPrefix)
	} else if groupsPrefix != "" {
		r.note("--oidc-groups-prefix means nothing without --oidc-groups-claim, and is left out.")
	}
	if _, isEntra := entra.ParseIssuer(r.jwt.Issuer.URL, ""); isEntra && groups == "groups" {
		r.note("Of somebody in more groups than fit into a token of Entra ID, kube-apiserver sees",
			"no group, or asks a place that the token names. The webhook refuses such a token",
			"(GroupOverage), or asks Microsoft Graph: entra.groupOverage in the IssuerPolicy.")
	}
	if reserved {
		r.note(`kube-apiserver lets these flags produce users or groups that begin with "system:".`,
			"The webhook refuses them; reservedNames: Allow in the IssuerPolicy lifts that.")
	}
}

// canBeReserved reports whether a name with the prefix can be one of Kubernetes' own.
func canBeReserved(prefix string) bool {
	return strings.HasPrefix(prefix, policy.ReservedPrefix) || strings.HasPrefix(policy.ReservedPrefix, prefix)
}

// requiredClaims reads them as cliflag.NewMapStringStringNoSplit does. Of two values
// for one claim that keeps the last, without a word: somebody believes in the first.
func requiredClaims(pairs []string) ([]apiserver.ClaimValidationRule, error) {
	var rules []apiserver.ClaimValidationRule
	for _, pair := range pairs {
		claim, value, ok := strings.Cut(pair, "=")
		claim, value = strings.TrimSpace(claim), strings.TrimSpace(value)
		if !ok || claim == "" {
			return nil, fmt.Errorf("%q must be claim=value", pair)
		}
		at := slices.IndexFunc(rules, func(rule apiserver.ClaimValidationRule) bool { return rule.Claim == claim })
		switch {
		case at < 0:
			rules = append(rules, apiserver.ClaimValidationRule{Claim: claim, RequiredValue: value})
		case rules[at].RequiredValue != value:
			return nil, fmt.Errorf("claim %q is required to be %q and %q, of which kube-apiserver looks at the last alone: remove the others", claim, rules[at].RequiredValue, value)
		}
	}
	return rules, nil
}

// readAlgorithms finds the accepted algorithms: with flags RS256 alone unless they
// say otherwise, where a configuration file accepts more.
func (r *reader) readAlgorithms() {
	names, err := r.flags.algorithms()
	if err != nil {
		r.fail(signingAlgs, err)
	}
	// What kube-apiserver supports is what we accept by default.
	supported := issuers.DefaultAlgorithms()
	for _, name := range names {
		if !slices.Contains(supported, name) {
			r.fail(signingAlgs, fmt.Errorf("kube-apiserver does not support %q: use some of %s", name, strings.Join(supported, ",")))
		}
	}
	r.algorithms = names
}

func distinct(all []string) []string {
	var once []string
	for _, one := range all {
		if !slices.Contains(once, one) {
			once = append(once, one)
		}
	}
	return once
}
