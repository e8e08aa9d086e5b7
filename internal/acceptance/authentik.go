package acceptance

import (
	"time"

	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

func authentik() Case {
	const (
		issuer  = "https://goauthentik.une-tasse-de.cafe/application/o/k8s-lucca-poc/"
		subject = "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea"
	)
	claims := func(issued time.Time) issuertest.Claims {
		return valid(issuertest.Claims{
			"aud":            "mon-client-id-sur-goauthentik",
			"email":          "ada@example.com",
			"email_verified": true,
			"groups":         []string{"authentik Admins", "Tech", "Omni"},
			"iss":            issuer,
			"sub":            subject,
		}, issued, 5*time.Minute)
	}
	return Case{
		Letter:  "C",
		Name:    "authentik",
		Title:   "Authentik",
		Example: "authentik.yaml",
		Issuer:  issuer,
		Tokens: func(now time.Time) []Token {
			return []Token{{
				Name:   "accepted",
				Title:  "a person whose address is verified",
				Claims: claims(now),
				User: &user.DefaultInfo{
					Name:   "ada@example.com:authentik",
					UID:    subject,
					Groups: []string{"authentik Admins", "Tech", "Omni"},
				},
			}, {
				Name:    "unverified-email",
				Title:   "a person whose address is not verified",
				Claims:  claims(now).With(issuertest.Claims{"email_verified": false}),
				Refusal: reason.Refusal{Code: reason.ClaimRuleFailed, Text: "email must be verified"},
			}, {
				Name:   "reserved-group",
				Title:  "a person in a group that Authentik calls system:masters",
				Claims: claims(now).With(issuertest.Claims{"groups": []string{"Tech", "system:masters"}}),
				Refusal: reason.Refusal{
					Code: reason.UserRuleFailed,
					Text: "groups cannot use the reserved system prefix",
				},
			}, {
				Name:   "reserved-username",
				Title:  "a person whose address begins with system:",
				Claims: claims(now).With(issuertest.Claims{"email": "system:admin"}),
				Refusal: reason.Refusal{
					Code: reason.UserRuleFailed,
					Text: "username cannot use the reserved system prefix",
				},
			}, wrongAudience(claims(now)), expired(claims(yesterday(now)))}
		},
	}
}
