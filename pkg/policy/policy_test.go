package policy_test

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

// That mappings and rules mean what they mean to kube-apiserver is tested where
// both can be given the same token, in package tokenreview.

func text(s string) *string { return &s }

// authenticator maps sub and groups, and has a rule of each kind.
func authenticator() apiserver.JWTAuthenticator {
	return apiserver.JWTAuthenticator{
		Issuer: apiserver.Issuer{URL: "https://issuer.example", Audiences: []string{"a"}},
		ClaimMappings: apiserver.ClaimMappings{
			Username: apiserver.PrefixedClaimOrExpression{Claim: "sub", Prefix: text("")},
			Groups:   apiserver.PrefixedClaimOrExpression{Expression: "has(claims.groups) ? claims.groups : []"},
		},
		ClaimValidationRules: []apiserver.ClaimValidationRule{
			{Claim: "hd", RequiredValue: "example.com"},
			{Expression: "claims.ok == true", Message: "must be ok"},
		},
		UserValidationRules: []apiserver.UserValidationRule{{Expression: "user.username != 'nobody'", Message: "must be somebody"}},
	}
}

func newPolicy(t *testing.T, allowReservedNames bool) *policy.Policy {
	t.Helper()
	config := policy.Config{Authenticator: authenticator()}
	if allowReservedNames {
		config.Policy.ReservedNames = v1alpha1.ReservedNamesAllow
	}
	expressions, errs := validation.CompileAndValidateJWTAuthenticator(authenticationcel.NewDefaultCompiler(), config.Authenticator, nil)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	config.Expressions = expressions
	return policy.New(config)
}

