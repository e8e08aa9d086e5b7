package issuers

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v2/jwa"
	kjson "sigs.k8s.io/json"

	"tokenreview.dev/webhook/internal/issuertest"
)

// publishedKey is what a key says of itself (RFC 7517 §4, RFC 7518 §6), read in the
// simplest way.
type publishedKey struct {
	Type      string   `json:"kty"`
	ID        string   `json:"kid"`
	Use       string   `json:"use"`
	Ops       []string `json:"key_ops"`
	Algorithm string   `json:"alg"`
	Curve     string   `json:"crv"`
	N         string   `json:"n"`
	E         string   `json:"e"`
	X         string   `json:"x"`
	Y         string   `json:"y"`
	D         string   `json:"d"`
}

// FuzzKeySet reads any key set: every key of it that may verify is one that stands in
// it, public, and fits its algorithms.
func FuzzKeySet(f *testing.F) {
	for _, data := range keySetSeeds() {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := ParseKeySet(data)
		if (set == nil) == (err == nil) {
			t.Fatalf("expected a key set or an error, got %v and %v", set, err)
		}
		if err != nil {
			expectSaid(t, err.Error(), data)
			return
		}
		expectKeys(t, data, set)
		for _, skipped := range set.Skipped() {
			expectSaid(t, skipped.Error(), data)
		}
	})
}

// expectKeys compares the keys of a set with those that stand in its text.
func expectKeys(t *testing.T, data []byte, set *KeySet) {
	t.Helper()
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &document); err != nil {
		t.Fatalf("accepted, and no JSON: %v", err)
	}
	if set.Len() < 1 || set.Len() > 100 || set.Len()+len(set.Skipped()) != len(document.Keys) {
		t.Fatalf("%d keys are published, %d used and %d not", len(document.Keys), set.Len(), len(set.Skipped()))
	}
	left := set.keys
	for i, raw := range document.Keys {
		prefix := fmt.Sprintf("keys[%d]: ", i)
		if slices.ContainsFunc(set.Skipped(), func(err error) bool { return strings.HasPrefix(err.Error(), prefix) }) {
			continue
		}
		var said publishedKey
		if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &said); err != nil {
			t.Errorf("keys[%d] is used, and no key: %v", i, err)
		}
		expectKey(t, said, left[0])
		left = left[1:]
	}
}

// expectKey checks one key that is used against what it says of itself.
func expectKey(t *testing.T, said publishedKey, key publicKey) {
	t.Helper()
	if said.ID != key.id || said.Use != "" && said.Use != "sig" || len(said.Ops) > 0 && !slices.Contains(said.Ops, "verify") {
		t.Errorf("the key %+v is used as %q", said, key.id)
	}
	if said.D != "" {
		t.Errorf("a private key is used: %+v", said)
	}
	var kind string
	var algorithms []jwa.SignatureAlgorithm
	switch public := key.public.(type) {
	case *rsa.PublicKey:
		kind, algorithms = "RSA", []jwa.SignatureAlgorithm{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
		if bits := public.N.BitLen(); bits < 2048 || bits > 8192 || public.E < 3 || public.E%2 == 0 || public.E > 1<<31-1 {
			t.Errorf("an RSA key of %d bits with the exponent %d is used", bits, public.E)
		}
		expectNumber(t, said.N, public.N)
		expectNumber(t, said.E, big.NewInt(int64(public.E)))
	case *ecdsa.PublicKey:
		kind = "EC"
		algorithms = map[string][]jwa.SignatureAlgorithm{"P-256": {"ES256"}, "P-384": {"ES384"}, "P-521": {"ES512"}}[public.Curve.Params().Name]
		point, err := public.Bytes()
		if err != nil || said.Curve != public.Curve.Params().Name {
			t.Fatalf("a key of the curve %q is used on %s: %v", said.Curve, public.Curve.Params().Name, err)
		}
		size := (len(point) - 1) / 2
		expectNumber(t, said.X, new(big.Int).SetBytes(point[1:1+size]))
		expectNumber(t, said.Y, new(big.Int).SetBytes(point[1+size:]))
	case ed25519.PublicKey:
		kind, algorithms = "OKP", []jwa.SignatureAlgorithm{"EdDSA"}
		if len(public) != 32 || said.Curve != "Ed25519" {
			t.Errorf("a key of %d bytes on %q is used", len(public), said.Curve)
		}
		expectNumber(t, said.X, new(big.Int).SetBytes(public))
	default:
		t.Fatalf("a %T is used", public)
	}
	if said.Algorithm != "" {
		if !slices.Contains(algorithms, jwa.SignatureAlgorithm(said.Algorithm)) {
			t.Errorf("a %s key is used for %q", kind, said.Algorithm)
		}
		algorithms = []jwa.SignatureAlgorithm{jwa.SignatureAlgorithm(said.Algorithm)}
	}
	// The library finds kty in other case as well.
	if said.Type != kind && said.Type != "" || !slices.Equal(key.algorithms, algorithms) || len(algorithms) == 0 {
		t.Errorf("a key of type %q is used as %s for %v", said.Type, kind, key.algorithms)
	}
}

// expectNumber wants a number of a key to be the one that stands in the key set.
func expectNumber(t *testing.T, said string, want *big.Int) {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(said, "="))
	if err != nil {
		data, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(said, "="))
	}
	if err != nil || new(big.Int).SetBytes(data).Cmp(want) != 0 {
		t.Errorf("%q is used as %d (%v)", said, want, err)
	}
}

