package acceptance

import (
	"time"

	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

const (
	entraTenant = "de5169f1-9a13-45fe-a4cf-07feee258b7f"
	// entraAdministrators is the group that case B binds to cluster-admin.
	entraAdministrators = "921b8d0f-a256-4a59-8baa-65c90ec581ac"
)

func entraV2() Case {
	const (
		issuer     = "https://login.microsoftonline.com/" + entraTenant + "/v2.0"
		homeTenant = "64f198b3-0634-4e71-a62f-0fb6cae8acef"
	)
	groups := []string{
		"4b9bfba3-ee95-4166-97ae-903e8a2443dd",
		"78164079-1a5a-472f-99fa-cacd22c949da",
		"5d27edea-60ae-4abd-8adc-c2928358cb3d",
		entraAdministrators,
		"c23b7510-9d24-4c94-882c-2afff5be1562",
		"f5b6f70c-d68a-44b8-b148-65db825e9f91",
	}
	claims := func(issued time.Time, groups []string) issuertest.Claims {
		return valid(issuertest.Claims{
			"aud":    "d2186464-6db9-4750-9883-6bb44cb64004",
			"email":  "philippe.durand@cheops.fr",
			"groups": groups,
			"idp":    "https://sts.windows.net/" + homeTenant + "/",
			"iss":    issuer,
			"tid":    entraTenant,
			"ver":    "2.0",
		}, issued, 65*time.Minute)
	}
	with := func(groups []string) *user.DefaultInfo {
		return &user.DefaultInfo{Name: "entra:philippe.durand@cheops.fr", Groups: prefixed("entra:", groups)}
	}
	var withoutAdministrators []string
	for _, group := range groups {
		if group != entraAdministrators {
			withoutAdministrators = append(withoutAdministrators, group)
		}
	}
	return Case{
		Letter:  "B",
		Name:    "entra-v2",
		Title:   "Entra ID v2 on Talos",
		Example: "entra-v2.yaml",
		Issuer:  issuer,
		Tokens: func(now time.Time) []Token {
			return []Token{{
				Name:   "accepted",
				Title:  "a guest of the tenant, in six groups",
				Claims: claims(now, groups),
				User:   with(groups),
			}, {
				Name:   "not-administrator",
				Title:  "the same guest, no longer in the administrators' group",
				Claims: claims(now, withoutAdministrators),
				User:   with(withoutAdministrators),
			}, {
				Name:  "other-tenant",
				Title: "a token of the guest's home tenant",
				Claims: claims(now, groups).With(issuertest.Claims{
					"iss": "https://login.microsoftonline.com/" + homeTenant + "/v2.0",
					"tid": homeTenant,
				}),
				Refusal: reason.Refusal{Code: reason.IssuerUnknown},
			}, wrongAudience(claims(now, groups)), expired(claims(yesterday(now), groups))}
		},
	}
}

// entraV1 has the two applications of the case; its tenant and its user are those
// of case B, because the case names none.
func entraV1() Case {
	const (
		issuer   = "https://sts.windows.net/" + entraTenant + "/"
		server   = "6dae42f8-4368-4678-94ff-3960e28e3630"
		client   = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"
		objectID = "0c6b2e4e-53c5-4f0a-9d5e-6a1f3f6f8f0b"
	)
	claims := func(issued time.Time) issuertest.Claims {
		return valid(issuertest.Claims{
			"acr":      "1",
			"amr":      []string{"pwd", "mfa"},
			"appid":    client,
			"appidacr": "0",
			"aud":      server,
			"groups":   []string{entraAdministrators},
			"iss":      issuer,
			"name":     "Philippe Durand",
			"nbf":      issued.Unix(),
			"oid":      objectID,
			"scp":      "user.read",
			"sub":      "PZ9AiU1CTyEVbKGkPDfk2D2lTdkWmB4wYhVnDg1kqKk",
			"tid":      entraTenant,
			"upn":      "philippe.durand@cheops.fr",
			"uti":      "Zr0c0kq3Z0aVb1mPo1sKAA",
			"ver":      "1.0",
		}, issued, 75*time.Minute)
	}
	person := &user.DefaultInfo{
		Name:   "entra:" + objectID,
		UID:    objectID,
		Groups: prefixed("entra:", []string{entraAdministrators}),
		Extra:  map[string][]string{"login.microsoftonline.com/upn": {"philippe.durand@cheops.fr"}},
	}
	return Case{
		Letter:  "F",
		Name:    "entra-v1",
		Title:   "Entra ID v1 as on AKS",
		Example: "entra-v1.yaml",
		Issuer:  issuer,
		Tokens: func(now time.Time) []Token {
			return []Token{{
				Name:   "accepted",
				Title:  "a person, through the client application",
				Claims: claims(now),
				User:   person,
			}, {
				Name:   "audience-spn",
				Title:  "the same, with the audience spelled as a service principal name",
				Claims: claims(now).With(issuertest.Claims{"aud": "spn:" + server}),
				User:   person,
			}, {
				Name:    "other-client",
				Title:   "a token that another application of the tenant obtained",
				Claims:  claims(now).With(issuertest.Claims{"appid": "1950a258-227b-4e31-a9cf-717495945fc2"}),
				Refusal: reason.Refusal{Code: reason.ClaimRuleFailed, Text: "appid"},
			}, {
				Name:    "not-yet-valid",
				Title:   "a token that becomes valid in ten minutes",
				Claims:  claims(now).With(issuertest.Claims{"nbf": now.Add(10 * time.Minute).Unix()}),
				Refusal: reason.Refusal{Code: reason.NotYetValid},
			}, wrongAudience(claims(now)), expired(claims(yesterday(now)))}
		},
	}
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, 0, len(names))
	for _, name := range names {
		out = append(out, prefix+name)
	}
	return out
}
