package e2e

import (
	"maps"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/internal/issuertest"
)

// audience is that of the configurations made here. The acceptance cases have
// their own.
const audience = "e2e"

type object = map[string]any

// startIssuer runs an issuer for the test. It signs with ES256, which is quick.
func startIssuer(t *testing.T) *issuertest.Issuer {
	t.Helper()
	issuer := issuertest.Start("")
	t.Cleanup(issuer.Close)
	issuer.Rotate(jwa.ES256)
	return issuer
}

// authentication is an AuthenticationConfiguration.
func authentication(issuers ...object) object {
	return object{
		"apiVersion": "apiserver.config.k8s.io/v1",
		"kind":       "AuthenticationConfiguration",
		"jwt":        issuers,
	}
}

// trust is a jwt entry that makes a user of an issuer's sub.
func trust(issuer *issuertest.Issuer, usernamePrefix string) object {
	return object{
		"issuer": object{
			"url":                  issuer.URL,
			"certificateAuthority": issuer.CertificateAuthority(),
			"audiences":            []string{audience},
		},
		"claimMappings": object{
			"username": object{"claim": "sub", "prefix": usernamePrefix},
		},
	}
}

// with adds a claim validation rule to a jwt entry.
func with(entry, rule object) object {
	entry = maps.Clone(entry)
	entry["claimValidationRules"] = []object{rule}
	return entry
}
