package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/apis/apiserver"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/trace"
)

func TestTheTraceSaysWhatAPolicyCompared(t *testing.T) {
	mapped := func(mappings apiserver.ClaimMappings) apiserver.JWTAuthenticator {
		authenticator := plainly("sub", "groups")
		if mappings.Username.Claim != "" || mappings.Username.Expression != "" {
			authenticator.ClaimMappings.Username = mappings.Username
		}
		authenticator.ClaimMappings.UID = mappings.UID
		if mappings.Groups.Expression != "" {
			authenticator.ClaimMappings.Groups = mappings.Groups
		}
		return authenticator
	}
	ruled := func(rules []apiserver.ClaimValidationRule, userRules ...apiserver.UserValidationRule) apiserver.JWTAuthenticator {
		authenticator := plainly("sub", "groups")
		authenticator.ClaimValidationRules, authenticator.UserValidationRules = rules, userRules
		return authenticator
	}
	entra := func(spec v1alpha1.Entra) policy.Config {
		return policy.Config{EntraTenant: tenant, Policy: v1alpha1.IssuerPolicySpec{Entra: &spec}}
	}
	plain := policy.Config{Authenticator: plainly("sub", "groups")}
	for _, test := range []struct {
		name          string
		config        policy.Config
		claims        string // beside sub and email
		check, detail string
	}{
		{"a username with a prefix", plain, ``, "username", `"u:jane" from the claim "sub" with the prefix "u:"`},
		{"a username without", policy.Config{Authenticator: mapped(apiserver.ClaimMappings{Username: apiserver.PrefixedClaimOrExpression{Claim: "sub", Prefix: text("")}})}, ``,
			"username", `"jane" from the claim "sub"`},
		{"a username by an expression", policy.Config{Authenticator: mapped(apiserver.ClaimMappings{Username: apiserver.PrefixedClaimOrExpression{Expression: `"x:" + claims.sub`}})}, ``,
			"username", `"x:jane" from the expression "\"x:\" + claims.sub"`},
		{"an email that is verified", policy.Config{Authenticator: plainly("email", "")}, `,"email_verified":true`,
			"username", `"u:j@e.example" from the claim "email" with the prefix "u:", email_verified is true`},
		{"an email of which nothing is said", policy.Config{Authenticator: plainly("email", "")}, ``,
			"username", `"u:j@e.example" from the claim "email" with the prefix "u:", the token does not say whether the email is verified: it has no claim "email_verified"`},
		{"groups", plain, `,"groups":["a","b"]`, "groups", `["a" "b"] from the claim "groups"`},
		{"a token without the claim", plain, ``, "groups", `(the token has no claim "groups")`},
		{"no mapping", policy.Config{Authenticator: plainly("sub", "")}, ``, "groups", "(not mapped)"},
		{"groups by an expression", policy.Config{Authenticator: mapped(apiserver.ClaimMappings{Groups: apiserver.PrefixedClaimOrExpression{Expression: `["a", string(claims.sub)]`}})}, ``,
			"groups", `["a" "jane"] from the expression "[\"a\", string(claims.sub)]"`},
		{"no uid", plain, ``, "uid", "(not mapped)"},
		{"a uid", policy.Config{Authenticator: mapped(apiserver.ClaimMappings{UID: apiserver.ClaimOrExpression{Claim: "sub"}})}, ``, "uid", `"jane" from the claim "sub"`},
		{"a uid by an expression", policy.Config{Authenticator: mapped(apiserver.ClaimMappings{UID: apiserver.ClaimOrExpression{Expression: "claims.sub"}})}, ``,
			"uid", `"jane" from the expression "claims.sub"`},

		{"no rules", plain, ``, "required claims", ""},
		{"claims with a required value", policy.Config{Authenticator: ruled([]apiserver.ClaimValidationRule{{Claim: "hd", RequiredValue: "x"}, {Claim: "sub", RequiredValue: "jane"}})}, `,"hd":"x"`,
			"required claims", `claim "hd" is "x", claim "sub" is "jane"`},
		{"no expressions", plain, ``, "claimValidationRules", ""},
		{"rules for claims", policy.Config{Authenticator: ruled([]apiserver.ClaimValidationRule{{Expression: `claims.sub == "jane"`}, {Expression: "true"}})}, ``,
			"claimValidationRules", `held: ["claims.sub == \"jane\"" "true"]`},
		{"rules for users", policy.Config{Authenticator: ruled(nil, apiserver.UserValidationRule{Expression: `user.username != ""`})}, ``,
			"userValidationRules", `held: ["user.username != \"\""]`},
		{"reserved names", plain, `,"groups":["a"]`, "reservedNames", `neither the username nor any of the groups (1) begins with "system:"`},
		{"reserved names that are allowed", policy.Config{Policy: v1alpha1.IssuerPolicySpec{ReservedNames: v1alpha1.ReservedNamesAllow}}, ``, "reservedNames", "reservedNames is Allow"},

		{"the email must be verified", policy.Config{Policy: v1alpha1.IssuerPolicySpec{EmailVerified: v1alpha1.EmailVerifiedRequired}}, `,"email_verified":true`,
			"emailVerified", "email_verified is true"},
		{"as Entra spells it", policy.Config{Policy: v1alpha1.IssuerPolicySpec{EmailVerified: v1alpha1.EmailVerifiedRequired, EmailVerifiedClaim: "xms_edov"}}, `,"xms_edov":"1"`,
			"emailVerified", `xms_edov is "1"`},
		{"nothing needs to be said of the email", policy.Config{Policy: v1alpha1.IssuerPolicySpec{EmailVerifiedClaim: "xms_edov"}}, ``,
			"emailVerified", `the token does not say whether the email is verified: it has no claim "xms_edov"`},

		{"a tenant that is listed", entra(v1alpha1.Entra{TenantIDs: []string{tenant, client}}), `,"tid":"` + tenant + `"`,
			"entra.tenantIDs", "tid " + tenant + " is the tenant of iss and one of 2 entra.tenantIDs"},
		{"no tid", entra(v1alpha1.Entra{}), ``, "entra.tenantIDs", "no tid; iss is the tenant " + tenant},
		{"any client", entra(v1alpha1.Entra{}), ``, "entra.clientIDs", "there are no entra.clientIDs: any client"},
		{"a user", entra(v1alpha1.Entra{}), ``, "entra.appOnlyTokens", "a user: nothing in the token says that it is an application"},
		{"a user by idtyp", entra(v1alpha1.Entra{}), `,"idtyp":"user"`, "entra.appOnlyTokens", `a user: idtyp is "user"`},
		{"groups that fit into the token", entra(v1alpha1.Entra{}), `,"groups":["a"]`, "entra.groupOverage", "the token leaves out no groups"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := decide(t, compiled(t, test.config), `{"sub":"jane","email":"j@e.example"`+test.claims+`}`)
			got.expect(t, "", "")
			if want := (trace.Step{Check: test.check, Outcome: trace.Passed, Detail: test.detail}); got.step(test.check) != want {
				t.Errorf("expected %+v, got %+v", want, got.step(test.check))
			}
		})
	}
}

