// Package acceptance holds the acceptance cases: configurations as people
// published them, tokens of the kind their issuers sign, and for each token the
// user it must become or the reason it must be refused for. Tests, the
// demonstration and the run against a real API server share it; the product does
// not use it.
//
// The configurations are the files of manifests/examples. The claims are those of
// real tokens with their times moved; whoever uses them signs them with the key of
// a loopback issuer.
package acceptance

import (
	"time"

	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

// Case is one configuration with the tokens that were tried on it.
type Case struct {
	// Letter is the case's name in the acceptance list, with the variant where
	// there are several, such as "A" or "D-email".
	Letter string
	// Name is fit for a file name, such as "github-actions".
	Name string
	// Title is for people.
	Title string
	// Example is the configuration: a file name in manifests/examples.
	Example string
	// Issuer is the URL of the only issuer in that configuration; the key that
	// signs the tokens is this issuer's.
	Issuer string
	// Tokens are what is tried at the time now.
	Tokens func(now time.Time) []Token
}

// Token is one token to sign and the answer it must get: a user or a refusal.
type Token struct {
	// Name is fit for a file name and unique within the case, such as "accepted".
	Name string
	// Title is one clause for people.
	Title  string
	Claims issuertest.Claims
	// User is who the token proves, before the API server adds
	// system:authenticated. Nil when the token must be refused.
	User *user.DefaultInfo
	// Refusal is empty when the token must be accepted. Its Text is a fragment of
	// the text that must be given, or empty where any will do.
	Refusal reason.Refusal
}

// Accepted reports whether the token must be accepted.
func (t Token) Accepted() bool { return t.User != nil }

// Cases returns the acceptance cases in the order of their letters. Their
// configurations can be combined into one, see Configuration.
func Cases() []Case {
	return []Case{
		githubActions(),
		entraV2(),
		authentik(),
		pocketID(),
		pocketIDEmail(),
		otherCluster(),
		entraV1(),
		legacyServiceAccount(),
	}
}

// valid returns claims that were issued at the time given and live for lifetime.
func valid(claims issuertest.Claims, issued time.Time, lifetime time.Duration) issuertest.Claims {
	return claims.With(issuertest.Claims{
		"iat": issued.Unix(),
		"exp": issued.Add(lifetime).Unix(),
	})
}

// wrongAudience is a token of the right issuer, made out to somebody else.
func wrongAudience(claims issuertest.Claims) Token {
	return Token{
		Name:    "wrong-audience",
		Title:   "a token made out to another service",
		Claims:  claims.With(issuertest.Claims{"aud": "somebody-else"}),
		Refusal: reason.Refusal{Code: reason.AudienceMismatch},
	}
}

// expired expects claims that ran out in the past.
func expired(claims issuertest.Claims) Token {
	return Token{
		Name:    "expired",
		Title:   "yesterday's token",
		Claims:  claims,
		Refusal: reason.Refusal{Code: reason.Expired},
	}
}

// yesterday is long enough ago for every token of the cases to have run out.
func yesterday(now time.Time) time.Time { return now.Add(-24 * time.Hour) }
