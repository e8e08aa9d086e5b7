package policy_test

import (
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/reason"
)

func TestNamesWithControlCharactersAreRefused(t *testing.T) {
	byClaim := apiserver.ClaimMappings{
		Username: apiserver.PrefixedClaimOrExpression{Claim: "sub", Prefix: text("")},
		Groups:   apiserver.PrefixedClaimOrExpression{Claim: "groups", Prefix: text("")},
		UID:      apiserver.ClaimOrExpression{Claim: "id"},
	}
	byExpression := apiserver.ClaimMappings{
		Username: apiserver.PrefixedClaimOrExpression{Expression: "claims.sub"},
		Groups:   apiserver.PrefixedClaimOrExpression{Expression: "claims.groups"},
		UID:      apiserver.ClaimOrExpression{Expression: "claims.id"},
	}
	for name, mappings := range map[string]apiserver.ClaimMappings{"by claim": byClaim, "by expression": byExpression} {
		authenticator := apiserver.JWTAuthenticator{Issuer: apiserver.Issuer{URL: "https://issuer.example", Audiences: []string{"a"}}, ClaimMappings: mappings}
		expressions, errs := validation.CompileAndValidateJWTAuthenticator(authenticationcel.NewDefaultCompiler(), authenticator, nil)
		if len(errs) > 0 {
			t.Fatal(errs.ToAggregate())
		}
		decides := policy.New(policy.Config{Authenticator: authenticator, Expressions: expressions})
		for _, test := range []struct{ name, claims, text string }{
			{"a zero byte in the username", `{"sub":"jane\u0000","groups":[],"id":"1"}`, `claimMappings.username: "jane\x00" holds a control character`},
			{"a line break in the username", `{"sub":"jane\nroot","groups":[],"id":"1"}`, `claimMappings.username: "jane\nroot" holds`},
			{"what clears a terminal in a group", `{"sub":"jane","groups":["a","\u001b[2J"],"id":"1"}`, `claimMappings.groups: "\x1b[2J" holds`},
			{"a control character beyond ASCII in a group", `{"sub":"jane","groups":["a\u0085"],"id":"1"}`, `claimMappings.groups: "a\u0085" holds`},
			{"a tabulator in the uid", `{"sub":"jane","groups":[],"id":"1\t"}`, `claimMappings.uid: "1\t" holds`},
			{"what deletes, the last character of ASCII", `{"sub":"jane","groups":[],"id":"1\u007f"}`, `claimMappings.uid: "1\x7f" holds`},
			{"a control character after letters of any script", `{"sub":"José\u0007","groups":[],"id":"1"}`, `claimMappings.username: "José\a" holds`},
			{"letters, signs and spaces of any script", `{"sub":"José \u2603 名","groups":["a b/c:d","~"],"id":"1"}`, ""},
		} {
			t.Run(name+", "+test.name, func(t *testing.T) {
				decision, err := decides.Decide(t.Context(), policy.Request{Claims: newClaims(t, test.claims)}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if test.text == "" {
					if decision.User == nil {
						t.Errorf("expected a user, got %q", decision.Refusal)
					}
					return
				}
				if decision.User != nil || decision.Refusal.Code != reason.MappingFailed || !strings.Contains(decision.Refusal.Text, test.text) {
					t.Errorf("expected MappingFailed with %q, got %q", test.text, decision.Refusal)
				}
			})
		}
	}
}
