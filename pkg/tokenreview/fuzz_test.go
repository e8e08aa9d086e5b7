package tokenreview_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/tokenreview"
	"tokenreview.dev/webhook/pkg/trace"
)

// What the fuzz targets of this package share. Nothing in it is by chance, and no
// token makes anybody fetch anything: the keys stand in the configuration, and no
// groups come from a claim that a token could say is kept elsewhere.
const fuzzConfiguration = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: "https://issuer.example", audiences: [cluster, second], audienceMatchPolicy: MatchAny}
  claimMappings:
    username: {claim: sub, prefix: "oidc:"}
    groups: {expression: "has(claims.groups) ? claims.groups : []"}
    uid: {claim: sub}
    extra: [{key: example.com/team, valueExpression: "has(claims.team) ? claims.team : ''"}]
  claimValidationRules:
  - {claim: hd, requiredValue: example.com}
  - {expression: "!has(claims.level) || claims.level > 1.0", message: level must be above 1}
  userValidationRules:
  - {expression: "user.username != 'oidc:root'", message: nobody is root}
- issuer: {url: "https://token.actions.githubusercontent.com", audiences: [cluster]}
  claimMappings: {username: {expression: "'github:' + claims.repository_id + ':' + claims.ref"}}
- issuer: {url: "https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/v2.0", audiences: [cluster]}
  claimMappings: {username: {claim: oid, prefix: "entra:"}}
- issuer: {url: "https://kubernetes.default.svc.cluster.local", audiences: [cluster]}
  claimMappings: {username: {expression: "'build:' + claims.sub"}}
- issuer: {url: "https://edwards.example", audiences: [cluster]}
  claimMappings: {username: {claim: sub, prefix: ""}}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: main}
spec: {issuer: "https://issuer.example", keys: {jwks: '%s'}}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: github}
spec:
  issuer: https://token.actions.githubusercontent.com
  keys: {jwks: '%s'}
  githubActions:
    allow:
    - {repository: Octo-Org/shop, repositoryID: "74", ownerID: "65", refs: [refs/heads/main, "refs/tags/v*"], events: [push], groups: [deployers]}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: entra}
spec:
  issuer: https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/v2.0
  keys: {jwks: '%s'}
  entra: {tenantIDs: [de5169f1-9a13-45fe-a4cf-07feee258b7f], clientIDs: [80faf920-1908-4b52-b5ef-a8e7bedfc67a]}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: build}
spec:
  issuer: https://kubernetes.default.svc.cluster.local
  keys: {jwks: '%s'}
  kubernetes: {clusterName: build, allow: [{namespace: "ci-*", serviceAccount: deployer}]}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: edwards}
