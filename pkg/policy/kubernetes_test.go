package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

const (
	accountUID = "7c56382f-440d-44bb-8534-07c23eeb015b"
	podUID     = "a9fa65f0-0601-43aa-bc31-c1926682e08d"
	deployer   = `{"aud":["a"],"sub":"system:serviceaccount:ci:deployer","kubernetes.io":{"namespace":"ci","serviceaccount":{"name":"deployer","uid":"` + accountUID + `"}}}`
	podBound   = `{"aud":["a"],"sub":"system:serviceaccount:ci:deployer","kubernetes.io":{"namespace":"ci","node":{"name":"worker-1","uid":"n"},` +
		`"pod":{"name":"jump","uid":"` + podUID + `"},"serviceaccount":{"name":"deployer","uid":"` + accountUID + `"},"warnafter":1700003607}}`
)

func kubernetes(rules ...v1alpha1.KubernetesRule) v1alpha1.IssuerPolicySpec {
	return v1alpha1.IssuerPolicySpec{Kubernetes: &v1alpha1.Kubernetes{ClusterName: "build", Allow: rules}}
}

func TestServiceAccountsAreAdmitted(t *testing.T) {
	const notBound = "not a bound service-account token"
	deployerOnly := []v1alpha1.KubernetesRule{{Namespace: "ci", ServiceAccount: "deployer", UID: accountUID}}
	account := func(namespace, name string) string {
		return fmt.Sprintf(`{"sub":"system:serviceaccount:%[1]s:%[2]s","kubernetes.io":{"namespace":"%[1]s","serviceaccount":{"name":"%[2]s","uid":"u"}}}`, namespace, name)
	}
	longest := strings.Repeat("x", 253)
	for _, test := range []struct {
		name   string
		rules  []v1alpha1.KubernetesRule
		claims string
		code   reason.Code
		text   string
	}{
		{"any account where there is no rule", nil, deployer, "", ""},
		{"the account", deployerOnly, deployer, "", ""},
		{"bound to a pod", deployerOnly, podBound, "", ""},
		{"a pattern of the namespace", []v1alpha1.KubernetesRule{{Namespace: "c*"}}, deployer, "", ""},
		{"a pattern of the account", []v1alpha1.KubernetesRule{{ServiceAccount: "deploy*"}}, deployer, "", ""},
		{"the uid alone", []v1alpha1.KubernetesRule{{UID: accountUID}}, deployer, "", ""},
		{"any rule", []v1alpha1.KubernetesRule{{Namespace: "other"}, {Namespace: "ci"}}, deployer, "", ""},
		{"another namespace", []v1alpha1.KubernetesRule{{Namespace: "cd"}}, deployer, reason.ServiceAccountNotAllowed, "admits the account ci/deployer with the uid " + accountUID},
		{"another account", []v1alpha1.KubernetesRule{{Namespace: "ci", ServiceAccount: "builder"}}, deployer, reason.ServiceAccountNotAllowed, ""},
		{"names are of lower case", []v1alpha1.KubernetesRule{{Namespace: "CI"}}, deployer, reason.ServiceAccountNotAllowed, ""},
		{"a name made again", []v1alpha1.KubernetesRule{{Namespace: "ci", ServiceAccount: "deployer", UID: "old"}}, deployer, reason.ServiceAccountNotAllowed,
			"allow[0] wants the uid old: either the account was deleted and made again, or the rule has the wrong uid"},

		{"a legacy token", nil, `{"sub":"system:serviceaccount:ci:deployer","kubernetes.io/serviceaccount/namespace":"ci","kubernetes.io/serviceaccount/service-account.name":"deployer"}`,
			reason.ServiceAccountNotAllowed, "legacy tokens from a Secret are never accepted"},
		{"a claim kubernetes.io that is text", nil, `{"sub":"system:serviceaccount:ci:deployer","kubernetes.io":"ci"}`, reason.ServiceAccountNotAllowed, notBound},
		{"a claim kubernetes.io that is null", nil, `{"sub":"system:serviceaccount:ci:deployer","kubernetes.io":null}`, reason.ServiceAccountNotAllowed, notBound},
		{"no namespace", nil, `{"sub":"system:serviceaccount::deployer","kubernetes.io":{"serviceaccount":{"name":"deployer","uid":"u"}}}`, reason.ServiceAccountNotAllowed, "does not name"},
		{"no account", nil, `{"sub":"system:serviceaccount:ci:","kubernetes.io":{"namespace":"ci"}}`, reason.ServiceAccountNotAllowed, "does not name"},
		{"no name", nil, `{"sub":"system:serviceaccount:ci:","kubernetes.io":{"namespace":"ci","serviceaccount":{"uid":"u"}}}`, reason.ServiceAccountNotAllowed, "does not name"},
		{"no uid", nil, `{"sub":"system:serviceaccount:ci:deployer","kubernetes.io":{"namespace":"ci","serviceaccount":{"name":"deployer"}}}`, reason.ServiceAccountNotAllowed, "does not name"},
		{"a member of the wrong type", nil, `{"sub":"system:serviceaccount:ci:deployer","kubernetes.io":{"namespace":"ci","serviceaccount":["deployer"]}}`, reason.ServiceAccountNotAllowed, "not of the form"},
		{"a sub of another account", nil, `{"sub":"system:serviceaccount:ci:admin","kubernetes.io":{"namespace":"ci","serviceaccount":{"name":"deployer","uid":"u"}}}`, reason.ServiceAccountNotAllowed,
			`sub is "system:serviceaccount:ci:admin", and kubernetes.io is about "system:serviceaccount:ci:deployer"`},
		{"a sub that is no account", nil, `{"sub":"jane","kubernetes.io":{"namespace":"ci","serviceaccount":{"name":"deployer","uid":"u"}}}`, reason.ServiceAccountNotAllowed, "sub is"},
		{"no sub", nil, `{"kubernetes.io":{"namespace":"ci","serviceaccount":{"name":"deployer","uid":"u"}}}`, reason.ServiceAccountNotAllowed, "sub: the token has no such claim"},
		{"the longest names that there are", nil, account(longest, longest), "", ""},
		{"a longer namespace, which no pattern is compared with", []v1alpha1.KubernetesRule{{Namespace: "**-*-ci"}}, account(longest+"x", "deployer"), reason.ServiceAccountNotAllowed, "a name of more than 253 bytes"},
		{"a longer account, which no pattern is compared with", []v1alpha1.KubernetesRule{{ServiceAccount: "**-*-ci"}}, account("ci", longest+"x"), reason.ServiceAccountNotAllowed, "a name of more than 253 bytes"},
		{"a name that only looks like another", nil, `{"sub":"system:serviceaccount:ci:x:deployer","kubernetes.io":{"namespace":"ci:x","serviceaccount":{"name":"deployer","uid":"u"}}}`, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			decide(t, compiled(t, policy.Config{Policy: kubernetes(test.rules...)}), test.claims).expect(t, test.code, test.text)
		})
	}
}