func newClaims(t *testing.T, payload string) *issuers.Claims {
	t.Helper()
	claims, err := issuers.NewClaims([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestDecide(t *testing.T) {
	strict, lenient := newPolicy(t, false), newPolicy(t, true)
	for _, test := range []struct {
		name   string
		policy *policy.Policy
		claims string
		user   *user.DefaultInfo
		code   reason.Code
		checks string // as the trace has them
	}{
		{"a user", strict, `{"sub":"jane","groups":["a"],"hd":"example.com","ok":true}`, &user.DefaultInfo{Name: "jane", Groups: []string{"a"}}, "",
			"username groups uid extra required claims claimValidationRules userValidationRules reservedNames"},
		{"the first check that fails ends it", strict, `{"sub":"nobody","groups":5}`, nil, reason.MappingFailed, "username groups!"},
		{"a claim that is required", strict, `{"sub":"jane","ok":true}`, nil, reason.ClaimRuleFailed, "username groups uid extra required claims!"},
		{"a claim rule", strict, `{"sub":"jane","hd":"example.com","ok":false}`, nil, reason.ClaimRuleFailed, "username groups uid extra required claims claimValidationRules!"},
		{"a user rule", strict, `{"sub":"nobody","hd":"example.com","ok":true}`, nil, reason.UserRuleFailed, "username groups uid extra required claims claimValidationRules userValidationRules!"},
		{"a reserved username", strict, `{"sub":"system:admin","hd":"example.com","ok":true}`, nil, reason.ReservedName, "username groups uid extra required claims claimValidationRules userValidationRules reservedNames!"},
		{"a reserved group", strict, `{"sub":"jane","groups":["a","system:masters"],"hd":"example.com","ok":true}`, nil, reason.ReservedName, "username groups uid extra required claims claimValidationRules userValidationRules reservedNames!"},
		{"a name that only looks reserved", strict, `{"sub":"systemd","groups":["System:masters"],"hd":"example.com","ok":true}`, &user.DefaultInfo{Name: "systemd", Groups: []string{"System:masters"}}, "",
			"username groups uid extra required claims claimValidationRules userValidationRules reservedNames"},
		{"reserved names where they are allowed", lenient, `{"sub":"system:admin","groups":["system:masters"],"hd":"example.com","ok":true}`, &user.DefaultInfo{Name: "system:admin", Groups: []string{"system:masters"}}, "",
			"username groups uid extra required claims claimValidationRules userValidationRules reservedNames"},
	} {
		t.Run(test.name, func(t *testing.T) {
			claims := newClaims(t, test.claims)
			steps := &trace.Trace{}
			decision, err := test.policy.Decide(t.Context(), policy.Request{Claims: claims}, steps)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.user, decision.User); diff != "" || decision.Refusal.Code != test.code {
				t.Errorf("expected code %q, got %q; expected -, got +:\n%s", test.code, decision.Refusal, diff)
			}
			var checks []string
			for _, step := range steps.Steps() {
				name := step.Check
				if step.Outcome == trace.Failed {
					name += "!"
					if step.Detail != decision.Refusal.Text {
						t.Errorf("expected the failed step to say why, got %q", step.Detail)
					}
				}
				checks = append(checks, name)
			}
			if got := strings.Join(checks, " "); got != test.checks {
				t.Errorf("expected the checks %q, got %q", test.checks, got)
			}
			if untraced, err := test.policy.Decide(t.Context(), policy.Request{Claims: claims}, nil); err != nil || untraced.Refusal != decision.Refusal {
				t.Errorf("expected the same without a trace, got %q", untraced.Refusal)
			}
		})
	}
}

// An expression's error may quote the claim that it failed on, and goes into the API
// server's log.
func TestRefusalsRepeatABoundedPartOfAnExpressionsError(t *testing.T) {
	const lookup = "{'a': 'b'}[claims.x]"
	mapping, claimRule, userRule := plainly("sub", "groups"), plainly("sub", "groups"), plainly("sub", "groups")
	mapping.ClaimMappings.UID = apiserver.ClaimOrExpression{Expression: lookup}
	claimRule.ClaimValidationRules = []apiserver.ClaimValidationRule{{Expression: lookup + " == 'b'"}}
	userRule.UserValidationRules = []apiserver.UserValidationRule{{Expression: "{'a': 'b'}[user.username] == 'b'"}}
	for _, test := range []struct {
		name          string
		authenticator apiserver.JWTAuthenticator
		code          reason.Code
		begin         string
	}{
		{"of a mapping", mapping, reason.MappingFailed, "claimMappings.uid: expression '" + lookup + "' resulted in error: no such key: éé"},
		{"of a claim rule", claimRule, reason.ClaimRuleFailed, "expression '" + lookup + " == 'b''"},
		{"of a user rule", userRule, reason.UserRuleFailed, "expression '{'a': 'b'}[user.username]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			long := strings.Repeat("é", 30_000)
			got := decide(t, compiled(t, policy.Config{Authenticator: test.authenticator}), `{"sub":"`+long+`","x":"`+long+`"}`)
			got.expect(t, test.code, " ... é")
			if text := got.Refusal.Text; len(text) > 1100 || !strings.HasPrefix(text, test.begin) || !utf8.ValidString(text) {
				t.Errorf("expected at most 1100 bytes of UTF-8 that begin with %q, got %d: %.300s", test.begin, len(text), text)
			}
		})
	}
}

// The policy's own checks come first, the cheap ones before the others, and the
// question to another cluster comes last. Their names are what an explanation shows.
func TestTheOrderOfChecks(t *testing.T) {
	hour := &metav1.Duration{Duration: time.Hour}
	verified := v1alpha1.IssuerPolicySpec{Token: v1alpha1.Token{MaxLifetime: hour}, EmailVerified: v1alpha1.EmailVerifiedRequired}
	github, entra, cluster := verified, verified, verified
	github.GitHubActions = &v1alpha1.GitHubActions{Allow: []v1alpha1.GitHubActionsRule{{Owner: "octo"}}}
	entra.Entra = &v1alpha1.Entra{}
	cluster.Kubernetes = &v1alpha1.Kubernetes{ClusterName: "build", Liveness: v1alpha1.LivenessTokenReview}
	const (
		before    = "token.maxLifetime, emailVerified, "
		document1 = "username, groups, uid, extra, required claims, claimValidationRules, "
		user      = "userValidationRules, reservedNames"
	)
	for _, test := range []struct {
		name   string
		policy v1alpha1.IssuerPolicySpec
		claims string
		checks string
	}{
		{"none of its own", v1alpha1.IssuerPolicySpec{}, ``, document1 + user},
		{"GitHub Actions", github, `,"repository_owner":"octo"`, before + "githubActions.allow, " + document1 + "added groups and extras, " + user},
		{"GitHub Actions, only audited", audited(github), `,"repository_owner":"octo"`, before + "githubActions.allow, " + document1 + user},
		{"Entra ID", entra, ``, before + "entra.tenantIDs, entra.clientIDs, entra.appOnlyTokens, entra.groupOverage, " + document1 + user},
		{"another cluster", cluster, `,"kubernetes.io":{"namespace":"ci","serviceaccount":{"name":"deployer","uid":"u"}}`,
			before + "kubernetes.allow, " + document1 + "added groups and extras, " + user + ", kubernetes.liveness"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := compiled(t, policy.Config{Policy: test.policy, EntraTenant: tenant, Liveness: alwaysAlive{}})
			got := decide(t, p, `{"sub":"system:serviceaccount:ci:deployer","iat":0,"exp":60,"email_verified":true`+test.claims+`}`)
			got.expect(t, "", "")
			var checks []string
			for _, step := range got.steps {
				checks = append(checks, step.Check)
			}
			if diff := cmp.Diff(test.checks, strings.Join(checks, ", ")); diff != "" {
				t.Errorf("expected -, got +\n%s", diff)
			}
		})
	}
}

type alwaysAlive struct{}

func (alwaysAlive) Check(context.Context, string, []string, string) (string, error) { return "", nil }

func TestEachMappingReadsItsOwnClaim(t *testing.T) {
	for _, more := range []string{"", ` + ""`} { // an expression that is the name of a claim, and one that is not
		p := compiled(t, policy.Config{Authenticator: apiserver.JWTAuthenticator{
			Issuer: apiserver.Issuer{URL: "https://issuer.example", Audiences: []string{"a"}},
			ClaimMappings: apiserver.ClaimMappings{
				Username: apiserver.PrefixedClaimOrExpression{Expression: "claims.name" + more},
				Groups:   apiserver.PrefixedClaimOrExpression{Expression: "claims.team" + more},
				UID:      apiserver.ClaimOrExpression{Expression: "claims.number" + more},
				Extra:    []apiserver.ExtraMapping{{Key: "example.com/a", ValueExpression: "claims.a" + more}, {Key: "example.com/b", ValueExpression: "claims.b" + more}},
			},
		}})
		got := decide(t, p, `{"sub":"x","name":"jane","team":"devs","number":"7","a":"first","b":"second"}`)
		got.expect(t, "", "")
		want := &user.DefaultInfo{Name: "jane", Groups: []string{"devs"}, UID: "7", Extra: map[string][]string{"example.com/a": {"first"}, "example.com/b": {"second"}}}
		if diff := cmp.Diff(want, got.User); diff != "" {
			t.Errorf("expected -, got +\n%s", diff)
		}
	}
}
