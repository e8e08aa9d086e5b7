package config

import (
	"testing"

	"k8s.io/apiserver/pkg/apis/apiserver"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
)

func TestRuleOverTheRepository(t *testing.T) {
	compiler := authenticationcel.NewDefaultCompiler()
	for expression, want := range map[string]bool{
		`claims.repository == "qjoly/lucca-oidc-poc"`:                           true,
		`claims.repository in ["a/b", "c/d"]`:                                   true,
		`["1020257999"].exists(id, claims.repository_id == id)`:                 true,
		`claims["repository_owner"] == "qjoly"`:                                 true,
		`claims.?repository.orValue("") == "qjoly/lucca-oidc-poc"`:              true,
		`claims[?"repository"].orValue("") == "qjoly/lucca-oidc-poc"`:           true,
		`has(claims.repository) && claims.repository.startsWith("qjoly/")`:      true,
		`{"a": claims.repository_owner_id}["a"] == "82603435"`:                  true,
		`claims.ref == "refs/heads/main" || claims.repository_owner == "qjoly"`: true,
		// None of these is about the repository.
		`claims.repository_visibility == "public"`:              false,
		`has(claims.repository)`:                                false,
		`"repository" in claims`:                                false,
		`claims.ref == "refs/heads/main"`:                       false,
		`claims.sub.startsWith("repo:qjoly/")`:                  false,
		`claims.actor == "claims.repository"`:                   false,
		`claims.nested.repository == "a/b"`:                     false,
		`{"repository": "a/b"}.repository == "a/b"`:             false,
		`claims["sub"] == "repository"`:                         false,
		`claims.my_repository == "a/b"`:                         false,
		`[{"repository": 1}].all(other, other.repository == 1)`: false,
	} {
		rules := []apiserver.ClaimValidationRule{{Expression: expression}}
		if _, err := compiler.CompileClaimsExpression(&authenticationcel.ClaimValidationCondition{Expression: expression}); err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		if got := hasRepositoryRule(rules, compiler); got != want {
			t.Errorf("%s: got %t, want %t", expression, got, want)
		}
	}
	for claim, want := range map[string]bool{"repository": true, "repository_id": true, "repository_visibility": false, "ref": false, "": false, "my_repository": false} {
		rules := []apiserver.ClaimValidationRule{{Claim: "iss", RequiredValue: "a"}, {Claim: claim, RequiredValue: "b"}}
		if got := hasRepositoryRule(rules, compiler); got != want {
			t.Errorf("claim %q: got %t, want %t", claim, got, want)
		}
	}
}

func TestIssuersThatAreGitHubActions(t *testing.T) {
	for issuer, want := range map[string]bool{
		"https://token.actions.githubusercontent.com":                  true,
		"https://token.actions.githubusercontent.com/octo-corp":        true,
		"https://TOKEN.actions.githubusercontent.com:443":              true,
		"https://github.example.com/_services/token":                   true,
		"https://127.0.0.1:8443/_services/token/":                      true,
		"https://token.actions.octo.ghe.com":                           true,
		"https://octo.ghe.com":                                         false,
		"https://token.actions.ghe.com.example.com":                    false,
		"https://token.actions.githubusercontent.com.example.com":      false,
		"https://idp.example.com/?token.actions.githubusercontent.com": false,
		"https://github.example.com/_services/tokens":                  false,
		"https://gitlab.com":                                           false,
		"https://[":                                                    false,
	} {
		if got := isGitHubActions(issuer); got != want {
			t.Errorf("%s: got %t, want %t", issuer, got, want)
		}
	}
}
