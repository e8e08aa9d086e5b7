package convert

import (
	"encoding/csv"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The flags of kube-apiserver that say something here, without their dashes.
const (
	issuerURL      = "oidc-issuer-url"
	clientID       = "oidc-client-id"
	usernameClaim  = "oidc-username-claim"
	usernamePrefix = "oidc-username-prefix"
	groupsClaim    = "oidc-groups-claim"
	groupsPrefix   = "oidc-groups-prefix"
	requiredClaim  = "oidc-required-claim"
	signingAlgs    = "oidc-signing-algs"
	caFile         = "oidc-ca-file"

	serviceAccountIssuer = "service-account-issuer"
	authenticationConfig = "authentication-config"

	oidcPrefix = "oidc-"
)

// Flag is one that a person can give instead of a manifest. The word in
// back quotes in its usage stands for its value.
type Flag struct{ Name, Usage string }

// AllFlags are the flags that a person can give.
func AllFlags() []Flag {
	return []Flag{
		{issuerURL, "`URL` of the issuer"},
		{clientID, "`ID` of the client, which tokens must have in aud"},
		{usernameClaim, "`claim` that is the username; sub if not given"},
		{usernamePrefix, "`prefix` of usernames, - for none; if not given, the issuer's URL and #, and none for the claim email"},
		{groupsClaim, "`claim` that is the groups; none if not given"},
		{groupsPrefix, "`prefix` of groups; none if not given"},
		{requiredClaim, "`claim=value` that tokens must have; repeat for more"},
		{signingAlgs, "`algorithms` that tokens may be signed with, separated by commas; RS256 if not given"},
		{caFile, "`file` with the CA of the issuer's certificate, PEM; the system's CAs if not given"},
		{serviceAccountIssuer, "`issuer` of the API server's own service-account tokens, for disallowedIssuers; repeat for more"},
	}
}

// Flags are the values that kube-apiserver's flags were given, in their order, by
// the flags' names without dashes.
type Flags map[string][]string

// Add adds the value that a flag was given.
func (f Flags) Add(name, value string) { f[name] = append(f[name], value) }

// last is the value of a flag that holds one: pflag forgets those before the last.
func (f Flags) last(name, absent string) string {
	if values := f[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return absent
}

// hasOIDC reports whether a flag of kube-apiserver's OIDC authenticator is given.
func (f Flags) hasOIDC() bool {
	for name := range f {
		if strings.HasPrefix(name, oidcPrefix) {
			return true
		}
	}
	return false
}

func (f Flags) equal(other Flags) bool { return maps.EqualFunc(f, other, slices.Equal) }

// algorithms reads --oidc-signing-algs as pflag.StringSlice does. An algorithm that
// is given twice is given once.
func (f Flags) algorithms() ([]string, error) {
	var all []string
	for _, value := range f[signingAlgs] {
		if value == "" {
			continue
		}
		names, err := csv.NewReader(strings.NewReader(value)).Read()
		if err != nil {
			return nil, fmt.Errorf("%q is no list separated by commas: %w", value, err)
		}
		for _, name := range names {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	if len(all) == 0 {
		return []string{"RS256"}, nil
	}
	return all, nil
}

// parse reads kube-apiserver's command line as pflag does, and keeps what says
// something here. It does not know which other flags are followed by a value. That
// is no matter unless such a value looks like a flag, or may turn out to be one.
func parse(words []string) (Flags, error) {
	flags := Flags{}
	for i := 0; i < len(words); i++ {
		if isReference(words[i]) {
			return nil, fmt.Errorf("%q: an environment variable of the container is a whole argument, and may be any flag as well as the value of the one before: write its value there in a copy of the manifest", words[i])
		}
		word, isFlag := strings.CutPrefix(words[i], "--")
		if !isFlag {
			continue
		}
		if word == "" {
			break
		}
		name, value, hasValue := strings.Cut(word, "=")
		name = strings.ReplaceAll(name, "_", "-") // As kube-apiserver does.
		if !known(name) {
			if strings.HasPrefix(name, oidcPrefix) {
				return nil, fmt.Errorf("%q: kube-apiserver has no such flag: correct or remove it", "--"+name)
			}
			continue
		}
		if !hasValue {
			if i++; i == len(words) {
				return nil, fmt.Errorf("--%s: its value is missing", name)
			}
			value = words[i]
		}
		if strings.Contains(value, "$(") || strings.Contains(value, "$$") {
			return nil, fmt.Errorf("--%s: %q refers to an environment variable of the container: write its value there in a copy of the manifest", name, value)
		}
		flags.Add(name, value)
	}
	return flags, nil
}

// isReference reports whether an environment variable of the container, $(NAME), says
// which flag an argument is.
func isReference(word string) bool {
	name, _, _ := strings.Cut(word, "=")
	return strings.HasPrefix(name, "$(") || strings.HasPrefix(name, "-") && strings.Contains(name, "$(")
}

func known(name string) bool {
	return name == authenticationConfig || slices.ContainsFunc(AllFlags(), func(flag Flag) bool { return flag.Name == name })
}
