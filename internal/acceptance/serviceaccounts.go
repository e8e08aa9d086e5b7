package acceptance

import (
	"time"

	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

const clusterIssuer = "https://kubernetes.default.svc.cluster.local"

func otherCluster() Case {
	const accountUID = "7c56382f-440d-44bb-8534-07c23eeb015b"
	claims := func(issued time.Time) issuertest.Claims {
		return valid(issuertest.Claims{
			"aud": []string{"test"},
			"iss": clusterIssuer,
			"kubernetes.io": map[string]any{
				"namespace":      "default",
				"pod":            map[string]any{"name": "jump", "uid": "a9fa65f0-0601-43aa-bc31-c1926682e08d"},
				"serviceaccount": map[string]any{"name": "default", "uid": accountUID},
			},
			"nbf": issued.Unix(),
			"sub": "system:serviceaccount:default:default",
		}, issued, time.Hour)
	}
	return Case{
		Letter:  "E",
		Name:    "other-cluster",
		Title:   "Service accounts of another cluster",
		Example: "other-cluster.yaml",
		Issuer:  clusterIssuer,
		Tokens: func(now time.Time) []Token {
			return []Token{{
				Name:   "accepted",
				Title:  "the projected token of a pod",
				Claims: claims(now),
				User: &user.DefaultInfo{
					Name:   "build:system:serviceaccount:default:default",
					UID:    accountUID,
					Groups: []string{"build:system:serviceaccounts", "build:system:serviceaccounts:default"},
				},
			}, wrongAudience(claims(now)), expired(claims(yesterday(now)))}
		},
	}
}

// legacyServiceAccount has nothing that is ever accepted. Its token is tried on the
// configuration that comes closest, one that trusts service accounts, and signed by
// the key trusted there.
func legacyServiceAccount() Case {
	return Case{
		Letter:  "G",
		Name:    "legacy-service-account",
		Title:   "Legacy service-account secret token",
		Example: "other-cluster.yaml",
		Issuer:  clusterIssuer,
		Tokens: func(time.Time) []Token {
			return []Token{{
				Name:  "never-accepted",
				Title: "a token from a Secret: no expiry, no audience",
				Claims: issuertest.Claims{
					"iss":                                    "kubernetes/serviceaccount",
					"kubernetes.io/serviceaccount/namespace": "droits",
					"kubernetes.io/serviceaccount/secret.name":          "platform-token-x7k2p",
					"kubernetes.io/serviceaccount/service-account.name": "platform",
					"kubernetes.io/serviceaccount/service-account.uid":  "0f6b8c53-8d5b-4f0c-9a2e-2a1f3c1b7d10",
					"sub": "system:serviceaccount:droits:platform",
				},
				Refusal: reason.Refusal{Code: reason.IssuerUnknown},
			}}
		},
	}
}
