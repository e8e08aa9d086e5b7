package tokenreview_test

import (
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/reason"
)

// everyAlgorithm is a policy with which no key is left out for its algorithm.
const everyAlgorithm = `---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: main}
spec: {issuer: "https://issuer.example", keys: {algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA]%s}}
`

// withKeys is a configuration whose issuer has its keys where source says.
func withKeys(source string) []byte {
	return []byte(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: "https://issuer.example", audiences: [cluster]}
  claimMappings: {username: {claim: sub, prefix: ""}}
` + fmt.Sprintf(everyAlgorithm, ", "+source))
}

// publishes has an issuer answer with what is set in the place of its keys.
func publishes(issuer *issuertest.Issuer, set *atomic.Pointer[string]) {
	issuer.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/keys" {
			issuer.Genuine(w, r)
			return
		}
		_, _ = w.Write([]byte(*set.Load()))
	}))
}

// badKey is a key that an issuer publishes and that must not verify, with a token that
// it has signed as far as there is a private half.
type badKey struct {
	kid, key, token string
	why             string // part of why it is not used
}

func badKeys(t *testing.T) []badKey {
	t.Helper()
	var keys []badKey
	exponent := big.NewInt(65537)
	for _, bits := range []int{1024, 2047, 8193} {
		kid := fmt.Sprintf("RSA of %d bits", bits)
		key := rsaKey(t, bits, exponent)
		keys = append(keys, badKey{kid, key.published(kid, nil), key.token(kid), fmt.Sprintf("2048 to 8192 bits, it has %d", bits)})
	}
	power := func(bits uint, more int64) *big.Int {
		return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), bits), big.NewInt(more))
	}
	exponents := map[string]*big.Int{
		"exponent 0": big.NewInt(0), "exponent 1": big.NewInt(1), "exponent 2": big.NewInt(2),
		"exponent 2^31+1": power(31, 1), "exponent 2^32+3": power(32, 3), "exponent 2^63+3": power(63, 3),
	}
	several := rsaKey(t, 2048, slices.AppendSeq([]*big.Int{exponent, big.NewInt(3)}, maps.Values(exponents))...)
	for kid, e := range exponents {
		key := several.with(e)
		keys = append(keys, badKey{kid, key.published(kid, nil), key.token(kid), "exponent"})
	}
	// An exponent is not cut off to what fits into a machine word.
	for kid, e := range map[string]*big.Int{"exponent 2^64+3": power(64, 3), "exponent 2^64+65537": power(64, 65537), "exponent 2^128+65537": power(128, 65537)} {
		key := several.with(new(big.Int).And(e, power(64, -1)))
		keys = append(keys, badKey{kid, key.published(kid, map[string]any{"e": base64url(string(e.Bytes()))}), key.token(kid), "exponent"})
	}
	// Whatever is signed by a key of a small order, this is its signature.
	identity := "\x01" + strings.Repeat("\x00", 31)
	keys = append(keys, badKey{"Ed25519 of order one", `{"kty":"OKP","crv":"Ed25519","kid":"Ed25519 of order one","x":"` + base64url(identity) + `"}`,
		base64url(`{"alg":"EdDSA","kid":"Ed25519 of order one"}`) + "." + base64url(goodPayload) + "." + base64url(identity+strings.Repeat("\x00", 32)), "order"})
	signer := issuertest.NewKey("signer", jwa.RS256)
	changed := func(key issuertest.Key, kid, why string, changes map[string]any) {
		changes["kid"] = kid
		keys = append(keys, badKey{kid, published(key, changes), forge(t, key, `{"alg":"`+string(key.Algorithm)+`","kid":"`+kid+`"}`, goodPayload), why})
	}
	for kid, changes := range map[string]map[string]any{
		"for encryption": {"use": "enc"}, "for something else": {"use": "tls"}, "for SIG": {"use": "SIG"},
	} {
		changed(signer, kid, "its use is", changes)
	}
	for kid, operations := range map[string][]string{"to wrap keys": {"wrapKey", "encrypt"}, "to sign": {"sign"}, "to do nothing": {}} {
		changed(signer, kid, `key_ops lack "verify"`, map[string]any{"use": nil, "key_ops": operations})
	}
	for _, algorithm := range []string{"ES256", "EdDSA", "HS256", "RSA-OAEP", "none", "RS257"} {
		changed(signer, "RSA for "+algorithm, "", map[string]any{"alg": algorithm})
	}
	elliptic, larger, edwards := issuertest.NewKey("", jwa.ES256), issuertest.NewKey("", jwa.ES384), issuertest.NewKey("", jwa.EdDSA)
	changed(elliptic, "P-256 for RS256", "does not fit", map[string]any{"alg": "RS256"})
	changed(elliptic, "P-256 for ES384", "does not fit", map[string]any{"alg": "ES384"})
	changed(by(larger, jwa.ES256), "P-384 for ES256", "does not fit", map[string]any{"alg": "ES256"})
	changed(edwards, "Ed25519 for ES256", "does not fit", map[string]any{"alg": "ES256"})
	changed(signer, "no known kty", "known type", map[string]any{"kty": "quantum"})
	changed(signer, "kty in other case", "known type", map[string]any{"kty": "rsa"})
	changed(signer, "no kty", "known type", map[string]any{"kty": nil})
	changed(signer, "no modulus", "known type", map[string]any{"n": nil})
	changed(signer, "an empty modulus", "", map[string]any{"n": ""})
	changed(signer, "no exponent", "known type", map[string]any{"e": nil})
	changed(signer, "a modulus that is no text", "known type", map[string]any{"n": 5})
	changed(elliptic, "an unknown curve", "not a valid key", map[string]any{"crv": "P-999"})
	changed(elliptic, "P-256 for P-384", "not on its curve", map[string]any{"crv": "P-384", "alg": nil})
	changed(elliptic, "X25519", "", map[string]any{"kty": "OKP", "crv": "X25519", "alg": nil, "y": nil})
	changed(elliptic, "off its curve", "not on its curve", map[string]any{"x": base64url(strings.Repeat("\xc3", 32))})
	changed(elliptic, "the point at zero", "not on its curve", map[string]any{"x": base64url(strings.Repeat("\x00", 32)), "y": base64url(strings.Repeat("\x00", 32))})
	changed(elliptic, "a coordinate beyond the field", "not on its curve", map[string]any{"x": base64url(strings.Repeat("\xff", 33))})
	changed(edwards, "Ed25519 of 31 bytes", "32 bytes", map[string]any{"x": base64url(strings.Repeat("\x01", 31))})
	for kid, key := range map[string]issuertest.Key{"private RSA": signer, "private EC": elliptic, "private Ed25519": edwards} {
		private, err := jwk.FromRaw(key.Private)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, badKey{kid, changedKey(private, map[string]any{"kid": kid}), forge(t, key, `{"alg":"`+string(key.Algorithm)+`","kid":"`+kid+`"}`, goodPayload), "not a public key"})
	}
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		kid := "a secret, for " + algorithm
		keys = append(keys, badKey{kid, `{"kty":"oct","kid":"` + kid + `","k":"` + base64url(strings.Repeat("secret", 8)) + `"}`,
			authenticate("HS256", `{"alg":"`+algorithm+`","kid":"`+kid+`"}`, []byte(strings.Repeat("secret", 8))), "not a public key"})
	}
	for i, member := range []string{`5`, `null`, `"text"`, `[]`, `{}`, `{"kid":5,"kty":"RSA"}`} {
		kid := fmt.Sprintf("no key %d", i)
		keys = append(keys, badKey{kid, member, forge(t, signer, `{"alg":"RS256","kid":"`+kid+`"}`, goodPayload), "known type"})
	}
	return keys
}

// Keys of an issuer that cannot or must not verify do not, and the others of its set
// still do.
func TestKeysThatMustNotVerify(t *testing.T) {
	good, bad := issuertest.NewKey("good", jwa.RS256), badKeys(t)
	set := []string{published(good, nil)}
	for _, key := range bad {
		set = append(set, key.key)
	}
	text := keySet(append(set, published(good, map[string]any{"kid": "last", "alg": nil, "use": nil}))...)

	issuer := issuertest.Start("https://issuer.example")
	t.Cleanup(issuer.Close)
	var current atomic.Pointer[string]
	current.Store(&text)
	publishes(issuer, &current)
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for source, configuration := range map[string][]byte{
		"published": []byte(string(authentication(issuer, "claimMappings: {username: {claim: sub, prefix: ''}}")) + fmt.Sprintf(everyAlgorithm, "")),
		"in a file": withKeys("jwksFile: " + file),
	} {
		t.Run(source, func(t *testing.T) {
			f := newTargetOf(t, configuration)
			skipped := map[string]string{}
			for _, err := range f.reviewer.Rules().Issuers.Statuses()[0].Skipped {
				index, why, _ := strings.Cut(err.Error(), ": ")
				skipped[index] = why
			}
			for i, key := range bad {
				t.Run(key.kid, func(t *testing.T) {
					f.refusesOne(t, attack{"", key.token, reason.KeyUnknown, fmt.Sprintf("no usable key with kid %q", key.kid), "main"})
					if why, ok := skipped[fmt.Sprintf("keys[%d]", i+1)]; !ok || !strings.Contains(why, key.why) {
						t.Errorf("expected the key to be left out for %q, got %q", key.why, why)
					}
				})
			}
			for _, kid := range []string{"good", "last"} {
				t.Run("still good is "+kid, func(t *testing.T) {
					f.accepts(t, forge(t, good, `{"alg":"RS256","kid":"`+kid+`"}`, goodPayload), jane)
				})
			}
		})
	}
	t.Run("in the configuration", func(t *testing.T) {
		for _, key := range bad {
			t.Run(key.kid, func(t *testing.T) {
				_, err := config.Parse("test.yaml", withKeys(`jwks: '`+keySet(published(good, nil), key.key)+`'`))
				if err == nil || !strings.Contains(err.Error(), "spec.keys.jwks: Invalid value") || !strings.Contains(err.Error(), "keys[1]") {
					t.Errorf("expected an error about keys[1], got %v", err)
				}
			})
		}
	})
}
