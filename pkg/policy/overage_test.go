package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/apis/apiserver"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

// The forms in which Entra ID says that it leaves out a user's groups.
var overages = []struct{ name, claims string }{
	{"claim names and sources", `"_claim_names":{"groups":"src1"},"_claim_sources":{"src1":{"endpoint":"https://graph.windows.net/t/users/o/getMemberObjects"}}`},
	{"claim names without sources", `"_claim_names":{"groups":"src1"}`},
	{"hasgroups", `"hasgroups":true`},
	{"hasgroups as text", `"hasgroups":"true"`},
	{"groups that are the source's name", `"groups":"src1","_claim_sources":{"src1":{"endpoint":"https://graph.microsoft.com/v1.0/users/o/getMemberObjects"}}`},
	{"a claim named after groups and source", `"groups:src1":{"endpoint":"https://graph.microsoft.com/v1.0/users/o/getMemberObjects"}`},
}

func resolving(graph v1alpha1.Graph) v1alpha1.IssuerPolicySpec {
	return v1alpha1.IssuerPolicySpec{Entra: &v1alpha1.Entra{GroupOverage: v1alpha1.GroupOverageResolve, Graph: &graph}}
}

func TestOverageIsRefused(t *testing.T) {
	denied := compiled(t, policy.Config{EntraTenant: tenant, Policy: v1alpha1.IssuerPolicySpec{Entra: &v1alpha1.Entra{GroupOverage: v1alpha1.GroupOverageDeny}}})
	withoutPolicy := compiled(t, policy.Config{EntraTenant: tenant})
	groupsUnused := compiled(t, policy.Config{EntraTenant: tenant, Authenticator: plainly("sub", "")})
	notEntra := compiled(t, policy.Config{})
	for _, shape := range overages {
		t.Run(shape.name, func(t *testing.T) {
			claims := `{"sub":"jane","oid":"` + object + `",` + shape.claims + `}`
			decide(t, denied, claims).expect(t, reason.GroupOverage, "entra.groupOverage: Resolve")
			decide(t, withoutPolicy, claims).expect(t, reason.GroupOverage, "entra.groupOverage: Resolve")
			decide(t, groupsUnused, claims).expect(t, "", "")
			decide(t, notEntra, claims).expect(t, "", "")
		})
	}
	for _, none := range []struct{ name, claims string }{
		{"groups in the token", `"groups":["a","b"]`},
		{"no groups at all", `"x":1`},
		{"hasgroups false", `"hasgroups":false`},
		{"hasgroups false as text", `"hasgroups":"false"`},
		{"a claim that only begins like groups and source", `"groups:all":["a"]`},
		{"claim names that are no object", `"_claim_names":["groups"]`},
		{"groups in the token, and the source of another claim", `"groups":["a"],"_claim_sources":{"src1":{"endpoint":"x"}}`},
		{"another claim is kept elsewhere", `"_claim_names":{"roles":"src1"},"_claim_sources":{"src1":{"endpoint":"x"}}`},
		{"one group as text", `"groups":"admins"`},
	} {
		t.Run(none.name, func(t *testing.T) {
			decide(t, denied, `{"sub":"jane",`+none.claims+`}`).expect(t, "", "")
		})
	}
}

