package acceptance

import (
	"time"

	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

// pocketIDClaims has a sub that looks like a UUID and is none: nothing may
// require one.
func pocketIDClaims(issuer string, issued time.Time) issuertest.Claims {
	return valid(issuertest.Claims{
		"aud":            "a60960a8-c856-43b7-add7-50d83bf7eeab",
		"email":          "username@domain.com",
		"email_verified": true,
		"groups":         []string{"kubernetes"},
		"iss":            issuer,
		"sub":            "643c3fba-370a-4738-92a6-9ergec96cd99",
	}, issued, time.Hour)
}

func pocketID() Case {
	const issuer = "https://pocket-id.example.com"
	person := &user.DefaultInfo{
		Name:   "643c3fba-370a-4738-92a6-9ergec96cd99",
		Groups: []string{"oidc:kubernetes"},
	}
	return Case{
		Letter:  "D-sub",
		Name:    "pocket-id",
		Title:   "Pocket ID on Talos, subjects as usernames",
		Example: "pocket-id.yaml",
		Issuer:  issuer,
		Tokens: func(now time.Time) []Token {
			claims := pocketIDClaims(issuer, now)
			return []Token{{
				Name:   "accepted",
				Title:  "a person, by subject",
				Claims: claims,
				User:   person,
			}, {
				Name:   "unverified-email",
				Title:  "an unverified address, which nobody asked for",
				Claims: claims.With(issuertest.Claims{"email_verified": false}),
				User:   person,
			}, wrongAudience(claims), expired(pocketIDClaims(issuer, yesterday(now)))}
		},
	}
}

// pocketIDEmail has an issuer of its own, so that both variants can live in one
// configuration.
func pocketIDEmail() Case {
	const issuer = "https://pocket-id.example.org"
	return Case{
		Letter:  "D-email",
		Name:    "pocket-id-email",
		Title:   "Pocket ID on Talos, e-mail addresses as usernames",
		Example: "pocket-id-email.yaml",
		Issuer:  issuer,
		Tokens: func(now time.Time) []Token {
			claims := pocketIDClaims(issuer, now)
			return []Token{{
				Name:   "accepted",
				Title:  "a person, by verified address",
				Claims: claims,
				User:   &user.DefaultInfo{Name: "username@domain.com", Groups: []string{"oidc:kubernetes"}},
			}, {
				Name:    "unverified-email",
				Title:   "a person whose address is not verified",
				Claims:  claims.With(issuertest.Claims{"email_verified": false}),
				Refusal: reason.Refusal{Code: reason.EmailNotVerified, Text: "not verified"},
			}, wrongAudience(claims), expired(pocketIDClaims(issuer, yesterday(now)))}
		},
	}
}
