package tokenreview_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

// RFC 7518 §3.4: r and s, each as long as the curve's order, one after the other.
func TestECDSASignatures(t *testing.T) {
	for _, algorithm := range []jwa.SignatureAlgorithm{jwa.ES256, jwa.ES384, jwa.ES512} {
		t.Run(string(algorithm), func(t *testing.T) {
			key := issuertest.NewKey("key", algorithm)
			f := newTarget(t, published(key, nil))
			n := key.Private.Public().(*ecdsa.PublicKey).Params().N
			size := (n.BitLen() + 7) / 8
			input := base64url(`{"alg":"`+string(algorithm)+`","kid":"key"}`) + "." + base64url(goodPayload)
			real := sign(t, key, input)
			r, s := new(big.Int).SetBytes(real[:size]), new(big.Int).SetBytes(real[size:])
			fill := func(number *big.Int) []byte { return number.FillBytes(make([]byte, size)) }
			pair := func(r, s *big.Int) []byte { return slices.Concat(fill(r), fill(s)) }
			minus := func(number *big.Int) *big.Int { return new(big.Int).Sub(n, number) }
			zero, one := big.NewInt(0), big.NewInt(1)
			der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
			if err != nil {
				t.Fatal(err)
			}
			derOfZeros, err := asn1.Marshal(struct{ R, S *big.Int }{zero, zero})
			if err != nil {
				t.Fatal(err)
			}
			var attacks []attack
			for name, signature := range map[string][]byte{
				"nothing":                   nil,
				"a zero byte":               {0},
				"zeros (CVE-2022-21449)":    make([]byte, 2*size),
				"zeros in DER":              derOfZeros,
				"r is zero":                 pair(zero, s),
				"s is zero":                 pair(r, zero),
				"r and s are one":           pair(one, one),
				"r is the order":            pair(n, s),
				"s is the order":            pair(r, n),
				"both are the order":        pair(n, n),
				"r is one below the order":  pair(minus(one), s),
				"s is one below the order":  pair(r, minus(one)),
				"r is negated":              pair(minus(r), s),
				"r and s are negated":       pair(minus(r), minus(s)),
				"r and s are swapped":       pair(s, r),
				"r twice":                   pair(r, r),
				"s twice":                   pair(s, s),
				"r alone":                   fill(r),
				"DER, as everywhere else":   der,
				"all ones":                  bytes.Repeat([]byte{0xff}, 2*size),
				"a byte too few":            real[:2*size-1],
				"a byte too few in front":   real[1:],
				"a zero byte too many":      append(slices.Clone(real), 0),
				"a zero byte in front":      append([]byte{0}, real...),
				"zeros before r and s":      slices.Concat([]byte{0}, fill(r), []byte{0}, fill(s)),
				"the signature twice":       append(slices.Clone(real), real...),
				"of another payload":        sign(t, key, strings.Replace(input, base64url(goodPayload), base64url(`{"iss":"https://issuer.example"}`), 1)),
				"of the payload alone":      sign(t, key, base64url(goodPayload)),
				"of the JSON itself":        sign(t, key, goodPayload),
				"by another key":            sign(t, issuertest.NewKey("key", algorithm), input),
				"a flipped bit in the last": append(slices.Clone(real[:2*size-1]), real[2*size-1]^1),
			} {
				attacks = append(attacks, attack{name, input + "." + base64url(string(signature)), reason.SignatureInvalid, `the issuer's key "key" has not made the signature`, "main"})
			}
			f.refuses(t, attacks)
			t.Run("the real one", func(t *testing.T) { f.accepts(t, input+"."+base64url(string(real)), jane) })
		})
	}
}

// For every ECDSA signature (r, s) there is (r, n-s), which anybody can compute: to
// the mathematics both are the same statement by the same signer over the same token.
// RFC 7518 §3.4 asks for neither of the two, other verifiers take both, and issuers
// send either. So it gets in, as the same user, as it does with kube-apiserver; a list
// of revoked tokens must not go by the signature.
func TestTheOtherOfTwoECDSASignaturesIsTheSameStatement(t *testing.T) {
	issuer := issuertest.Start("https://issuer.example")
	defer issuer.Close()
	key := issuertest.NewKey("ec", jwa.ES256)
	issuer.SetKeys(key)
	reviewer, loaded := newReviewer(t, authentication(issuer, "claimMappings:\n  username: {claim: sub, prefix: ''}\n"))
	theirs := upstream(t, loaded)
	f := &target{served: serveReviewer(reviewer), reviewer: reviewer}
	signed := issuer.Sign(claims{"aud": "cluster", "sub": "jane", "exp": time.Now().Add(time.Hour).Unix()})
	input := signed[:strings.LastIndexByte(signed, '.')]
	real := sign(t, key, input)
	n := key.Private.Public().(*ecdsa.PublicKey).Params().N
	other := slices.Concat(real[:32], new(big.Int).Sub(n, new(big.Int).SetBytes(real[32:])).FillBytes(make([]byte, 32)))
	for name, signature := range map[string][]byte{"as it was made": real, "with n-s for s": other} {
		t.Run(name, func(t *testing.T) {
			token := input + "." + base64url(string(signature))
			f.accepts(t, token, jane)
			compare(t, reviewer, theirs, token, "", "")
		})
	}
}