func TestOverageIsResolved(t *testing.T) {
	for _, shape := range overages {
		t.Run(shape.name, func(t *testing.T) {
			graph := &groups{list: []string{"g1", "g2"}}
			p := compiled(t, policy.Config{EntraTenant: tenant, Policy: resolving(v1alpha1.Graph{}), Groups: graph})
			got := decide(t, p, `{"sub":"jane","oid":"`+object+`",`+shape.claims+`}`)
			got.expect(t, "", "")
			if diff := cmp.Diff([]string{"g1", "g2"}, got.User.Groups); diff != "" {
				t.Errorf("groups: expected -, got +\n%s", diff)
			}
			if want := "user " + object; graph.asked[0] != want || !got.Asked {
				t.Errorf("expected to be asked about %q, got %q", want, graph.asked)
			}
			if detail := got.step("entra.groupOverage").Detail; detail != `Microsoft Graph says of oid "`+object+`": ["g1" "g2"]` {
				t.Errorf("expected the trace to say so, got %q", detail)
			}
		})
	}
	t.Run("expressions see the groups", func(t *testing.T) {
		authenticator := plainly("sub", "")
		authenticator.ClaimMappings.Groups = apiserver.PrefixedClaimOrExpression{Expression: `claims.groups`}
		authenticator.ClaimValidationRules = []apiserver.ClaimValidationRule{{Expression: `!("banned" in claims.groups)`}}
		graph := &groups{list: []string{"g1"}}
		p := compiled(t, policy.Config{EntraTenant: tenant, Policy: resolving(v1alpha1.Graph{}), Groups: graph, Authenticator: authenticator})
		claims := `{"sub":"jane","oid":"` + object + `","hasgroups":true}`
		got := decide(t, p, claims)
		got.expect(t, "", "")
		if diff := cmp.Diff([]string{"g1"}, got.User.Groups); diff != "" {
			t.Errorf("groups: expected -, got +\n%s", diff)
		}
		graph.list = []string{"banned"}
		decide(t, p, claims).expect(t, reason.ClaimRuleFailed, "")
	})
	t.Run("nobody is asked where such tokens are refused", func(t *testing.T) {
		graph := &groups{list: []string{"g1"}}
		p := compiled(t, policy.Config{EntraTenant: tenant, Policy: v1alpha1.IssuerPolicySpec{Entra: &v1alpha1.Entra{GroupOverage: v1alpha1.GroupOverageDeny}}, Groups: graph})
		if decide(t, p, `{"sub":"jane","oid":"`+object+`","hasgroups":true}`).expect(t, reason.GroupOverage, ""); len(graph.asked) > 0 {
			t.Errorf("asked about %q", graph.asked)
		}
	})
	t.Run("expressions see no groups where none are known", func(t *testing.T) {
		authenticator := plainly("sub", "")
		authenticator.ClaimValidationRules = []apiserver.ClaimValidationRule{{Expression: `!("banned" in claims.groups)`}}
		p := compiled(t, policy.Config{
			EntraTenant: tenant, Policy: resolving(v1alpha1.Graph{OnFailure: v1alpha1.GraphFailureOmitGroups}),
			Groups: &groups{err: errors.New("away")}, Authenticator: authenticator,
		})
		decide(t, p, `{"sub":"jane","oid":"`+object+`","hasgroups":true}`).expect(t, "", "")
	})
	t.Run("nobody is asked about a token with groups", func(t *testing.T) {
		graph := &groups{}
		p := compiled(t, policy.Config{EntraTenant: tenant, Policy: resolving(v1alpha1.Graph{}), Groups: graph})
		got := decide(t, p, `{"sub":"jane","groups":["a"]}`)
		if got.expect(t, "", ""); len(graph.asked) > 0 || got.Asked {
			t.Errorf("asked about %q", graph.asked)
		}
	})
	t.Run("nobody is asked about a token that is refused anyway", func(t *testing.T) {
		graph := &groups{}
		p := compiled(t, policy.Config{EntraTenant: tenant, Policy: resolving(v1alpha1.Graph{}), Groups: graph})
		if decide(t, p, `{"sub":"jane","tid":"`+other+`","hasgroups":true}`).expect(t, reason.TenantNotAllowed, ""); len(graph.asked) > 0 {
			t.Errorf("asked about %q", graph.asked)
		}
	})
	t.Run("an application is asked about as one", func(t *testing.T) {
		graph := &groups{list: []string{"g1"}}
		spec := resolving(v1alpha1.Graph{})
		spec.Entra.AppOnlyTokens = v1alpha1.AppOnlyTokensAllow
		p := compiled(t, policy.Config{EntraTenant: tenant, Policy: spec, Groups: graph})
		decide(t, p, `{"sub":"`+object+`","oid":"`+object+`","hasgroups":true}`).expect(t, "", "")
		if want := "service principal " + object; graph.asked[0] != want {
			t.Errorf("expected to be asked about %q, got %q", want, graph.asked)
		}
	})
}

func TestGraphCannotTell(t *testing.T) {
	away := errors.New("graph.microsoft.com answers 503")
	claims := `{"sub":"jane","oid":"` + object + `","hasgroups":true}`
	for _, test := range []struct {
		name   string
		policy v1alpha1.IssuerPolicySpec
		graph  *groups
		claims string
		code   reason.Code
		text   string
		would  reason.Code
	}{
		{"it is away", resolving(v1alpha1.Graph{OnFailure: v1alpha1.GraphFailureDeny}), &groups{err: away}, claims,
			reason.ClaimsUnavailable, "groups overage: graph.microsoft.com answers 503", ""},
		{"it is away, and groups are left out", resolving(v1alpha1.Graph{OnFailure: v1alpha1.GraphFailureOmitGroups}), &groups{err: away}, claims,
			"", "", reason.ClaimsUnavailable},
		{"it does not know the user any more", resolving(v1alpha1.Graph{}), &groups{unknown: true}, claims,
			reason.GroupOverage, "does not know the object", ""},
		{"it does not know the user, and groups are left out in an outage only", resolving(v1alpha1.Graph{OnFailure: v1alpha1.GraphFailureOmitGroups}), &groups{unknown: true}, claims,
			reason.GroupOverage, "does not know the object", ""},
		{"the token does not say whose groups", resolving(v1alpha1.Graph{}), &groups{}, `{"sub":"jane","hasgroups":true}`,
			reason.GroupOverage, "does not say whose they are", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := compiled(t, policy.Config{EntraTenant: tenant, Policy: test.policy, Groups: test.graph})
			got := decide(t, p, test.claims)
			got.expect(t, test.code, test.text)
			if got.WouldRefuse.Code != test.would || got.Asked != (len(test.graph.asked) > 0) {
				t.Errorf("expected %q to be recorded, got %q, asked %v", test.would, got.WouldRefuse, got.Asked)
			}
			step := got.step("entra.groupOverage")
			if test.would == "" {
				if want := (trace.Step{Check: "entra.groupOverage", Outcome: trace.Failed, Detail: got.text()}); step != want {
					t.Errorf("expected the trace to say why, %+v, got %+v", want, step)
				}
				return
			}
			if want := "groups overage: " + away.Error(); !strings.Contains(got.WouldRefuse.Text, want) {
				t.Errorf("expected %q to be recorded, got %q", want, got.WouldRefuse.Text)
			}
			if len(got.User.Groups) > 0 {
				t.Errorf("expected no groups, got %q", got.User.Groups)
			}
			if step.Outcome != trace.WouldFail {
				t.Errorf("expected the trace to say so, got %q", step.Outcome)
			}
		})
	}
}
