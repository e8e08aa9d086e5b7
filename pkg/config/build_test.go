package config

import (
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/pkg/entra"
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
	before := buildRules(t, nil, Options{}, file)
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
			sameGroups, sameLive := asked(buildRules(t, before, Options{}, text))
			if sameGroups != test.groups || sameLive != test.live {
				t.Errorf("expected Graph to go on: %v, the cluster: %v; got %v, %v", test.groups, test.live, sameGroups, sameLive)
			}
		})
	}
}

func TestPoliciesGoByTheClockGiven(t *testing.T) {
	now := func() time.Time { return time.Unix(1000, 0) }
	rules := buildRules(t, nil, Options{Options: issuers.Options{Now: now}}, `apiVersion: apiserver.config.k8s.io/v1
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
`)
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

// entraFile is a configuration whose issuer's groups are resolved.
const entraFile = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: ISSUER, audiences: [a]}
  claimMappings: {username: {claim: oid, prefix: "entra:"}}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: entra}
spec:
  issuer: ISSUER
  keys: KEYS
  entra:
    groupOverage: Resolve
    graph: {clientID: 80faf920-1908-4b52-b5ef-a8e7bedfc67a, GRAPH}
`

// buildRules builds the rules of a configuration, which end with the test.
func buildRules(t *testing.T, previous *tokenreview.Rules, options Options, text string) *tokenreview.Rules {
	t.Helper()
	loaded, err := Parse("webhook.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := loaded.Build(previous, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rules.Issuers.Close(nil) })
	return rules
}

// graphOf is whom the policy asks for groups.
func graphOf(t *testing.T, rules *tokenreview.Rules, name string) *entra.Graph {
	t.Helper()
	groups, _ := rules.Policies[name].Asked()
	graph, ok := groups.(*entra.Graph)
	if !ok {
		t.Fatalf("expected the policy %q to ask Microsoft Graph, got %T", name, groups)
	}
	return graph
}

func TestMicrosoftGraphIsAskedAsTheConfigurationSays(t *testing.T) {
	const (
		tenant = "de5169f1-9a13-45fe-a4cf-07feee258b7f"
		client = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"
		file   = "{jwksFile: /missing/entra.jwks}"
		secret = "clientSecretFile: /missing/secret"
	)
	asked := func(change func(*entra.GraphConfig)) entra.GraphConfig {
		config := entra.GraphConfig{
			Tenant: tenant, Cloud: entra.CloudPublic, ClientID: client, ClientSecretFile: "/missing/secret",
			SecurityEnabledOnly: true, CacheTTL: 5 * time.Minute,
		}
		if change != nil {
			change(&config)
		}
		return config
	}
	in := func(cloud entra.Cloud) entra.GraphConfig {
		return asked(func(config *entra.GraphConfig) { config.Cloud = cloud })
	}
	for _, test := range []struct {
		name, issuer, keys, graph string
		want                      entra.GraphConfig
	}{
		{"the public cloud", "https://login.microsoftonline.com/" + tenant + "/v2.0", file, secret, in(entra.CloudPublic)},
		{"the US government's", "https://login.microsoftonline.us/" + tenant + "/v2.0", file, secret, in(entra.CloudUSGovernment)},
		{"the US Department of Defense's, which no issuer tells", "https://login.microsoftonline.us/" + tenant + "/v2.0", file, secret + ", cloud: USGovernmentDoD", in(entra.CloudUSGovernmentDoD)},
		{"China's", "https://login.partner.microsoftonline.cn/" + tenant + "/v2.0", file, secret, in(entra.CloudChina)},
		{"China's, of v1", "https://sts.chinacloudapi.cn/" + tenant + "/", file, secret, in(entra.CloudChina)},
		{"v1 of two clouds, by the key set's URL", "https://sts.windows.net/" + tenant + "/", "{jwksURL: 'https://login.microsoftonline.us/" + tenant + "/discovery/keys'}", secret, in(entra.CloudUSGovernment)},
		{"v1 of two clouds, by the public key set's URL", "https://sts.windows.net/" + tenant + "/", "{jwksURL: 'https://login.microsoftonline.com/" + tenant + "/discovery/keys'}", secret, in(entra.CloudPublic)},
		{"v1 of two clouds, as said", "https://sts.windows.net/" + tenant + "/", file, secret + ", cloud: USGovernment", in(entra.CloudUSGovernment)},
		{"a tenant in capitals", "https://login.microsoftonline.com/" + strings.ToUpper(tenant) + "/v2.0", file, secret, in(entra.CloudPublic)},
		{"a federated credential", "https://login.microsoftonline.com/" + tenant + "/v2.0", file, "clientAssertionFile: /missing/assertion",
			asked(func(config *entra.GraphConfig) {
				config.ClientSecretFile, config.ClientAssertionFile = "", "/missing/assertion"
			})},
		{"all kinds of groups, without memory", "https://login.microsoftonline.com/" + tenant + "/v2.0", file, secret + ", securityEnabledOnly: false, cacheTTL: 0s",
			asked(func(config *entra.GraphConfig) { config.SecurityEnabledOnly, config.CacheTTL = false, 0 })},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.NewReplacer("ISSUER", test.issuer, "KEYS", test.keys, "GRAPH", test.graph).Replace(entraFile)
			if got := graphOf(t, buildRules(t, nil, Options{}, text), "entra").Config(); got != test.want {
				t.Errorf("expected %+v, got %+v", test.want, got)
			}
		})
	}
}

// v1 and v2 are two issuers of one tenant. Graph says how long not to ask to the
// application, and knows one person by one oid.
func TestIssuersOfOneTenantAskTogether(t *testing.T) {
	const (
		issuers = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: "https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/v2.0", audiences: [a]}
  claimMappings: {username: {claim: oid, prefix: "v2:"}}
- issuer: {url: "https://sts.windows.net/de5169f1-9a13-45fe-a4cf-07feee258b7f/", audiences: [a], discoveryURL: "https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/.well-known/openid-configuration"}
  claimMappings: {username: {claim: oid, prefix: "v1:"}}
- issuer: {url: "https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111/v2.0", audiences: [a]}
  claimMappings: {username: {claim: oid, prefix: "other:"}}
`
		policyOf = `---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: NAME}
spec:
  issuer: ISSUER
  entra:
    groupOverage: Resolve
    graph: {clientID: 80faf920-1908-4b52-b5ef-a8e7bedfc67a, clientSecretFile: /missing/secret}
`
	)
	text := issuers
	for name, issuer := range map[string]string{
		"v2": "https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/v2.0",
		"v1": "https://sts.windows.net/de5169f1-9a13-45fe-a4cf-07feee258b7f/", "other": "https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111/v2.0",
	} {
		text += strings.NewReplacer("NAME", name, "ISSUER", issuer).Replace(policyOf)
	}
	rules := buildRules(t, nil, Options{}, text)
	if graphOf(t, rules, "v1") != graphOf(t, rules, "v2") {
		t.Error("expected one Graph for both issuers of the tenant")
	}
	if graphOf(t, rules, "other") == graphOf(t, rules, "v2") {
		t.Error("expected another Graph for another tenant, in which an oid is somebody else's")
	}
	if renamed := buildRules(t, rules, Options{}, strings.ReplaceAll(text, "name: v2", "name: v3")); graphOf(t, renamed, "v3") != graphOf(t, rules, "v2") {
		t.Error("expected Graph to go on under another name of the issuer")
	}
}