func TestTheTraceIsShort(t *testing.T) {
	long := strings.Repeat("x", 5000)
	authenticator := plainly("sub", "groups")
	authenticator.ClaimMappings.UID.Claim = "sub"
	for i := range 50 {
		authenticator.ClaimValidationRules = append(authenticator.ClaimValidationRules,
			apiserver.ClaimValidationRule{Claim: fmt.Sprint("c", i), RequiredValue: long}, apiserver.ClaimValidationRule{Expression: fmt.Sprintf("%d == %d || claims.sub == %q", i, i, long)})
	}
	payload := `{"sub":"` + long + `","groups":["` + strings.Repeat(long+`","`, 50) + `"]`
	for i := range 50 {
		payload += fmt.Sprintf(`,"c%d":%q`, i, long)
	}
	got := decide(t, compiled(t, policy.Config{Authenticator: authenticator}), payload+"}")
	got.expect(t, "", "")
	for _, step := range got.steps {
		if len(step.Detail) > 10000 {
			t.Errorf("%s: %d bytes: %.300s", step.Check, len(step.Detail), step.Detail)
		}
	}
	if more := " and 30 more"; !strings.Contains(got.step("required claims").Detail, more) || !strings.Contains(got.step("claimValidationRules").Detail, more) {
		t.Errorf("expected the rules that are not shown to be counted, got %+v", got.steps)
	}
}
