package issuers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"

	"filippo.io/edwards25519"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"tokenreview.dev/webhook/pkg/reason"
)

const (
	// maxKeys bounds a key set; a token without kid is tried against each. The
	// largest in public use has about a dozen.
	maxKeys = 100
	// minRSABits is RFC 7518 §3.3. maxRSABits bounds the cost of one check.
	minRSABits = 2048
	maxRSABits = 8192
	// maxRSAExponent is what crypto/rsa verifies with.
	maxRSAExponent = math.MaxInt32
)

// KeySet is a JSON Web Key Set (RFC 7517 §5) reduced to the keys that can verify
// a signature. It is immutable.
type KeySet struct {
	keys []publicKey
	// byID are the keys by their ids, each id's in the order of the set. Those without
	// one are under the empty id.
	byID    map[string][]publicKey
	skipped []error
}

// publicKey is one key, and the algorithms that fit it.
type publicKey struct {
	id         string
	algorithms []jwa.SignatureAlgorithm
	public     crypto.PublicKey
}

// equal reports whether both are the same key under the same id.
func (k publicKey) equal(other publicKey) bool {
	public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.id == other.id && public.Equal(other.public)
}

// same reports whether both sets verify the same in the same order, and leave out the
// same for the same reasons.
func (s *KeySet) same(other *KeySet) bool {
	sameKey := func(a, b publicKey) bool { return a.equal(b) && slices.Equal(a.algorithms, b.algorithms) }
	sameText := func(a, b error) bool { return a.Error() == b.Error() }
	return slices.EqualFunc(s.keys, other.keys, sameKey) && slices.EqualFunc(s.skipped, other.skipped, sameText)
}

// ParseKeySet reads a JSON Web Key Set. Keys that cannot verify a signature (for
// encryption, of an unknown type, too short) are skipped, as RFC 7517 §5 wants;
// a set without any other key is an error.
func ParseKeySet(data []byte) (*KeySet, error) {
	var document struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("not a JSON Web Key Set: %w", withoutInput(err))
	}
	if len(document.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys, more than %d", len(document.Keys), maxKeys)
	}
	set := &KeySet{byID: make(map[string][]publicKey, len(document.Keys))}
	for i, value := range document.Keys {
		key, err := parseKey(value)
		if err != nil {
			set.skipped = append(set.skipped, fmt.Errorf("keys[%d]: %w", i, err))
			continue
		}
		set.keys = append(set.keys, key)
		set.byID[key.id] = append(set.byID[key.id], key)
	}
	if len(set.keys) == 0 {
		return nil, errors.New("the key set has no key that can verify a signature" + some(set.skipped))
	}
	return set, nil
}

// some tells the first few of errors that may be many, on one line.
func some(errs []error) string {
	const shown = 3
	var text string
	for _, err := range errs[:min(len(errs), shown)] {
		text += "; " + err.Error()
	}
	if len(errs) > shown {
		text += fmt.Sprintf("; and %d more", len(errs)-shown)
	}
	return text
}

// Len is the number of keys that can verify a signature.
func (s *KeySet) Len() int { return len(s.keys) }

// Skipped says which keys were left out, and why.
func (s *KeySet) Skipped() []error { return s.skipped }

// has reports whether the set has a key with the id.
func (s *KeySet) has(id string) bool { return len(s.byID[id]) > 0 }

// hasKeyBeside reports whether the set has a key that no other has.
func (s *KeySet) hasKeyBeside(others []*KeySet) bool {
	return slices.ContainsFunc(s.keys, func(key publicKey) bool {
		return !slices.ContainsFunc(others, func(other *KeySet) bool { return slices.ContainsFunc(other.keys, key.equal) })
	})
}

// verify returns the key of the set that made the signature, nil if none did. As for
// upstream, every key with the token's kid is tried, and every key where the token has
// none.
func (s *KeySet) verify(verifier jws.Verifier, header untrustedHeader, signingInput, signature []byte) *publicKey {
	keys := s.keys
	if header.keyID != "" {
		keys = s.byID[header.keyID]
	}
	for i := range keys {
		key := &keys[i]
		if !slices.Contains(key.algorithms, jwa.SignatureAlgorithm(header.algorithm)) {
			continue
		}
		if verifier.Verify(signingInput, signature, key.public) == nil {
			return key
		}
	}
	return nil
}

// proofText says by which key of the set a token with the header is proven.
func (s *KeySet) proofText(key *publicKey, header untrustedHeader) string {
	text := fmt.Sprintf("made with %s by the issuer's key ", header.algorithm)
	if key.id == "" {
		text += "without kid"
	} else {
		text += fmt.Sprintf("%.100q", key.id)
	}
	if header.keyID == "" {
		text += fmt.Sprintf(", one of %d: the token has no kid", len(s.keys))
	}
	return text
}

