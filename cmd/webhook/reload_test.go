package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/internal/server"
	"tokenreview.dev/webhook/pkg/config"
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
	reviewer := tokenreview.NewReviewer(rules, nil)
	r := &reloader{
		file: "webhook.yaml", reviewer: reviewer, log: slog.New(slog.NewTextHandler(&log, nil)),
		health: server.NewHealth(reviewer, server.NewMetrics("", "")),
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