func TestWhatIsSaidOfAnAccountThatNoRuleAdmits(t *testing.T) {
	long := strings.Repeat("x", 254)
	for _, test := range []struct {
		name, namespace, account, uid string
		rules                         []v1alpha1.KubernetesRule
		text                          string
	}{
		{"its names", "ci", "deployer", "new", []v1alpha1.KubernetesRule{{Namespace: "cd"}}, "ci/deployer with the uid new; none is for its namespace"},
		{"the first rule that lacks but the uid", "ci", "deployer", "new",
			[]v1alpha1.KubernetesRule{{Namespace: "cd", UID: "a"}, {ServiceAccount: "builder", UID: "b"}, {Namespace: "ci", UID: "c"}, {ServiceAccount: "deployer", UID: "d"}},
			"ci/deployer with the uid new; allow[2] wants the uid c"},
		{"quotes around a space", "c i", "a b", "a b", []v1alpha1.KubernetesRule{{Namespace: "cd"}}, `"c i"/"a b" with the uid "a b"; none is for its namespace`},
		{"quotes around what a terminal obeys", "c\u007fi", "a\u202eb", "a\u00e9b", []v1alpha1.KubernetesRule{{Namespace: "cd"}}, `"c\x7fi"/"a\u202eb" with the uid "aéb"; none is for its namespace`},
		{"the longest name that there is", "ci", long[1:], "new", []v1alpha1.KubernetesRule{{Namespace: "cd"}}, "ci/" + long[1:] + " with the uid new; none is for its namespace"},
		{"a part of a longer uid", "ci", "deployer", long, []v1alpha1.KubernetesRule{{Namespace: "cd"}}, `ci/deployer with the uid "` + long[:200] + `"; none is for its namespace`},
		{"the first rule for its namespace", "ci", "deployer", "new", []v1alpha1.KubernetesRule{{Namespace: "cd"}, {Namespace: "c*", ServiceAccount: "build-*"}, {Namespace: "ci", ServiceAccount: "x"}},
			`ci/deployer with the uid new; allow[1] is for its namespace and wants the serviceAccount "build-*"`},
		{"a rule that lacks but the uid before one for its namespace", "ci", "deployer", "new", []v1alpha1.KubernetesRule{{Namespace: "ci", ServiceAccount: "x"}, {ServiceAccount: "deployer", UID: "d"}},
			"ci/deployer with the uid new; allow[1] wants the uid d"},
	} {
		t.Run(test.name, func(t *testing.T) {
			claims := fmt.Sprintf(`{"sub":"system:serviceaccount:%[1]s:%[2]s","kubernetes.io":{"namespace":"%[1]s","serviceaccount":{"name":"%[2]s","uid":"%[3]s"}}}`, test.namespace, test.account, test.uid)
			got := decide(t, compiled(t, policy.Config{Policy: kubernetes(test.rules...)}), claims)
			want := reason.Refusal{Code: reason.ServiceAccountNotAllowed, Text: "no rule of kubernetes.allow admits the account " + test.text}
			if diff := cmp.Diff(want, got.Refusal); diff != "" {
				t.Errorf("expected -, got +\n%s", diff)
			}
		})
	}
}

