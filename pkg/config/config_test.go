package config

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/apiserver"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
)

func TestLoad(t *testing.T) {
	config, err := Load("testdata/valid/policies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"idp", "b2c", "build", "plain.example.com"}
	if diff := cmp.Diff(want, names(config)); diff != "" {
		t.Errorf("names, in the order of document 1 (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"https://kubernetes.default.svc"}, config.Webhook.DisallowedIssuers); diff != "" {
		t.Errorf("disallowedIssuers (-want +got)\n%s", diff)
	}
	if limits := config.Webhook.Limits; *limits.MaxRequestsInFlight != 400 || *limits.MaxConnections != 512 {
		t.Errorf("expected limits as written, and the default for the other, got %d and %d", *limits.MaxRequestsInFlight, *limits.MaxConnections)
	}
	algorithms := []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"}
	defaults := v1alpha1.IssuerPolicySpec{
		Issuer:             "https://plain.example.com",
		Enforcement:        v1alpha1.EnforcementEnforce,
		Keys:               v1alpha1.Keys{Algorithms: algorithms, MaxStaleness: &metav1.Duration{Duration: 24 * time.Hour}},
		EmailVerified:      v1alpha1.EmailVerifiedIfPresent,
		EmailVerifiedClaim: "email_verified",
		ReservedNames:      v1alpha1.ReservedNamesDeny,
		Audit:              v1alpha1.IssuerAudit{Level: v1alpha1.AuditAll, Claims: []string{}},
	}
	if diff := cmp.Diff(defaults, config.Issuers[3].Policy); diff != "" {
		t.Errorf("an issuer without policy (-want +got)\n%s", diff)
	}
	defaults.Issuer = "https://kubernetes.default.svc.cluster.local"
	defaults.Keys.JWKSFile = "/etc/webhook/build.jwks"
	if diff := cmp.Diff(defaults, config.Issuers[2].Policy); diff != "" {
		t.Errorf("a policy that says little (-want +got)\n%s", diff)
	}
	keys := config.Issuers[0].Policy.Keys
	if !strings.Contains(keys.JWKS, `"kid":"2026"`) || keys.MaxStaleness.Duration != 90*time.Minute {
		t.Errorf("keys: got %v", keys)
	}
	if diff := cmp.Diff([]string{"RS256", "ES256", "EdDSA"}, keys.Algorithms); diff != "" {
		t.Errorf("algorithms (-want +got)\n%s", diff)
	}
}

func TestLoadOfAFileThatCannotBeRead(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "missing"), t.TempDir()} {
		_, err := Load(path)
		var pathErr *fs.PathError
		if !errors.As(err, &pathErr) || !strings.HasPrefix(err.Error(), "read configuration: ") {
			t.Errorf("%s: got error %v", path, err)
		}
	}
}

func TestEveryVersionOfDocumentOneSaysTheSame(t *testing.T) {
	var want []apiserver.JWTAuthenticator
	for _, version := range []string{"v1", "v1beta1", "v1alpha1"} {
		config, err := Load("testdata/valid/" + version + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = authenticators(config)
		}
		if diff := cmp.Diff(want, authenticators(config)); diff != "" {
			t.Errorf("%s (-v1 +%s)\n%s", version, version, diff)
		}
		// Each version has a Go type of its own to be strict by.
		data := strings.Replace(documentOne, "/v1\n", "/"+version+"\n", 1)
		_, err = Parse("file", []byte(strings.Replace(data, "url", "uri", 1)))
		if err == nil || !strings.HasPrefix(err.Error(), "file:5: document 1: jwt[0].issuer.uri: unknown field") {
			t.Errorf("%s: got error %v", version, err)
		}
	}
}

func TestMergeKeysMeanWhatTheyMeanUpstream(t *testing.T) {
	config, err := Load("testdata/valid/anchors.yaml")
	if err != nil {
		t.Fatal(err)
	}
	second := config.Issuers[1].JWT
	if diff := cmp.Diff([]string{"kubernetes"}, second.Issuer.Audiences); diff != "" || second.ClaimMappings.Username.Claim != "sub" {
		t.Errorf("got %+v", second)
	}
}

func TestExpressionsAreCompiled(t *testing.T) {
	config, err := Load("testdata/valid/github-claim-rule.yaml")
	if err != nil {
		t.Fatal(err)
	}
	expressions := config.Issuers[0].Expressions
	if expressions.Username == nil || expressions.ClaimValidationRules == nil {
		t.Fatalf("got %+v", expressions)
	}
	claims := types.DefaultTypeAdapter.NativeToValue(map[string]any{"sub": "octocat"}).(traits.Mapper)
	result, err := expressions.Username.EvalClaimMapping(context.Background(), claims)
	if err != nil || result.EvalResult.Value() != "github-actions:octocat" {
		t.Errorf("got %v, %v", result.EvalResult, err)
	}
}

