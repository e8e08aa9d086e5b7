package tokenreview_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

// RFC 7518 §3.6, RFC 8725 §2.1: a token that nobody has signed.
func TestAlgNone(t *testing.T) {
	f := newTarget(t)
	realToken := forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, goodPayload)
	realSignature := realToken[strings.LastIndexByte(realToken, '.')+1:]
	var attacks []attack
	for mask := range 1 << len("none") {
		word := []byte("none")
		for i := range word {
			if mask>>i&1 == 1 {
				word[i] -= 'a' - 'A'
			}
		}
		for _, header := range []string{`{"alg":"%s"}`, `{"alg":"%s","typ":"JWT","kid":"rsa"}`} {
			input := base64url(fmt.Sprintf(header, word)) + "." + base64url(goodPayload)
			for _, test := range []struct{ name, signature string }{
				{"no signature", ""},
				{"a signature of one byte", "AA"},
				{"the signature of a real token", realSignature},
				{"a signature of its own", base64url(string(sign(t, f.rsa, input)))},
			} {
				name := fmt.Sprintf(header, word) + " with " + test.name
				attacks = append(attacks, attack{name, input + "." + test.signature, reason.AlgorithmNotAllowed, fmt.Sprintf("is signed with %q", word), "main"})
			}
		}
		twoSegments := base64url(fmt.Sprintf(`{"alg":"%s"}`, word)) + "." + base64url(goodPayload)
		attacks = append(attacks, attack{string(word) + " in two segments", twoSegments, reason.TokenMalformed, "not a JWT", ""})
	}
	f.refuses(t, attacks)
}

// RFC 8725 §2.1: the public key, which everybody has, taken for a secret.
func TestAPublicKeyIsNoSecret(t *testing.T) {
	f := newTarget(t)
	var attacks []attack
	for _, key := range []issuertest.Key{f.rsa, f.elliptic} {
		for form, secret := range publicForms(t, key) {
			for _, algorithm := range []string{"HS256", "HS384", "HS512"} {
				for _, kid := range []string{"", `,"kid":"` + key.ID + `"`, `,"kid":"any"`, `,"kid":""`} {
					header := `{"alg":"` + algorithm + `"` + kid + `}`
					attacks = append(attacks, attack{header + " with " + key.ID + " as " + form, authenticate(algorithm, header, secret),
						reason.AlgorithmNotAllowed, "HS* signs with a secret", "main"})
				}
			}
		}
	}
	// With an algorithm that is allowed, an HMAC is no signature either.
	for form, secret := range publicForms(t, f.rsa) {
		attacks = append(attacks, attack{"an HMAC with " + form + " for RS256", authenticate("HS256", `{"alg":"RS256","kid":"rsa"}`, secret), reason.SignatureInvalid, "has not made the signature", "main"})
	}
	f.refuses(t, attacks)
}

// publicForms is a public key in each form in which somebody might read it.
func publicForms(t *testing.T, key issuertest.Key) map[string][]byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	pkix := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	forms := map[string][]byte{
		"DER": der, "PEM": pkix, "PEM without the last line break": pkix[:len(pkix)-1],
		"JWK": []byte(published(key, nil)), "JWKS": []byte(keySet(published(key, nil))),
		"nothing": nil, "a zero byte": {0},
	}
	switch public := key.Private.Public().(type) {
	case *rsa.PublicKey:
		pkcs1 := x509.MarshalPKCS1PublicKey(public)
		forms["PKCS #1 DER"] = pkcs1
		forms["PKCS #1 PEM"] = pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1})
		forms["modulus"] = public.N.Bytes()
		forms["modulus in base64url"] = []byte(base64url(string(public.N.Bytes())))
		forms["modulus in decimal"] = []byte(public.N.String())
		forms["exponent"] = big.NewInt(int64(public.E)).Bytes()
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		forms["point"], forms["x"], forms["y"] = point, point[1:33], point[33:]
		forms["compressed point"] = append([]byte{2 | point[64]&1}, point[1:33]...)
	}
	return forms
}