func TestServiceAccountsGetTheirOwnNames(t *testing.T) {
	p := compiled(t, policy.Config{Policy: kubernetes()})
	bound := decide(t, p, podBound)
	want := &user.DefaultInfo{
		Name:   "u:system:serviceaccount:ci:deployer",
		Groups: []string{"build:system:serviceaccounts", "build:system:serviceaccounts:ci"},
		Extra: map[string][]string{
			"tokenreview.dev/cluster":            {"build"},
			"tokenreview.dev/pod-name":           {"jump"},
			"tokenreview.dev/pod-uid":            {podUID},
			"tokenreview.dev/node-name":          {"worker-1"},
			"tokenreview.dev/serviceaccount-uid": {accountUID},
		},
	}
	if diff := cmp.Diff(want, bound.User); diff != "" {
		t.Errorf("bound to a pod: expected -, got +\n%s", diff)
	}
	want.Extra = map[string][]string{"tokenreview.dev/cluster": {"build"}, "tokenreview.dev/serviceaccount-uid": {accountUID}}
	if diff := cmp.Diff(want, decide(t, p, deployer).User); diff != "" {
		t.Errorf("bound to nothing: expected -, got +\n%s", diff)
	}
	t.Run("beside those that document 1 gives", func(t *testing.T) {
		authenticator := plainly("sub", "groups")
		authenticator.ClaimMappings.Extra = []apiserver.ExtraMapping{{Key: "example.com/team", ValueExpression: `"red"`}}
		p := compiled(t, policy.Config{Authenticator: authenticator, Policy: kubernetes()})
		got := decide(t, p, `{"groups":["build:system:serviceaccounts","own"],`+deployer[1:])
		want := &user.DefaultInfo{
			Name:   "u:system:serviceaccount:ci:deployer",
			Groups: []string{"build:system:serviceaccounts", "own", "build:system:serviceaccounts:ci"},
			Extra:  map[string][]string{"tokenreview.dev/cluster": {"build"}, "tokenreview.dev/serviceaccount-uid": {accountUID}, "example.com/team": {"red"}},
		}
		if diff := cmp.Diff(want, got.User); diff != "" {
			t.Errorf("expected -, got +\n%s", diff)
		}
	})
	t.Run("which the rules of document 1 over the user see", func(t *testing.T) {
		authenticator := plainly("sub", "")
		authenticator.UserValidationRules = []apiserver.UserValidationRule{
			{Expression: `!("build:system:serviceaccounts:ci" in user.groups)`, Message: "nobody of ci"},
		}
		decide(t, compiled(t, policy.Config{Authenticator: authenticator, Policy: kubernetes()}), deployer).expect(t, reason.UserRuleFailed, "nobody of ci")
		authenticator.UserValidationRules = []apiserver.UserValidationRule{
			{Expression: `user.extra["tokenreview.dev/cluster"] != ["build"]`, Message: "nobody of build"},
		}
		decide(t, compiled(t, policy.Config{Authenticator: authenticator, Policy: kubernetes()}), deployer).expect(t, reason.UserRuleFailed, "nobody of build")
	})
	t.Run("never those of this cluster's accounts", func(t *testing.T) {
		bare := plainly("sub", "")
		bare.ClaimMappings.Username.Prefix = text("")
		p := compiled(t, policy.Config{Authenticator: bare, Policy: kubernetes()})
		decide(t, p, deployer).expect(t, reason.ReservedName, "system:serviceaccount:ci:deployer")
		decide(t, compiled(t, policy.Config{Authenticator: bare, Policy: audited(kubernetes())}), deployer).expect(t, reason.ReservedName, "")
	})
}