// RFC 8017 §8.2.2: a signature is one number below the modulus, as long as that is.
func TestRSASignatures(t *testing.T) {
	three := rsaKey(t, 2048, big.NewInt(3))
	f := newTarget(t, three.published("three", nil))
	public := f.rsa.Private.Public().(*rsa.PublicKey)
	n, size := public.N, public.Size()
	fill := func(number *big.Int) []byte { return number.FillBytes(make([]byte, size)) }
	minus := func(number *big.Int) *big.Int { return new(big.Int).Sub(n, number) }
	one := big.NewInt(1)
	header := base64url(`{"alg":"RS256","kid":"any"}`)
	input := header + "." + base64url(goodPayload)
	real := sign(t, f.rsa, input)
	s := new(big.Int).SetBytes(real)
	var attacks []attack
	refuse := func(name, input string, signature []byte, kid string) {
		attacks = append(attacks, attack{name, input + "." + base64url(string(signature)), reason.SignatureInvalid, `the issuer's key "` + kid + `" has not made the signature`, "main"})
	}
	for name, signature := range map[string][]byte{
		"nothing":                    nil,
		"a zero byte":                {0},
		"zeros":                      make([]byte, size),
		"one":                        fill(one),
		"all ones":                   bytes.Repeat([]byte{0xff}, size),
		"the modulus":                fill(n),
		"one below the modulus":      fill(minus(one)),
		"negated":                    fill(minus(s)),
		"the modulus above":          new(big.Int).Add(s, n).Bytes(),
		"a byte too few":             real[:size-1],
		"a byte too few in front":    real[1:],
		"zeros, a byte too few":      make([]byte, size-1),
		"a zero byte too many":       append(slices.Clone(real), 0),
		"a zero byte in front":       append([]byte{0}, real...),
		"the signature twice":        append(slices.Clone(real), real...),
		"back to front":              reversed(real),
		"a flipped bit":              append(slices.Clone(real[:size-1]), real[size-1]^1),
		"the padded digest unsigned": padded(size, input),
		"the digest unsigned":        digest(input),
		"of another payload":         sign(t, f.rsa, header+"."+base64url(`{"iss":"https://issuer.example"}`)),
		"of the payload alone":       sign(t, f.rsa, base64url(goodPayload)),
		"of the JSON itself":         sign(t, f.rsa, goodPayload),
		"PSS":                        sign(t, by(f.rsa, jwa.PS256), input),
		"by another issuer's key":    sign(t, f.other, input),
	} {
		refuse(name, input, signature, "any")
	}
	pss := base64url(`{"alg":"PS256","kid":"any"}`) + "." + base64url(goodPayload)
	refuse("PKCS #1 v1.5 under PS256", pss, sign(t, f.rsa, pss), "any")
	refuse("zeros under PS256", pss, make([]byte, size), "any")
	refuse("one under PS256", pss, fill(one), "any")
	refuse("one below the modulus under PS256", pss, fill(minus(one)), "any")
	refuse("a byte too few under PS256", pss, sign(t, by(f.rsa, jwa.PS256), pss)[1:], "any")

	// Bleichenbacher's forgery of 2006: where the exponent is three and nobody looks at
	// what follows the digest, a cube root is a signature.
	lax := base64url(`{"alg":"RS256","kid":"three"}`) + "." + base64url(goodPayload)
	refuse("a cube root of the digest and something after it", lax, cubeRootOf(three.size(), lax), "three")
	f.refuses(t, attacks)
	for name, token := range map[string]string{
		"the real one": input + "." + base64url(string(real)), "the real one of exponent three": three.seal(lax),
		"the real one under PS256": seal(t, by(f.rsa, jwa.PS256), pss),
	} {
		t.Run(name, func(t *testing.T) { f.accepts(t, token, jane) })
	}
}

func digest(input string) []byte {
	sum := sha256.Sum256([]byte(input))
	return sum[:]
}

// digestInfo begins a SHA-256 as PKCS #1 v1.5 signs it (RFC 8017 §9.2).
var digestInfo = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}

// padded is EMSA-PKCS1-v1_5 of the input's SHA-256, size bytes long.
func padded(size int, input string) []byte {
	info := slices.Concat(digestInfo, digest(input))
	return slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-3-len(info)), []byte{0}, info)
}

// cubeRootOf is a number whose cube begins like a padded digest with little padding.
func cubeRootOf(size int, input string) []byte {
	begin := slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 8), []byte{0}, digestInfo, digest(input))
	wanted := new(big.Int).SetBytes(append(begin, make([]byte, size-len(begin))...))
	root, step := new(big.Int), new(big.Int)
	for bit := wanted.BitLen()/3 + 1; bit >= 0; bit-- {
		root.SetBit(root, bit, 1)
		if step.Exp(root, big.NewInt(3), nil).Cmp(wanted) > 0 {
			root.SetBit(root, bit, 0)
		}
	}
	return root.Add(root, big.NewInt(1)).FillBytes(make([]byte, size))
}

func reversed(data []byte) []byte {
	data = slices.Clone(data)
	slices.Reverse(data)
	return data
}