// refusal says why no key of the set verifies a token with the header.
func (s *KeySet) refusal(header untrustedHeader) reason.Refusal {
	if header.keyID == "" {
		return reason.Refusal{Code: reason.SignatureInvalid, Text: "no key of the issuer has made the signature"}
	}
	fits := slices.ContainsFunc(s.byID[header.keyID], func(key publicKey) bool {
		return slices.Contains(key.algorithms, jwa.SignatureAlgorithm(header.algorithm))
	})
	switch {
	case !s.has(header.keyID):
		return reason.Refusal{Code: reason.KeyUnknown, Text: fmt.Sprintf("the issuer publishes no usable key with kid %.100q", header.keyID)}
	case !fits:
		return reason.Refusal{Code: reason.SignatureInvalid, Text: fmt.Sprintf("the issuer's key %.100q is not one for %s", header.keyID, header.algorithm)}
	default:
		return reason.Refusal{Code: reason.SignatureInvalid, Text: fmt.Sprintf("the issuer's key %.100q has not made the signature", header.keyID)}
	}
}

func parseKey(value jsontext.Value) (publicKey, error) {
	parsed, err := jwk.ParseKey(value)
	if err != nil {
		// The library's error may quote the key.
		return publicKey{}, errors.New("not a key of a known type")
	}
	if use := parsed.KeyUsage(); use != "" && use != string(jwk.ForSignature) {
		return publicKey{}, fmt.Errorf("kid %.100q: its use is %.20q, not \"sig\"", parsed.KeyID(), use)
	}
	if _, given := parsed.Get(jwk.KeyOpsKey); given && !slices.Contains(parsed.KeyOps(), jwk.KeyOpVerify) {
		return publicKey{}, fmt.Errorf("kid %.100q: its key_ops lack \"verify\"", parsed.KeyID())
	}
	var raw any
	if err := parsed.Raw(&raw); err != nil {
		return publicKey{}, fmt.Errorf("kid %.100q: not a valid key", parsed.KeyID())
	}
	// Of a longer exponent the library would use a part, which is another key.
	if encoded, ok := parsed.(jwk.RSAPublicKey); ok && new(big.Int).SetBytes(encoded.E()).Cmp(big.NewInt(maxRSAExponent)) > 0 {
		return publicKey{}, fmt.Errorf("kid %.100q: its RSA exponent is above %d", parsed.KeyID(), maxRSAExponent)
	}
	algorithms, err := fittingAlgorithms(raw)
	if err != nil {
		return publicKey{}, fmt.Errorf("kid %.100q: %w", parsed.KeyID(), err)
	}
	// RFC 7517 §4.4: a key that names its algorithm is for that one alone.
	if named := parsed.Algorithm().String(); named != "" {
		if !slices.Contains(algorithms, jwa.SignatureAlgorithm(named)) {
			return publicKey{}, fmt.Errorf("kid %.100q: its alg %.20q does not fit a %s", parsed.KeyID(), named, parsed.KeyType())
		}
		algorithms = []jwa.SignatureAlgorithm{jwa.SignatureAlgorithm(named)}
	}
	return publicKey{id: parsed.KeyID(), algorithms: algorithms, public: raw}, nil
}

// fittingAlgorithms is the table of RFC 7518 §3.1 read from the key's side, so
// that a key never verifies under an algorithm made for another kind of key.
func fittingAlgorithms(raw any) ([]jwa.SignatureAlgorithm, error) {
	switch key := raw.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, fmt.Errorf("an RSA key must have %d to %d bits, it has %d", minRSABits, maxRSABits, bits)
		}
		if key.E < 3 || key.E&1 == 0 {
			return nil, fmt.Errorf("its RSA exponent %d is not an odd number above 2", key.E)
		}
		return []jwa.SignatureAlgorithm{jwa.RS256, jwa.RS384, jwa.RS512, jwa.PS256, jwa.PS384, jwa.PS512}, nil
	case *ecdsa.PublicKey:
		if _, err := key.ECDH(); err != nil {
			return nil, errors.New("its point is not on its curve")
		}
		switch key.Curve.Params().BitSize {
		case 256:
			return []jwa.SignatureAlgorithm{jwa.ES256}, nil
		case 384:
			return []jwa.SignatureAlgorithm{jwa.ES384}, nil
		case 521:
			return []jwa.SignatureAlgorithm{jwa.ES512}, nil
		}
		return nil, fmt.Errorf("no algorithm is known for curve %s", key.Curve.Params().Name)
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("an Ed25519 key has %d bytes, this has %d", ed25519.PublicKeySize, len(key))
		}
		// The standard library verifies with these, and anybody signs for them (RFC 8032
		// §8.9, RFC 8725 §3.4).
		point, err := new(edwards25519.Point).SetBytes(key)
		if err != nil {
			return nil, errors.New("its point is not on its curve")
		}
		if point.MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) == 1 {
			return nil, errors.New("its point is of small order, for which anybody can sign")
		}
		return []jwa.SignatureAlgorithm{jwa.EdDSA}, nil
	default:
		return nil, errors.New("not a public key for signatures")
	}
}

// withoutInput strips from a JSON error what it quotes of its input.
func withoutInput(err error) error {
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		return fmt.Errorf("error at byte %d", syntactic.ByteOffset)
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return fmt.Errorf("wrong type at byte %d, %.100q", semantic.ByteOffset, semantic.JSONPointer)
	}
	return errors.New("not JSON")
}
