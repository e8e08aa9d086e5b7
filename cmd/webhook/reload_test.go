package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/internal/server"
	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/audit"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// configurationFor trusts issuers with a rule over the claim "team".
func configurationFor(team string, all ...*issuertest.Issuer) []byte {
	var text strings.Builder
	text.WriteString("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n")
	for _, issuer := range all {
		text.WriteString("- issuer:\n    url: " + issuer.URL + "\n    audiences: [a]\n    certificateAuthority: |\n      " +
			strings.ReplaceAll(strings.TrimSpace(issuer.CertificateAuthority()), "\n", "\n      ") +
			"\n  claimMappings: {username: {claim: sub, prefix: ''}}\n  claimValidationRules: [{claim: team, requiredValue: " + team + "}]\n")
	}
	return []byte(text.String())
}

func TestReload(t *testing.T) {
	first, second := issuertest.Start(""), issuertest.Start("")
	t.Cleanup(first.Close)
	t.Cleanup(second.Close)
	loaded, err := config.Parse("webhook.yaml", configurationFor("red", first))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := loaded.Build(nil, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rules.Issuers.AwaitFirstFetch(t.Context())
	var log bytes.Buffer
	reviewer := tokenreview.NewReviewer(rules)
	r := &reloader{
		file: "webhook.yaml", reviewer: reviewer, audit: newAuditLog(t), log: slog.New(slog.NewTextHandler(&log, nil)),
		health: server.NewHealth(reviewer, nil, server.NewMetrics("", "")),
	}
	t.Cleanup(func() { reviewer.Rules().Issuers.Close(nil) })
	accepts := func(issuer *issuertest.Issuer, team string) bool {
		t.Helper()
		answer := reviewer.Review(t.Context(), issuer.Sign(issuertest.Claims{
			"aud": "a", "sub": "jane", "team": team, "exp": time.Now().Add(time.Hour).Unix(),
		}), nil, nil)
		if answer.Undecided {
			t.Errorf("undecided: %s", answer.Refusal)
		}
		return answer.User != nil
	}
	if !accepts(first, "red") || accepts(first, "blue") || accepts(second, "red") {
		t.Fatal("the first configuration does not decide as written")
	}

	if err := r.apply(t.Context(), configurationFor("blue", first, second)); err != nil {
		t.Fatal(err)
	}
	if accepts(first, "red") || !accepts(first, "blue") || !accepts(second, "blue") {
		t.Error("the changed configuration does not decide as written, right from when it is in force")
	}
	if _, fetches := first.Fetches(); fetches != 1 {
		t.Errorf("expected the unchanged issuer to go on with its keys, got %d fetches", fetches)
	}

	err = r.apply(t.Context(), append(configurationFor("green", first), "nonsense: true\n"...))
	if err == nil || !strings.Contains(err.Error(), `webhook.yaml:`) || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("expected the broken configuration's error with its place, got %v", err)
	}
	if accepts(first, "green") || !accepts(first, "blue") || !accepts(second, "blue") {
		t.Error("a broken configuration has changed the decisions")
	}

	if err := r.apply(t.Context(), configurationFor("blue", second)); err != nil {
		t.Fatal(err)
	}
	if accepts(first, "blue") || !accepts(second, "blue") {
		t.Error("an issuer that was removed is still trusted, or the other no longer is")
	}
}

// A file that only a token's decision needs is missed at once, not by the first
// token.
func TestFilesThatCannotBeUsedAreToldOfWhenTheConfigurationIsLoaded(t *testing.T) {
	const file = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: https://build.example.com, audiences: [a]}
  claimMappings: {username: {claim: sub, prefix: "build:"}}
- issuer: {url: https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/v2.0, audiences: [a]}
  claimMappings: {username: {claim: oid, prefix: "entra:"}}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: build}
spec:
  issuer: https://build.example.com
  keys: {jwksFile: /missing/build.jwks}
  kubernetes: {clusterName: build, liveness: TokenReview, kubeconfig: /missing/kubeconfig}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: entra}