const oneIssuer = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- {issuer: {url: "https://a.example", audiences: [a]}, claimMappings: {username: {claim: sub, prefix: "a:"}}}
`

func TestLimitsAreThoseOfTheFile(t *testing.T) {
	for text, limits := range map[string]tokenreview.Limits{
		oneIssuer: tokenreview.DefaultLimits(),
		oneIssuer + "---\napiVersion: tokenreview.dev/v1alpha1\nkind: WebhookConfiguration\nspec: {limits: {maxRequestsInFlight: 7, maxConnections: 9}}\n": {MaxRequestsInFlight: 7, MaxConnections: 9},
	} {
		if got := buildRules(t, nil, Options{}, text).Limits; got != limits {
			t.Errorf("expected %+v, got %+v", limits, got)
		}
	}
}

func TestDecisionsAreRememberedAsTheFileSays(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	for text, decisions := range map[string]tokenreview.DecisionCache{
		oneIssuer: {AllowedTTL: 10 * time.Second, RefusedTTL: 5 * time.Second, MaxEntries: 10_000},
		oneIssuer + "---\napiVersion: tokenreview.dev/v1alpha1\nkind: WebhookConfiguration\nspec: {decisionCache: {allowedTTL: 1m, refusedTTL: 0s, maxEntries: 7}}\n": {AllowedTTL: time.Minute, MaxEntries: 7},
	} {
		rules := buildRules(t, nil, Options{Options: issuers.Options{Now: func() time.Time { return clock }}}, text)
		if rules.Decisions != decisions {
			t.Errorf("expected %+v, got %+v", decisions, rules.Decisions)
		}
		if !rules.Now().Equal(clock) {
			t.Error("expected them to grow old by the clock of the keys")
		}
	}
}
