package config

import (
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// What is asked while a token is decided remembers answers, and for how long not to
// ask: a change elsewhere in the file must not make it forget.
func TestWhoIsAskedGoesOnOverAChangeOfTheRest(t *testing.T) {
	const file = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/v2.0, audiences: [a]}
  claimMappings: {username: {claim: oid, prefix: "entra:"}}
- issuer: {url: https://build.example.com, audiences: [a]}
  claimMappings: {username: {claim: sub, prefix: "build:"}}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: entra}
spec:
  issuer: https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/v2.0
  keys: {jwksFile: /missing/entra.jwks}
  entra:
    groupOverage: Resolve
    graph: {clientID: 80faf920-1908-4b52-b5ef-a8e7bedfc67a, clientSecretFile: /missing/secret, cacheTTL: 5m}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: build}
spec:
  issuer: https://build.example.com
  keys: {jwksFile: /missing/build.jwks}
  kubernetes: {clusterName: build, liveness: TokenReview, kubeconfig: /missing/kubeconfig, livenessCacheTTL: 10s}
`
	build := func(previous *tokenreview.Rules, text string) *tokenreview.Rules {
		t.Helper()
		loaded, err := Parse("webhook.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		rules, err := loaded.Build(previous, Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { rules.Issuers.Close(nil) })
		return rules
	}
	before := build(nil, file)
	groups, live := before.Policies["entra"], before.Policies["build"]
	asked := func(rules *tokenreview.Rules) (sameGroups, sameLive bool) {
		oldGroups, _ := groups.Asked()
		newGroups, _ := rules.Policies["entra"].Asked()
		_, oldLive := live.Asked()
		_, newLive := rules.Policies["build"].Asked()
		return oldGroups == newGroups, oldLive == newLive
	}
	for _, test := range []struct {
		name, old, new string
		groups, live   bool
	}{
		{"nothing", "", "", true, true},
		{"a prefix", `prefix: "entra:"`, `prefix: "e:"`, true, true},
		{"the credential", "/missing/secret", "/missing/other", false, true},
		{"how long Graph's answers are remembered", "cacheTTL: 5m", "cacheTTL: 1m", false, true},
		{"the kubeconfig", "/missing/kubeconfig", "/missing/other", true, false},
		{"how long the cluster's answers are remembered", "livenessCacheTTL: 10s", "livenessCacheTTL: 1s", true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.ReplaceAll(file, test.old, test.new)
			if test.old == "" {
				text = file
			}
			sameGroups, sameLive := asked(build(before, text))
			if sameGroups != test.groups || sameLive != test.live {
				t.Errorf("expected Graph to go on: %v, the cluster: %v; got %v, %v", test.groups, test.live, sameGroups, sameLive)
			}
		})
	}
}

func TestPoliciesGoByTheClockGiven(t *testing.T) {
	loaded, err := Parse("webhook.yaml", []byte(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: https://id.example.com, audiences: [a]}
  claimMappings: {username: {claim: sub, prefix: "id:"}}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: id}
spec:
  issuer: https://id.example.com
  keys: {jwksFile: /missing/id.jwks}
  token: {maxLifetime: 1h}
`))
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return time.Unix(1000, 0) }
	rules, err := loaded.Build(nil, Options{Options: issuers.Options{Now: now}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rules.Issuers.Close(nil) })
	// Long past by any other clock, and so not issued ahead.
	claims, err := issuers.NewClaims([]byte(`{"sub":"jane","iat":1061,"exp":4601}`))
	if err != nil {
		t.Fatal(err)
	}
	decision, err := rules.Policies["id"].Decide(t.Context(), policy.Request{Claims: claims}, nil)
	if err != nil || decision.Refusal.Code != reason.LifetimeTooLong {
		t.Errorf("expected %s, got %+v, %v", reason.LifetimeTooLong, decision, err)
	}
}