func TestExtrasThatAreNotOursAreLeftToDocumentOne(t *testing.T) {
	const file = documentOne + `    extra: [{key: KEY, valueExpression: '"x"'}]
---
` + policyOfIt
	kubernetes := strings.Replace(file, ".com}", ".com, kubernetes: {clusterName: build}}", 1)
	for _, test := range []struct{ name, text, key, refused string }{
		{"no other cluster", file, "tokenreview.dev/cluster", ""},
		{"another cluster", kubernetes, "tokenreview.dev/cluster", `document 1 maps "tokenreview.dev/cluster"`},
		{"another cluster and an extra of somebody else", kubernetes, "example.com/team", ""},
		{"another cluster and an extra that only begins like ours", kubernetes, "tokenreview.dev.example.com/team", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("file", []byte(strings.Replace(test.text, "KEY", test.key, 1)))
			if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("expected %q, got %v", test.refused, err)
			}
		})
	}
}

func TestDefaultsOfGraph(t *testing.T) {
	for _, test := range []struct {
		name        string
		given, want v1alpha1.Graph
	}{
		{"what is not said", v1alpha1.Graph{}, v1alpha1.Graph{
			OnFailure: v1alpha1.GraphFailureDeny, SecurityEnabledOnly: new(true), CacheTTL: &metav1.Duration{Duration: 5 * time.Minute},
		}},
		{"what is said stays", v1alpha1.Graph{OnFailure: v1alpha1.GraphFailureOmitGroups, SecurityEnabledOnly: new(false), CacheTTL: &metav1.Duration{}}, v1alpha1.Graph{
			OnFailure: v1alpha1.GraphFailureOmitGroups, SecurityEnabledOnly: new(false), CacheTTL: &metav1.Duration{},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := v1alpha1.IssuerPolicySpec{Entra: &v1alpha1.Entra{Graph: &test.given}}
			setDefaults(&spec, "https://idp.example.com", &v1alpha1.WebhookConfigurationSpec{})
			if diff := cmp.Diff(&test.want, spec.Entra.Graph); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDefaultsOfTheBlocks(t *testing.T) {
	spec := v1alpha1.IssuerPolicySpec{Entra: &v1alpha1.Entra{}, Kubernetes: &v1alpha1.Kubernetes{}}
	setDefaults(&spec, "https://idp.example.com", &v1alpha1.WebhookConfigurationSpec{})
	if diff := cmp.Diff(&v1alpha1.Entra{AppOnlyTokens: v1alpha1.AppOnlyTokensDeny, GroupOverage: v1alpha1.GroupOverageDeny}, spec.Entra); diff != "" {
		t.Errorf("entra (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(&v1alpha1.Kubernetes{
		Liveness: v1alpha1.LivenessSignature, LivenessOnFailure: v1alpha1.LivenessFailureDeny,
		LivenessCacheTTL: &metav1.Duration{Duration: 10 * time.Second},
	}, spec.Kubernetes); diff != "" {
		t.Errorf("kubernetes (-want +got)\n%s", diff)
	}
}

func TestClaimsAreRecordedByDefaultWhereAKindSaysWhoAndWhichRun(t *testing.T) {
	for _, test := range []struct {
		name string
		spec v1alpha1.IssuerPolicySpec
		want string
	}{
		{"GitHub Actions", v1alpha1.IssuerPolicySpec{GitHubActions: &v1alpha1.GitHubActions{}}, "repository repository_id ref sha run_id run_attempt actor event_name environment job_workflow_ref"},
		{"Entra ID", v1alpha1.IssuerPolicySpec{Entra: &v1alpha1.Entra{}}, "tid oid azp appid uti"},
		{"another cluster", v1alpha1.IssuerPolicySpec{Kubernetes: &v1alpha1.Kubernetes{}}, "kubernetes.io"},
		{"GitHub Actions without a policy", v1alpha1.IssuerPolicySpec{Issuer: "https://token.actions.githubusercontent.com"}, "repository repository_id ref sha run_id run_attempt actor event_name environment job_workflow_ref"},
		{"Entra ID without a policy", v1alpha1.IssuerPolicySpec{Issuer: "https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/v2.0"}, "tid oid azp appid uti"},
		{"any other", v1alpha1.IssuerPolicySpec{}, ""},
		{"what is said stays", v1alpha1.IssuerPolicySpec{Entra: &v1alpha1.Entra{}, Audit: v1alpha1.IssuerAudit{Level: v1alpha1.AuditNone, Claims: []string{"oid"}}}, "oid"},
		{"none", v1alpha1.IssuerPolicySpec{Entra: &v1alpha1.Entra{}, Audit: v1alpha1.IssuerAudit{Claims: []string{}}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			level := test.spec.Audit.Level
			webhook := v1alpha1.WebhookConfigurationSpec{Audit: v1alpha1.Audit{Level: v1alpha1.AuditRefusals}}
			issuer := test.spec.Issuer
			if issuer == "" {
				issuer = "https://idp.example.com"
			}
			setDefaults(&test.spec, issuer, &webhook)
			if got := strings.Join(test.spec.Audit.Claims, " "); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if got := test.spec.Audit.Level; got != v1alpha1.AuditRefusals && got != level {
				t.Errorf("got level %s", got)
			}
		})
	}
}