// keyMaterial is every text in the keys of a key set that nothing said may repeat, and
// those that may be named.
func keyMaterial(data []byte) (secret, named string) {
	var document struct {
		Keys []map[string]any `json:"keys"`
	}
	if kjson.UnmarshalCaseSensitivePreserveInts(data, &document) != nil {
		return "", "" // Of what is no key set, nothing is known to be secret.
	}
	for _, key := range document.Keys {
		for name, value := range key {
			if slices.Contains([]string{"kid", "use", "alg", "kty", "crv"}, name) {
				named += fmt.Sprintln(value)
			} else if text, ok := value.(string); ok {
				secret += text + "\n"
			}
		}
	}
	return secret, named
}

// expectSaid checks what is said of what an issuer has published: it is bounded, it is
// UTF-8, and repeats no part of a key.
func expectSaid(t *testing.T, text string, keySet []byte) {
	t.Helper()
	secret, named := keyMaterial(keySet)
	const repeated, bound = 24, 16 << 10
	if len(text) > bound {
		t.Errorf("%d bytes are said of what an issuer publishes: %.300s", len(text), text)
	}
	if !utf8.ValidString(text) {
		t.Errorf("what is said is not UTF-8: %q", text)
	}
	for i := 0; i+repeated <= len(text); i++ {
		if part := text[i : i+repeated]; strings.Contains(secret, part) && !strings.Contains(named, part) {
			t.Errorf("%q repeats key material: %q", text, part)
			return
		}
	}
}

// keySetSeeds are key sets of every kind, and what can be wrong with them.
func keySetSeeds() [][]byte {
	var seeds [][]byte
	var all []issuertest.Key
	for _, algorithm := range []jwa.SignatureAlgorithm{"RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
		key := issuertest.DerivedKey("key", algorithm)
		all = append(all, key)
		set := issuertest.KeySet(key)
		seeds = append(seeds, set,
			bytes.Replace(set, []byte(`"sig"`), []byte(`"enc"`), 1),
			bytes.Replace(set, []byte(`"use"`), []byte(`"key_ops":["wrapKey"],"x-use"`), 1),
			bytes.Replace(set, []byte(`"alg"`), []byte(`"x-alg"`), 1),
			bytes.Replace(set, []byte(`"alg":"`), []byte(`"alg":"HS`), 1),
			bytes.Replace(set, []byte(`"kty"`), []byte(`"d":"AQAB","kty"`), 1),
			bytes.Replace(set, []byte(`"kty"`), []byte(`"KTY"`), 1),
			bytes.Replace(set, []byte(`"kty"`), []byte(`"kid":"twice","kty"`), 1),
			bytes.Replace(set, []byte(`"AQAB"`), []byte(`"AQ"`), 1),
			bytes.Replace(set, []byte(`P-256`), []byte(`P-384`), 1),
			bytes.Replace(set, []byte(`"x":"`), []byte(`"x":"A`), 1),
			bytes.Replace(set, []byte(`{"keys":[`), []byte(`{"keys":[5,null,{},`), 1),
			set[:len(set)/2],
		)
	}
	return append(seeds, issuertest.KeySet(all...), []byte(`{"keys":[]}`), []byte(`{}`), []byte(`{"keys":{}}`), []byte("<html>"),
		[]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"}]}`))
}