func TestTheTraceSaysWhichRuleAdmitsAnAccount(t *testing.T) {
	for _, test := range []struct {
		name   string
		rules  []v1alpha1.KubernetesRule
		detail string
	}{
		{"the second", []v1alpha1.KubernetesRule{{Namespace: "cd"}, {Namespace: "ci"}}, "allow[1] admits ci/deployer"},
		{"none, where there is none", nil, "without rules, every account is admitted: ci/deployer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := decide(t, compiled(t, policy.Config{Policy: kubernetes(test.rules...)}), deployer)
			if want := (trace.Step{Check: "kubernetes.allow", Outcome: trace.Passed, Detail: test.detail}); got.step(want.Check) != want {
				t.Errorf("expected %+v, got %+v", want, got.step(want.Check))
			}
		})
	}
}

func TestLiveness(t *testing.T) {
	asking := func(onFailure v1alpha1.LivenessFailure) v1alpha1.IssuerPolicySpec {
		spec := kubernetes(v1alpha1.KubernetesRule{Namespace: "ci"})
		spec.Kubernetes.Liveness, spec.Kubernetes.LivenessOnFailure = v1alpha1.LivenessTokenReview, onFailure
		return spec
	}
	deny, signature := asking(v1alpha1.LivenessFailureDeny), asking(v1alpha1.LivenessFailureSignature)
	away := awayError{errors.New("connection refused")}
	busy := errors.New("it is being asked about too many tokens")
	for _, test := range []struct {
		name    string
		policy  v1alpha1.IssuerPolicySpec
		cluster *cluster
		code    reason.Code
		text    string
		would   reason.Code
	}{
		{"alive", deny, &cluster{}, "", "", ""},
		{"gone", deny, &cluster{problem: "the pod is gone"}, reason.NotLive, "the pod is gone", ""},
		{"gone, and the signature counts in an outage only", signature, &cluster{problem: "the pod is gone"}, reason.NotLive, "", ""},
		{"away", deny, &cluster{err: away}, reason.LivenessUnavailable, "connection refused", ""},
		{"away, and the signature counts meanwhile", signature, &cluster{err: away}, "", "", reason.LivenessUnavailable},
		{"busy, which whoever holds a dead token may have brought about", signature, &cluster{err: busy}, reason.LivenessUnavailable, "too many tokens", ""},
		{"gone, only audited", audited(deny), &cluster{problem: "the pod is gone"}, "", "", reason.NotLive},
		{"away, only audited", audited(deny), &cluster{err: away}, "", "", reason.LivenessUnavailable},
		{"away, only audited, and the signature counts", audited(signature), &cluster{err: away}, "", "", reason.LivenessUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := decide(t, compiled(t, policy.Config{Policy: test.policy, Liveness: test.cluster}), podBound)
			got.expect(t, test.code, test.text)
			if got.WouldRefuse.Code != test.would {
				t.Errorf("expected %q to be recorded, got %q", test.would, got.WouldRefuse)
			}
			if test.cluster.err != nil && !strings.Contains(got.WouldRefuse.Text+got.text(), test.cluster.err.Error()) {
				t.Errorf("expected what is recorded or refused to say why, got %+v", got)
			}
			if !got.Asked {
				t.Error("expected the decision to say that somebody was asked")
			}
			if want := "the.token.itself a system:serviceaccount:ci:deployer"; test.cluster.asked[0] != want {
				t.Errorf("expected to be asked about %q, got %q", want, test.cluster.asked)
			}
			if last := got.steps[len(got.steps)-1]; last.Check != "kubernetes.liveness" || (test.would != "") != (last.Outcome == trace.WouldFail) {
				t.Errorf("expected the question to come last, got %+v", last)
			} else if test.code != "" && (last.Outcome != trace.Failed || last.Detail != got.text()) {
				t.Errorf("expected the trace to say why, got %+v", last)
			} else if alive := `the cluster that issued the token honours it for "system:serviceaccount:ci:deployer"`; last.Outcome == trace.Passed && last.Detail != alive {
				t.Errorf("expected the trace to say %q, got %+v", alive, last)
			}
		})
	}
	t.Run("nobody lets in where there is nobody to ask", func(t *testing.T) {
		got := decide(t, compiled(t, policy.Config{Policy: signature}), podBound)
		got.expect(t, reason.LivenessUnavailable, "there is nobody to ask")
	})
	t.Run("nobody is asked about a token that enforcement would refuse anyway", func(t *testing.T) {
		asked := &cluster{problem: "the pod is gone"}
		spec := audited(asking(v1alpha1.LivenessFailureDeny))
		spec.Kubernetes.Allow[0].Namespace = "cd"
		got := decide(t, compiled(t, policy.Config{Policy: spec, Liveness: asked}), podBound)
		got.expect(t, "", "")
		if got.WouldRefuse.Code != reason.ServiceAccountNotAllowed || len(asked.asked) > 0 || got.Asked {
			t.Errorf("expected the first refusal to be recorded, got %q, asked about %q", got.WouldRefuse, asked.asked)
		}
	})
	t.Run("nobody is asked about a token that is refused anyway", func(t *testing.T) {
		asked := &cluster{}
		p := compiled(t, policy.Config{Policy: asking(v1alpha1.LivenessFailureDeny), Liveness: asked})
		decide(t, p, `{"sub":"system:serviceaccount:cd:x","kubernetes.io":{"namespace":"cd","serviceaccount":{"name":"x","uid":"u"}}}`).expect(t, reason.ServiceAccountNotAllowed, "")
		if len(asked.asked) > 0 {
			t.Errorf("asked about %q", asked.asked)
		}
	})
}
