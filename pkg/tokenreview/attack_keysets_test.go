package tokenreview_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"math/big"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

// Which keys a kid chooses among, and what largest and smallest keys are used.
func TestWhichKeysVerify(t *testing.T) {
	first, second, unnamed := issuertest.NewKey("twin", jwa.RS256), issuertest.NewKey("twin", jwa.RS256), issuertest.NewKey("", jwa.ES256)
	stranger := issuertest.NewKey("", jwa.ES256)
	largest, boundary := rsaKey(t, 8192, big.NewInt(65537)), rsaKey(t, 2048, big.NewInt(1<<31-1))
	f := newTarget(t, published(first, nil), published(second, nil), published(unnamed, nil), largest.published("largest", nil), boundary.published("boundary", nil))
	for name, token := range map[string]string{
		"the first of two keys with one kid":            forge(t, first, `{"alg":"RS256","kid":"twin"}`, goodPayload),
		"the second of two keys with one kid":           forge(t, second, `{"alg":"RS256","kid":"twin"}`, goodPayload),
		"a key without kid, of a token without one":     forge(t, unnamed, `{"alg":"ES256"}`, goodPayload),
		"a key without kid, of a token with an empty":   forge(t, unnamed, `{"alg":"ES256","kid":""}`, goodPayload),
		"a key without kid, of a token with null":       forge(t, unnamed, `{"alg":"ES256","kid":null}`, goodPayload),
		"a key with a kid, of a token without one":      forge(t, first, `{"alg":"RS256"}`, goodPayload),
		"a key of 8192 bits":                            largest.token("largest"),
		"a key with the largest exponent that is used":  boundary.token("boundary"),
		"a key whose kid the token spells with escapes": forge(t, first, `{"alg":"RS256","kid":"\u0074win"}`, goodPayload),
	} {
		t.Run(name, func(t *testing.T) { f.accepts(t, token, jane) })
	}
	point, err := stranger.Private.Public().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	modulus := f.rsa.Private.Public().(*rsa.PublicKey).N.Bytes()
	f.refuses(t, []attack{
		{"a stranger's key under the kid of two", forge(t, f.other, `{"alg":"RS256","kid":"twin"}`, goodPayload), reason.SignatureInvalid, `the issuer's key "twin" has not made`, "main"},
		{"a stranger's key without kid", forge(t, stranger, `{"alg":"ES256"}`, goodPayload), reason.SignatureInvalid, "no key of the issuer has made", "main"},
		{"the key without kid under a kid", forge(t, unnamed, `{"alg":"ES256","kid":"unnamed"}`, goodPayload), reason.KeyUnknown, `"unnamed"`, "main"},
		{"the key without kid under another's", forge(t, unnamed, `{"alg":"ES256","kid":"ec"}`, goodPayload), reason.SignatureInvalid, `the issuer's key "ec" has not made`, "main"},
		{"a key's x for a kid", forge(t, stranger, `{"alg":"ES256","kid":"`+base64url(string(point[1:33]))+`"}`, goodPayload), reason.KeyUnknown, "no usable key with kid", "main"},
		{"a key's modulus for a kid", forge(t, f.other, `{"alg":"RS256","kid":"`+base64url(string(modulus))+`"}`, goodPayload), reason.KeyUnknown, "no usable key with kid", "main"},
		{"the index of a key for a kid", forge(t, first, `{"alg":"RS256","kid":"0"}`, goodPayload), reason.KeyUnknown, `"0"`, "main"},
	})
}

// Sets that are refused as a whole: without keys nothing is decided, and those had
// before go on.
func TestKeySetsThatAreRefused(t *testing.T) {
	good, first := issuertest.NewKey("good", jwa.ES256), issuertest.NewKey("good", jwa.ES256)
	weak := rsaKey(t, 1024, big.NewInt(65537))
	many := func(n int) string {
		keys := []string{published(good, nil)}
		for i := 1; i < n; i++ {
			keys = append(keys, published(first, map[string]any{"kid": fmt.Sprint(i)}))
		}
		return keySet(keys...)
	}
	for _, test := range []struct{ name, set, text string }{
		{"101 keys", many(101), "the key set has 101 keys, more than 100"},
		{"101 keys that are none", `{"keys":[` + strings.Repeat("0,", 100) + `0]}`, "the key set has 101 keys, more than 100"},
		{"over a mebibyte", keySet(published(good, map[string]any{"x5c": []string{strings.Repeat("A", 1<<20)}})), "longer than 1048576 bytes"},
		{"no keys", `{"keys":[]}`, "no key that can verify"},
		{"null for keys", `{"keys":null}`, "no key that can verify"},
		{"no member keys", `{}`, "no key that can verify"},
		{"Keys for keys", `{"Keys":[` + published(good, nil) + `]}`, "no key that can verify"},
		{"nothing but a weak key", keySet(weak.published("good", nil)), "no key that can verify"},
		{"keys twice", `{"keys":[],"keys":[` + published(good, nil) + `]}`, "not a JSON Web Key Set"},
		{"a member of a key twice", keySet(`{"kty":"oct",` + published(good, nil)[1:]), "not a JSON Web Key Set"},
		{"a list", `[` + published(good, nil) + `]`, "not a JSON Web Key Set"},
		{"a key alone", published(good, nil), "no key that can verify"},
		{"a page", "<html>", "not a JSON Web Key Set"},
		{"nothing", "", "not a JSON Web Key Set"},
		{"something after the set", keySet(published(good, nil)) + "{}", "not a JSON Web Key Set"},
		{"invalid UTF-8", keySet(published(good, nil), "{\"kty\":\"\xff\"}"), "not a JSON Web Key Set"},
		{"enormous nesting", `{"keys":[` + strings.Repeat("[", 200_000), "not a JSON Web Key Set"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // each waits a second between two fetches
			issuer := issuertest.Start("https://issuer.example")
			defer issuer.Close()
			issuer.SetKeys(good)
			var current atomic.Pointer[string]
			current.Store(&test.set)
			publishes(issuer, &current)
			configuration := []byte(string(authentication(issuer, "claimMappings: {username: {claim: sub, prefix: ''}}")) + fmt.Sprintf(everyAlgorithm, ""))
			token := forge(t, good, `{"alg":"ES256","kid":"good"}`, goodPayload)
			refused := attack{"", token, reason.KeysUnavailable, test.text, "main"}
			t.Run("at first", func(t *testing.T) {
				newTargetOf(t, configuration).refusesOne(t, refused)
			})
			t.Run("after a good one", func(t *testing.T) {
				proper := keySet(published(good, nil))
				current.Store(&proper)
				f := newTargetOf(t, configuration)
				f.accepts(t, token, jane)
				current.Store(&test.set)
				// A kid that is new is reason to fetch again.
				refused.token = forge(t, good, `{"alg":"ES256","kid":"new"}`, goodPayload)
				f.refusesOne(t, refused)
				f.accepts(t, token, jane)
			})
		})
	}
	t.Run("a hundred keys are not", func(t *testing.T) {
		f := newTargetOf(t, withKeys("jwks: '"+many(100)+"'"))
		f.accepts(t, forge(t, good, `{"alg":"ES256","kid":"good"}`, goodPayload), jane)
	})
}

// newTargetOf is a target of a configuration.
func newTargetOf(t *testing.T, configuration []byte) *target {
	t.Helper()
	reviewer, _ := newReviewer(t, configuration)
	return &target{served: serveReviewer(reviewer), reviewer: reviewer}
}