spec:
  issuer: https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/v2.0
  keys: {jwksFile: /missing/entra.jwks}
  entra:
    groupOverage: Resolve
    graph: {clientID: 80faf920-1908-4b52-b5ef-a8e7bedfc67a, clientSecretFile: /missing/secret}
`
	loaded, err := config.Parse("webhook.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := loaded.Build(nil, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rules.Issuers.Close(nil) })
	var log bytes.Buffer
	r := &reloader{
		log:    slog.New(slog.NewTextHandler(&log, nil)),
		audit:  newAuditLog(t),
		health: server.NewHealth(tokenreview.NewReviewer(rules), nil, server.NewMetrics("", "")),
	}
	r.loaded(loaded, rules)
	for issuer, path := range map[string]string{"build": "/missing/kubeconfig", "entra": "/missing/secret"} {
		told := slices.ContainsFunc(strings.Split(log.String(), "\n"), func(line string) bool {
			return strings.Contains(line, "level=WARN") && strings.Contains(line, "issuer="+issuer+" ") && strings.Contains(line, path)
		})
		if !told {
			t.Errorf("expected a warning about %s's %s, got\n%s", issuer, path, log.String())
		}
	}
}

// closer answers in the place of Microsoft Graph or another cluster.
type closer struct{ closed int }

func (c *closer) Groups(context.Context, string, bool) ([]string, bool, error) {
	return nil, false, nil
}

func (c *closer) Check(context.Context, string, []string, string) (string, error) { return "", nil }

func (c *closer) Close() { c.closed++ }

func TestThoseWhoAreNoLongerAskedAreClosed(t *testing.T) {
	kept, replaced, replacement, dropped := &closer{}, &closer{}, &closer{}, &closer{}
	rules := func(policies map[string]policy.Config) *tokenreview.Rules {
		rules := &tokenreview.Rules{Policies: map[string]*policy.Policy{}}
		for name, config := range policies {
			rules.Policies[name] = policy.New(config)
		}
		return rules
	}
	closeReplaced(
		rules(map[string]policy.Config{"entra": {Groups: kept}, "build": {Liveness: replaced}, "old": {Liveness: dropped}, "plain": {}}),
		rules(map[string]policy.Config{"entra": {Groups: kept}, "build": {Liveness: replacement}, "plain": {}}))
	if kept.closed != 0 || replaced.closed != 1 || replacement.closed != 0 || dropped.closed != 1 {
		t.Errorf("expected the replaced and the dropped one to be closed, got %d kept, %d replaced, %d replacement, %d dropped",
			kept.closed, replaced.closed, replacement.closed, dropped.closed)
	}
}

func newAuditLog(t *testing.T) *audit.Log {
	t.Helper()
	log := audit.New(audit.Options{Stdout: io.Discard, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		if err := log.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return log
}

func TestAChangedConfigurationTakesTheAuditLogElsewhere(t *testing.T) {
	issuer := issuertest.Start("https://issuer.example")
	t.Cleanup(issuer.Close)
	path := filepath.Join(t.TempDir(), "audit.log")
	configuration := append(configurationFor("red", issuer), "---\napiVersion: tokenreview.dev/v1alpha1\nkind: WebhookConfiguration\nspec: {audit: {path: "+path+"}}\n"...)
	loaded, err := config.Parse("webhook.yaml", configuration)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := loaded.Build(nil, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	reviewer := tokenreview.NewReviewer(rules)
	t.Cleanup(func() { reviewer.Rules().Issuers.Close(nil) })
	r := &reloader{
		file: "webhook.yaml", reviewer: reviewer, log: slog.New(slog.DiscardHandler), audit: newAuditLog(t),
		health: server.NewHealth(reviewer, nil, server.NewMetrics("", "")),
	}
	if err := r.apply(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	r.audit.Write(&audit.Record{RequestID: "here"}, v1alpha1.AuditAll)
	if err := r.audit.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lines, err := os.ReadFile(path); err != nil || !strings.Contains(string(lines), `"requestID":"here"`) {
		t.Errorf("got %s, %v", lines, err)
	}
}