spec: {issuer: "https://edwards.example", keys: {algorithms: [EdDSA], jwks: '%s'}}
`

// signer is a key, and the issuer that has published it: none of those that have not.
type signer struct {
	issuertest.Key
	issuer string
}

// signers are the keys of the issuers above; and one that nobody has published, and
// one by the name of another.
func signers() []signer {
	return []signer{
		{issuertest.DerivedKey("rsa", "RS256"), "https://issuer.example"},
		{issuertest.DerivedKey("ec", "ES256"), "https://issuer.example"},
		{issuertest.DerivedKey("github", "ES256"), "https://token.actions.githubusercontent.com"},
		{issuertest.DerivedKey("entra", "ES256"), "https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/v2.0"},
		{issuertest.DerivedKey("build", "ES256"), "https://kubernetes.default.svc.cluster.local"},
		{issuertest.DerivedKey("edwards", "EdDSA"), "https://edwards.example"},
		{issuertest.DerivedKey("stranger", "ES256"), ""},
		{issuertest.Key{ID: "ec", Algorithm: "ES256", Private: issuertest.DerivedKey("impostor", "ES256").Private}, ""},
	}
}

// fuzzClaims are claims of each signer that its issuer's policy lets in.
func fuzzClaims(s signer) claims {
	base := claims{"iss": s.issuer, "aud": "cluster", "sub": "jane", "exp": 4102444800}
	switch s.ID {
	case "github":
		return base.With(claims{
			"repository": "octo-org/shop", "repository_id": "74", "repository_owner": "octo-org", "repository_owner_id": "65",
			"ref": "refs/heads/main", "event_name": "push",
		})
	case "entra":
		return base.With(claims{"oid": "0c6b2e4e-53c5-4f0a-9d5e-6a1f3f6f8f0b", "tid": "de5169f1-9a13-45fe-a4cf-07feee258b7f", "azp": "80faf920-1908-4b52-b5ef-a8e7bedfc67a", "scp": "user.read"})
	case "build":
		return base.With(claims{
			"sub":           "system:serviceaccount:ci-shop:deployer",
			"kubernetes.io": claims{"namespace": "ci-shop", "serviceaccount": claims{"name": "deployer", "uid": "7c56382f"}, "pod": claims{"name": "p", "uid": "u"}},
		})
	default:
		return base.With(claims{"hd": "example.com", "groups": []string{"devs"}, "team": "red", "jti": "id-1"})
	}
}

// newFuzzReviewer makes a reviewer for the configuration above, and upstream's
// authenticators for it: but for EdDSA, which they do not know.
func newFuzzReviewer(f *testing.F) (*tokenreview.Reviewer, []authenticator.Token) {
	f.Helper()
	byIssuer := make(map[string][]issuertest.Key)
	var order []string
	for _, s := range signers() {
		if s.issuer != "" && byIssuer[s.issuer] == nil {
			order = append(order, s.issuer)
		}
		byIssuer[s.issuer] = append(byIssuer[s.issuer], s.Key)
	}
	var keySets []any
	for _, issuer := range order {
		keySets = append(keySets, issuertest.KeySet(byIssuer[issuer]...))
	}
	reviewer, loaded := newReviewer(f, fmt.Appendf(nil, fuzzConfiguration, keySets...))
	for _, s := range signers() {
		if answer := reviewer.Review(f.Context(), s.Sign(fuzzClaims(s)), nil, nil); (answer.User != nil) != (s.issuer != "") {
			f.Fatalf("%s: expected its own tokens to be allowed if it is published, got %q", s.ID, answer.Refusal)
		}
	}
	return reviewer, upstreamOf(f, loaded, byIssuer)
}

// upstreamOf makes upstream's authenticators, which fetch the keys from nowhere.
func upstreamOf(f *testing.F, loaded *config.Config, keys map[string][]issuertest.Key) []authenticator.Token {
	f.Helper()
	var all []authenticator.Token
	for _, issuer := range loaded.Issuers {
		if issuer.Name == "edwards" {
			continue
		}
		url := issuer.JWT.Issuer.URL
		one, err := oidc.New(f.Context(), oidc.Options{
			JWTAuthenticator:     issuer.JWT,
			Client:               &http.Client{Transport: upstreamKeys{url: url, keys: issuertest.KeySet(keys[url]...)}},
			SupportedSigningAlgs: oidc.AllValidSigningAlgorithms(),
		})
		if err != nil {
			f.Fatal(err)
		}
		err = wait.PollUntilContextTimeout(f.Context(), time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
			return one.HealthCheck() == nil, nil
		})
		if err != nil {
			f.Fatalf("%s: %v", url, one.HealthCheck())
		}
		all = append(all, one)
	}
	return all
}

// upstreamKeys answers as an issuer would, without a network.
type upstreamKeys struct {
	url  string
	keys []byte
}

func (p upstreamKeys) RoundTrip(request *http.Request) (*http.Response, error) {
	body := p.keys
	if strings.HasSuffix(request.URL.Path, "/.well-known/openid-configuration") {
		body = fmt.Appendf(nil, `{"issuer":%q,"jwks_uri":%q}`, p.url, p.url+"/keys")
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)),
	}, nil
}

// maxSaidBytes is how long any text about a token may be. The longest, about aud,
// quotes a dozen of its values by up to 200 characters.
const maxSaidBytes = 16 << 10

// expectTold checks what is said of a token, wherever: it is bounded, it is UTF-8, and
// repeats no part of the token. What the token says in its claims and in its header,
// said, may be named.
func expectTold(t *testing.T, text, token, said string) {
	t.Helper()
	const repeated = 24
	if len(text) > maxSaidBytes {
		t.Errorf("%d bytes are said of a token: %.300s", len(text), text)
	}
	if !utf8.ValidString(text) {
		t.Errorf("what is said is not UTF-8: %q", text)
	}
	for i := 0; i+repeated <= len(text); i++ {
		if part := text[i : i+repeated]; strings.Contains(token, part) && !strings.Contains(said, part) {
			t.Errorf("%q repeats a part of the token: %q", text, part)
			return
		}
	}
}

// expectToldSteps is expectTold for an answer, and for what a trace has of it.
func expectToldSteps(t *testing.T, answer *tokenreview.Answer, steps *trace.Trace, token, said string) {
	t.Helper()
	expectTold(t, answer.Refusal.Text, token, said)
	for _, step := range steps.Steps() {
		expectTold(t, step.Detail, token, said)
	}
	if (answer.User == nil) == answer.Refusal.IsZero() {
		t.Errorf("expected a user or a refusal, got %+v", answer)
	}
	if answer.User == nil && !slices.Contains(reason.Codes(), answer.Refusal.Code) {
		t.Errorf("there is no reason %q", answer.Refusal.Code)
	}
	if answer.Undecided {
		t.Errorf("nobody needs to be asked, and yet: %q", answer.Refusal)
	}
}

// texts is every text within a JSON value, and the value as it stands.
func texts(data []byte) string {
	var all strings.Builder
	all.Write(data)
	for decoder := json.NewDecoder(bytes.NewReader(data)); ; {
		token, err := decoder.Token()
		if err != nil {
			return all.String()
		}
		if text, ok := token.(string); ok {
			all.WriteString("\n" + text)
		}
	}
}
