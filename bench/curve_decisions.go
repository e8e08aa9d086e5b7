package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

type object = map[string]any

// decisionCurves are those of an uncached decision, on one core.
func (b *bench) decisionCurves(ctx context.Context, r *report) error {
	for _, one := range []struct {
		what    string
		at      []int
		subject func(ctx context.Context, n int) (subject, *tokenreview.Rules, error)
		why     string
	}{
		{"issuers", b.sizes.issuers, b.withIssuers, ""},
		{"rules in `githubActions.allow`", b.sizes.rules, b.withRules, ""},
		{"keys of the issuer", b.sizes.keys, b.withKeys, ""},
	} {
		times, err := b.decisionCurve(ctx, one.at, one.subject)
		if err != nil {
			return fmt.Errorf("%s: %w", one.what, err)
		}
		r.curves = append(r.curves, timeCurve(one.what+", uncached decision", one.at, times, one.why))
	}
	return b.groupsCurve(ctx, r)
}

func (b *bench) decisionCurve(ctx context.Context, at []int, of func(context.Context, int) (subject, *tokenreview.Rules, error)) ([]sample, error) {
	var subjects []subject
	for _, n := range at {
		one, rules, err := of(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", n, err)
		}
		defer rules.Issuers.Close(nil)
		subjects = append(subjects, one)
	}
	return b.onOneCore(ctx, subjects)
}

// withIssuers trusts n issuers, all but the last of which the token is not from.
func (b *bench) withIssuers(ctx context.Context, n int) (subject, *tokenreview.Rules, error) {
	var entries []apiserverv1.JWTAuthenticator
	var policies []object
	var url string
	for i := range n {
		url = fmt.Sprintf("https://issuer-%d.example", i)
		entries = append(entries, b.a.entryFor(url))
		policies = append(policies, policyOf(url, b.a.issuer.Key()))
	}
	return b.deciding(ctx, entries, policies, b.a.issuer.Key().Sign(b.a.token.Claims.With(issuertest.Claims{"iss": url})))
}

// withRules has n rules that admit repositories, the last of them the token's.
func (b *bench) withRules(ctx context.Context, n int) (subject, *tokenreview.Rules, error) {
	claims := b.a.token.Claims
	rules := make([]object, n)
	for i := range rules {
		rules[i] = object{
			"repository": fmt.Sprintf("octo-%d/app-%d", i%7, i), "repositoryID": fmt.Sprint(1000 + i), "ownerID": fmt.Sprint(5000 + i%7),
			"refs": []string{"refs/heads/main"}, "events": []string{"push"},
		}
	}
	rules[n-1] = object{
		"repository": claims["repository"], "repositoryID": claims["repository_id"], "ownerID": claims["repository_owner_id"],
		"refs": []any{claims["ref"]}, "events": []any{claims["event_name"]},
	}
	policy := policyOf(b.a.issuer.URL, b.a.issuer.Key())
	policy["spec"].(object)["githubActions"] = object{"allow": rules}
	return b.deciding(ctx, []apiserverv1.JWTAuthenticator{b.a.entryFor(b.a.issuer.URL)}, []object{policy}, b.minter.next())
}

// withKeys has n keys, the last of them the token's, which names it. What kind the others
// are makes no difference to it.
func (b *bench) withKeys(ctx context.Context, n int) (subject, *tokenreview.Rules, error) {
	var keys []issuertest.Key
	for i := range n - 1 {
		keys = append(keys, issuertest.NewKey(fmt.Sprintf("other-%d", i), "ES256"))
	}
	policy := policyOf(b.a.issuer.URL, append(keys, b.a.issuer.Key())...)
	return b.deciding(ctx, []apiserverv1.JWTAuthenticator{b.a.entryFor(b.a.issuer.URL)}, []object{policy}, b.minter.next())
}

// deciding is an uncached decision about a token by a configuration.
func (b *bench) deciding(ctx context.Context, entries []apiserverv1.JWTAuthenticator, policies []object, token string) (subject, *tokenreview.Rules, error) {
	configuration, err := documents(entries, policies...)
	if err != nil {
		return nil, nil, err
	}
	_, rules, err := rulesOf(ctx, configuration)
	if err != nil {
		return nil, nil, err
	}
	return reviewing(ctx, uncached(rules), token), rules, nil
}

// entryFor is case A's entry in document 1 for an issuer whose keys a policy has.
func (a *caseA) entryFor(url string) apiserverv1.JWTAuthenticator {
	entry := a.entry
	entry.Issuer.URL, entry.Issuer.DiscoveryURL, entry.Issuer.CertificateAuthority = url, nil, ""
	return entry
}

// policyOf is an issuer's policy with its keys in it.
func policyOf(url string, keys ...issuertest.Key) object {
	return object{
		"apiVersion": "tokenreview.dev/v1alpha1", "kind": "IssuerPolicy",
		"metadata": object{"name": strings.ReplaceAll(strings.TrimPrefix(url, "https://"), ".", "-")},
		"spec":     object{"issuer": url, "keys": object{"jwks": string(issuertest.KeySet(keys...))}},
	}
}

// documents is a configuration file.
func documents(entries []apiserverv1.JWTAuthenticator, policies ...object) ([]byte, error) {
	file := []byte("---\n")
	first, err := json.Marshal(object{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": entries})
	if err != nil {
		return nil, err
	}
	file = append(file, first...)
	for _, policy := range policies {
		document, err := json.Marshal(policy)
		if err != nil {
			return nil, err
		}
		file = append(append(file, "\n---\n"...), document...)
	}
	return append(file, '\n'), nil
}
