package policy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/apiserver"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

// The answer of a policy that only audits is that of no policy at all, and what is
// recorded is what it would refuse if it were enforced.
func TestAuditRecordsAndChangesNothing(t *testing.T) {
	hour := v1alpha1.Token{MaxLifetime: &metav1.Duration{Duration: time.Hour}}
	long := `"iat":0,"exp":7200`
	entra := resolving(v1alpha1.Graph{OnFailure: v1alpha1.GraphFailureDeny})
	entra.Token = hour
	entra.Entra.TenantIDs, entra.Entra.ClientIDs = []string{tenant}, []string{client}
	omitting := resolving(v1alpha1.Graph{OnFailure: v1alpha1.GraphFailureOmitGroups})
	github := v1alpha1.IssuerPolicySpec{GitHubActions: &v1alpha1.GitHubActions{Allow: []v1alpha1.GitHubActionsRule{{Repository: "qjoly/lucca", Groups: []string{"deployers"}}}}}
	byExpression := plainly("sub", "")
	byExpression.ClaimMappings.Groups = apiserver.PrefixedClaimOrExpression{Expression: `has(claims.groups) ? claims.groups : []`}
	for _, test := range []struct {
		name   string
		config policy.Config
		claims string
		code   reason.Code
	}{
		{"nothing to record", policy.Config{Policy: github}, `{"sub":"jane","repository":"qjoly/lucca"}`, ""},
		{"a lifetime", policy.Config{Policy: v1alpha1.IssuerPolicySpec{Token: hour}}, `{"sub":"jane",` + long + `}`, reason.LifetimeTooLong},
		{"an address", policy.Config{Policy: v1alpha1.IssuerPolicySpec{EmailVerified: v1alpha1.EmailVerifiedRequired}}, `{"sub":"jane"}`, reason.EmailNotVerified},
		{"a repository", policy.Config{Policy: github}, `{"sub":"jane","repository":"evil/lucca"}`, reason.RepositoryNotAllowed},
		{"the first of several", policy.Config{EntraTenant: tenant, Policy: entra}, `{"sub":"jane",` + long + `,"tid":"` + other + `"}`, reason.LifetimeTooLong},
		{"a tenant", policy.Config{EntraTenant: tenant, Policy: entra}, `{"sub":"jane","iat":0,"exp":5,"tid":"` + other + `"}`, reason.TenantNotAllowed},
		{"a client", policy.Config{EntraTenant: tenant, Policy: entra}, `{"sub":"jane","iat":0,"exp":5,"tid":"` + tenant + `","azp":"` + other + `"}`, reason.ClientNotAllowed},
		{"an application", policy.Config{EntraTenant: tenant, Policy: v1alpha1.IssuerPolicySpec{Entra: &v1alpha1.Entra{}}}, `{"sub":"o","oid":"o"}`, reason.AppOnlyToken},
		{"groups that Graph knows are not used", policy.Config{EntraTenant: tenant, Policy: omitting, Groups: &groups{list: []string{"g"}}, Authenticator: byExpression},
			`{"sub":"jane","oid":"` + object + `","hasgroups":true}`, ""},
		{"groups that Graph cannot tell", policy.Config{EntraTenant: tenant, Policy: omitting, Groups: &groups{err: errors.New("away")}, Authenticator: byExpression},
			`{"sub":"jane","oid":"` + object + `","hasgroups":true}`, reason.ClaimsUnavailable},
		{"an account", policy.Config{Policy: kubernetes(v1alpha1.KubernetesRule{Namespace: "cd"})}, podBound, reason.ServiceAccountNotAllowed},
		{"an account that is admitted gets no groups", policy.Config{Policy: kubernetes()}, podBound, ""},
		{"a token that document 1 refuses stays refused", policy.Config{Policy: github}, `{"repository":"evil/lucca"}`, reason.RepositoryNotAllowed},
		{"a reserved name stays refused", policy.Config{Policy: github, Authenticator: func() apiserver.JWTAuthenticator {
			bare := plainly("sub", "groups")
			return bare
		}()}, `{"sub":"jane","groups":["system:masters"],"repository":"evil/lucca"}`, reason.RepositoryNotAllowed},
	} {
		t.Run(test.name, func(t *testing.T) {
			without := test.config
			without.Policy = v1alpha1.IssuerPolicySpec{}
			enforced := test.config
			audit := test.config
			audit.Policy = audited(audit.Policy)
			want, got := decide(t, compiled(t, without), test.claims), decide(t, compiled(t, audit), test.claims)
			if diff := cmp.Diff(want.User, got.User); diff != "" || want.Refusal != got.Refusal || (want.err == nil) != (got.err == nil) {
				t.Errorf("expected the answer without a policy, %q, got %q; expected -, got +\n%s", want.Refusal, got.Refusal, diff)
			}
			if got.WouldRefuse.Code != test.code {
				t.Errorf("expected %q to be recorded, got %q", test.code, got.WouldRefuse)
			}
			if would := decide(t, compiled(t, enforced), test.claims); test.code != "" && test.config.Policy.Entra != omitting.Entra && would.code() != test.code {
				t.Errorf("expected the same if it were enforced, got %q", would.code())
			}
			var failing []string
			for _, step := range got.steps {
				if step.Outcome == trace.WouldFail {
					failing = append(failing, step.Check+": "+step.Detail)
				}
			}
			if test.code == "" && len(failing) > 0 || test.code != "" && (len(failing) != 1 || !strings.Contains(failing[0], got.WouldRefuse.Text)) {
				t.Errorf("expected the trace to have what is recorded, got %q", failing)
			}
		})
	}
}
