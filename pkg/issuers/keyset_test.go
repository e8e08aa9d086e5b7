package issuers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

// trying is a verifier to which no signature is good. It notes which keys it was tried with.
type trying struct{ tried []any }

func (v *trying) Verify(_, _ []byte, key any) error {
	v.tried = append(v.tried, key)
	return errors.New("the signature is another's")
}

// A token with a kid is tried with all keys of that kid that are for its algorithm, one
// without with all that are, in the order of the set.
func TestWhichKeysATokenIsTriedWith(t *testing.T) {
	var keys []issuertest.Key
	for _, key := range []struct {
		id        string
		algorithm jwa.SignatureAlgorithm
	}{
		0: {"one", jwa.ES256}, 1: {"twins", jwa.ES256}, 2: {"", jwa.ES384}, 3: {"twins", jwa.ES384}, 4: {"thrice", jwa.ES256},
		5: {"thrice", jwa.ES256}, 6: {"", jwa.ES256}, 7: {"thrice", jwa.ES256},
	} {
		keys = append(keys, issuertest.NewKey(key.id, key.algorithm))
	}
	set := parsed(t, issuertest.KeySet(keys...))
	for _, test := range []struct {
		name, kid, algorithm string
		want                 string // the keys by their places
		code                 reason.Code
		text                 string
	}{
		{"a kid of one key", "one", "ES256", "[0]", reason.SignatureInvalid, `the issuer's key "one" has not made the signature`},
		{"a kid of one key, that is for another algorithm", "one", "ES384", "[]", reason.SignatureInvalid, `the issuer's key "one" is not one for ES384`},
		{"a kid of two keys for two algorithms", "twins", "ES256", "[1]", reason.SignatureInvalid, "has not made"},
		{"the same kid and the other algorithm", "twins", "ES384", "[3]", reason.SignatureInvalid, "has not made"},
		{"the same kid and the algorithm of neither", "twins", "RS256", "[]", reason.SignatureInvalid, "is not one for RS256"},
		{"a kid of three keys", "thrice", "ES256", "[4 5 7]", reason.SignatureInvalid, "has not made"},
		{"a kid in other case", "One", "ES256", "[]", reason.KeyUnknown, `no usable key with kid "One"`},
		{"no kid", "", "ES256", "[0 1 4 5 6 7]", reason.SignatureInvalid, "no key of the issuer has made the signature"},
		{"no kid and the other algorithm", "", "ES384", "[2 3]", reason.SignatureInvalid, "no key of the issuer"},
		{"no kid and the algorithm of none", "", "RS256", "[]", reason.SignatureInvalid, "no key of the issuer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			verifier, header := &trying{}, untrustedHeader{algorithm: test.algorithm, keyID: test.kid}
			if key := set.verify(verifier, header, nil, nil); key != nil {
				t.Errorf("expected no key to have made the signature, got %q", key.id)
			}
			places := []int{}
			for _, key := range verifier.tried {
				places = append(places, slices.IndexFunc(set.keys, func(k publicKey) bool { return k.public == key }))
			}
			if got := fmt.Sprint(places); got != test.want {
				t.Errorf("expected the keys %s to be tried, got %s", test.want, got)
			}
			if refusal := set.refusal(header); refusal.Code != test.code || !strings.Contains(refusal.Text, test.text) {
				t.Errorf("expected %s with %q, got %q", test.code, test.text, refusal)
			}
			if known := test.code != reason.KeyUnknown; set.has(test.kid) != known {
				t.Errorf("expected the kid to be known: %v", known)
			}
		})
	}
}