// RFC 8725 §3.1: the key says what it is for, and the configuration what is allowed;
// the token only says which of these it claims.
func TestAlgorithmsAreNotMixedUp(t *testing.T) {
	larger := issuertest.NewKey("ec384", jwa.ES384)
	edwards := issuertest.NewKey("edwards", jwa.EdDSA)
	f := newTarget(t, published(larger, map[string]any{"alg": nil}), published(edwards, nil))
	narrow := strings.Replace(goodPayload, "issuer.example", "narrow.example", 1)
	const notOne, notMade, notAllowed = "is not one for", "has not made the signature", "allowed are"
	attacks := []attack{
		{"the RSA key's signature under ES256 and its kid", forge(t, f.rsa, `{"alg":"ES256","kid":"rsa"}`, goodPayload), reason.SignatureInvalid, notOne, "main"},
		{"the RSA key's signature under ES256 and the kid of the EC key", forge(t, f.rsa, `{"alg":"ES256","kid":"ec"}`, goodPayload), reason.SignatureInvalid, notMade, "main"},
		{"the RSA key's signature under ES256 and no kid", forge(t, f.rsa, `{"alg":"ES256"}`, goodPayload), reason.SignatureInvalid, "no key of the issuer", "main"},
		{"the EC key's signature under RS256 and its kid", forge(t, f.elliptic, `{"alg":"RS256","kid":"ec"}`, goodPayload), reason.SignatureInvalid, notOne, "main"},
		{"the EC key's signature under RS256 and the kid of the RSA key", forge(t, f.elliptic, `{"alg":"RS256","kid":"rsa"}`, goodPayload), reason.SignatureInvalid, notMade, "main"},
		{"the EC key's signature under ES256 and the kid of the RSA key", forge(t, f.elliptic, `{"alg":"ES256","kid":"rsa"}`, goodPayload), reason.SignatureInvalid, notOne, "main"},
		{"the EC key's signature under RS256 and no kid", forge(t, f.elliptic, `{"alg":"RS256"}`, goodPayload), reason.SignatureInvalid, "no key of the issuer", "main"},
		{"an RS256 signature under PS256", forge(t, f.rsa, `{"alg":"PS256","kid":"any"}`, goodPayload), reason.SignatureInvalid, notMade, "main"},
		{"a PS256 signature under RS256", forge(t, by(f.rsa, jwa.PS256), `{"alg":"RS256","kid":"any"}`, goodPayload), reason.SignatureInvalid, notMade, "main"},
		{"a PS256 signature by a key for RS256", forge(t, by(f.rsa, jwa.PS256), `{"alg":"PS256","kid":"rsa"}`, goodPayload), reason.SignatureInvalid, notOne, "main"},
		{"an RS512 signature by a key for RS256", forge(t, by(f.rsa, jwa.RS512), `{"alg":"RS512","kid":"rsa"}`, goodPayload), reason.SignatureInvalid, notOne, "main"},
		{"an RS256 signature under RS384", forge(t, f.rsa, `{"alg":"RS384","kid":"any"}`, goodPayload), reason.SignatureInvalid, notMade, "main"},
		{"an RS512 signature under RS256", forge(t, by(f.rsa, jwa.RS512), `{"alg":"RS256","kid":"any"}`, goodPayload), reason.SignatureInvalid, notMade, "main"},
		{"a PS384 signature under PS256", forge(t, by(f.rsa, jwa.PS384), `{"alg":"PS256","kid":"any"}`, goodPayload), reason.SignatureInvalid, notMade, "main"},
		{"an ES256 signature under ES384 and a key for P-256", forge(t, f.elliptic, `{"alg":"ES384","kid":"ec"}`, goodPayload), reason.SignatureInvalid, notOne, "main"},
		{"ES256 with a key of P-384", forge(t, by(larger, jwa.ES256), `{"alg":"ES256","kid":"ec384"}`, goodPayload), reason.SignatureInvalid, notOne, "main"},
		{"an ES256 signature under the kid of P-384", forge(t, f.elliptic, `{"alg":"ES384","kid":"ec384"}`, goodPayload), reason.SignatureInvalid, notMade, "main"},

		{"RS256 of an issuer that has ES256 alone", forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, narrow), reason.AlgorithmNotAllowed, "allowed are ES256", "narrow"},
		{"ES384 of an issuer that has ES256 alone", forge(t, larger, `{"alg":"ES384","kid":"ec"}`, narrow), reason.AlgorithmNotAllowed, "allowed are ES256", "narrow"},
		{"EdDSA, which is not named", forge(t, edwards, `{"alg":"EdDSA","kid":"edwards"}`, goodPayload), reason.AlgorithmNotAllowed, `"EdDSA"`, "main"},
		{"Ed25519, EdDSA's other name", forge(t, edwards, `{"alg":"Ed25519","kid":"edwards"}`, goodPayload), reason.AlgorithmNotAllowed, `"Ed25519"`, "main"},
		{"an EdDSA signature under ES256", forge(t, edwards, `{"alg":"ES256","kid":"edwards"}`, goodPayload), reason.SignatureInvalid, notOne, "main"},
	}
	for _, name := range []string{
		"rs256", "Rs256", "RS257", "RS1", "RSA", "RS256,none", "SHA256withRSA", "ES256K", "HS1", "hs256", "RSA-OAEP", "RSA1_5", "ECDH-ES", "dir", "A256KW", "A128GCM",
		"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "true", "0", "*", "../RS256",
		" RS256", "RS256 ", `RS256\n`, `\tRS256`, `RS256\u0000`, `\u0000`, " ", `\u200bRS256`, "ＲＳ２５６", "RЅ256", strings.Repeat("RS256", 1000),
	} {
		attacks = append(attacks, attack{fmt.Sprintf("alg %.40s", name), forge(t, f.rsa, `{"alg":"`+name+`","kid":"rsa"}`, goodPayload), reason.AlgorithmNotAllowed, notAllowed, "main"})
	}
	for value, text := range map[string]string{
		`""`: "no alg", `null`: "no alg", `256`: "got a number", `["RS256"]`: "got a list", `[]`: "got a list", `{"RS256":true}`: "got a object", `true`: "got a boolean",
	} {
		attacks = append(attacks, attack{"alg is " + value, forge(t, f.rsa, `{"alg":`+value+`,"kid":"rsa"}`, goodPayload), reason.TokenMalformed, text, "main"})
	}
	attacks = append(attacks, attack{"no alg", forge(t, f.rsa, `{"kid":"rsa"}`, goodPayload), reason.TokenMalformed, "no alg", "main"})
	f.refuses(t, attacks)

	// The same keys under their own algorithms get in, or the rows above show nothing.
	for name, token := range map[string]string{
		"RS256":                      forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, goodPayload),
		"PS256 by a key without alg": forge(t, by(f.rsa, jwa.PS256), `{"alg":"PS256","kid":"any"}`, goodPayload),
		"RS512 by a key without alg": forge(t, by(f.rsa, jwa.RS512), `{"alg":"RS512","kid":"any"}`, goodPayload),
		"ES256":                      forge(t, f.elliptic, `{"alg":"ES256","kid":"ec"}`, goodPayload),
		"ES384":                      forge(t, larger, `{"alg":"ES384","kid":"ec384"}`, goodPayload),
		"ES256 where it is the only": forge(t, f.elliptic, `{"alg":"ES256","kid":"ec"}`, narrow),
		"an alg that is escaped":     forge(t, f.rsa, `{"\u0061lg":"\u0052S256","kid":"rsa"}`, goodPayload),
	} {
		t.Run(name, func(t *testing.T) { f.accepts(t, token, jane) })
	}
}
