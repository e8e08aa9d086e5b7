package config

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
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
		`claims.repository_visibility == "public"`:                        false,
		`has(claims.repository)`:                                          false,
		`claims.?repository.hasValue()`:                                   false,
		`claims[?"repository"].hasValue()`:                                false,
		`[{"repository": "a/b"}].all(claims, claims.repository == "a/b")`: false,
		`"repository" in claims`:                                          false,
		`claims.ref == "refs/heads/main"`:                                 false,
		`claims.sub.startsWith("repo:qjoly/")`:                            false,
		`claims.actor == "claims.repository"`:                             false,
		`claims.nested.repository == "a/b"`:                               false,
		`{"repository": "a/b"}.repository == "a/b"`:                       false,
		`claims["sub"] == "repository"`:                                   false,
		`claims.my_repository == "a/b"`:                                   false,
		`[{"repository": 1}].all(other, other.repository == 1)`:           false,
	} {
		rules := []apiserver.ClaimValidationRule{{Expression: expression}}
		if _, err := compiler.CompileClaimsExpression(&authenticationcel.ClaimValidationCondition{Expression: expression}); err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		if got := hasRuleOver(isRepositoryClaim, rules, compiler); got != want {
			t.Errorf("%s: got %t, want %t", expression, got, want)
		}
	}
	for claim, want := range map[string]bool{"repository": true, "repository_id": true, "repository_visibility": false, "ref": false, "": false, "my_repository": false} {
		rules := []apiserver.ClaimValidationRule{{Claim: "iss", RequiredValue: "a"}, {Claim: claim, RequiredValue: "b"}}
		if got := hasRuleOver(isRepositoryClaim, rules, compiler); got != want {
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

func TestWarningsOfManyRulesAreFew(t *testing.T) {
	var file strings.Builder
	file.WriteString(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: "https://token.actions.githubusercontent.com", audiences: [a]}
  claimMappings: {username: {claim: sub, prefix: "gh:"}}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: github}
spec:
  issuer: https://token.actions.githubusercontent.com
  githubActions:
    allow:
    - {repository: a/pinned, repositoryID: "1", events: [push]}
`)
	for i := range 10_000 {
		fmt.Fprintf(&file, "    - {repository: \"a%d/b\", workflows: [\"c%d/b/.github/workflows/x.yaml@refs/heads/main\"]}\n", i, i)
	}
	config, err := Parse("many.yaml", []byte(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	want := `many.yaml:15: document 2: spec.githubActions.allow[1]: pins neither repositoryID nor ownerID: after a rename or deletion whoever registers the name again comes in; GitHub's API gives the ids (also allow[2], allow[3], allow[4] and 9996 more)
many.yaml:15: document 2: spec.githubActions.allow[1]: does not say which events: it admits pull_request and pull_request_target, which can run what nobody has reviewed; give events, such as [push, workflow_dispatch] (also allow[2], allow[3], allow[4] and 9996 more)
many.yaml:15: document 2: spec.githubActions.allow[1].workflows[0]: is a workflow of an owner that no rule admits by name, and whoever may change it decides what runs: check its owner; where it is meant, pin a commit of it (also allow[2].workflows[0], allow[3].workflows[0], allow[4].workflows[0] and 9996 more)`
	if got := config.Warnings.Error(); got != want {
		t.Errorf("expected\n%s\ngot\n%s", want, got)
	}
}

func TestWhatAPatternSaysOfTheOwner(t *testing.T) {
	for pattern, want := range map[string]string{
		"": "", "qjoly/lucca": "qjoly", "qjoly/*": "qjoly", "qjoly/**": "qjoly", "my*/x": "my*", "my**": "my**", "my**org/x": "my**",
		"**/x": "**", "**x": "**", "***x/y": "**", "*": "*", "*/x": "*", "*x*/y": "*x*", "/x": "", "a*b**c/d": "a*b**",
	} {
		if got := ownerPart(pattern); got != want {
			t.Errorf("%q: expected %q, got %q", pattern, want, got)
		}
	}
}

func TestWorkflowsOfOthers(t *testing.T) {
	commit := strings.Repeat("0123456789", 4)
	for _, test := range []struct {
		name, repository, workflow string
		foreign                    bool
	}{
		{"of the owner", "octo/app", "octo/ci/.github/workflows/x.yaml@refs/heads/main", false},
		{"of the owner in other case", "Octo/app", "octo/ci/.github/workflows/x.yaml@refs/heads/main", false},
		{"of somebody else", "octo/app", "evil/ci/.github/workflows/x.yaml@refs/heads/main", true},
		{"of somebody else, a commit", "octo/app", "evil/ci/.github/workflows/x.yaml@" + commit, false},
		{"of somebody else, a branch that looks like the beginning of a commit", "octo/app", "evil/ci/.github/workflows/x.yaml@" + commit[:7], true},
		{"of somebody else, a branch that begins with a commit", "octo/app", "evil/ci/.github/workflows/x.yaml@" + commit + "0", true},
		{"of somebody else, any workflow of a commit", "octo/app", "evil/**@" + commit, true},
		{"of an owner who matches", "oct*/app", "octo/ci/.github/workflows/x.yaml@refs/heads/main", false},
		{"where any owner is admitted by an id", "*/app", "evil/ci/.github/workflows/x.yaml@refs/heads/main", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			rules := []v1alpha1.GitHubActionsRule{{Repository: test.repository, OwnerID: "1", Workflows: []string{test.workflow}}}
			if got := len(foreignWorkflows(rules, field.NewPath("allow"))) > 0; got != test.foreign {
				t.Errorf("expected %t, got %t", test.foreign, got)
			}
		})
	}
}
