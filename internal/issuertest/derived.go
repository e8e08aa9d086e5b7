package issuertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"

	"github.com/lestrrat-go/jwx/v2/jwa"
)

// DerivedKey is NewKey without chance: the key follows from id and algorithm, and
// signs the same claims in the same way each time (but under PS*, which has salt).
// Fuzz targets want that: their workers are processes of their own, and what one of
// them has found must mean the same tomorrow. It keeps nothing secret.
func DerivedKey(id string, algorithm jwa.SignatureAlgorithm) Key {
	random := rand.NewChaCha8(sha256.Sum256([]byte(string(algorithm) + " " + id)))
	key := Key{ID: id, Algorithm: algorithm}
	switch algorithm {
	case jwa.ES256:
		key.Private = derivedCurveKey(random, elliptic.P256())
	case jwa.ES384:
		key.Private = derivedCurveKey(random, elliptic.P384())
	case jwa.ES512:
		key.Private = derivedCurveKey(random, elliptic.P521())
	case jwa.EdDSA:
		key.Private = ed25519.NewKeyFromSeed(read(random, ed25519.SeedSize))
	default:
		key.Private = derivedRSAKey(random)
	}
	return key
}

// derivedCurveSigner signs as RFC 6979 says, without chance.
type derivedCurveSigner struct{ key *ecdsa.PrivateKey }

func (s derivedCurveSigner) Public() crypto.PublicKey { return s.key.Public() }

func (s derivedCurveSigner) Sign(_ io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	return s.key.Sign(nil, digest, options)
}

func derivedCurveKey(random *rand.ChaCha8, curve elliptic.Curve) crypto.Signer {
	bits := curve.Params().BitSize
	for {
		scalar := read(random, (bits+7)/8)
		scalar[0] >>= len(scalar)*8 - bits
		// It fails for the few numbers that are not below the curve's order.
		if key, err := ecdsa.ParseRawPrivateKey(curve, scalar); err == nil {
			return derivedCurveSigner{key}
		}
	}
}

func derivedRSAKey(random *rand.ChaCha8) *rsa.PrivateKey {
	const exponent = 65537
	p, q := derivedPrime(random, exponent), derivedPrime(random, exponent)
	one := big.NewInt(1)
	totient := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent},
		D:         new(big.Int).ModInverse(big.NewInt(exponent), totient),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		panic(fmt.Sprintf("derived RSA key: %v", err))
	}
	return key
}

// derivedPrime returns a prime of 1024 bits of which two make a modulus of 2048.
func derivedPrime(random *rand.ChaCha8, exponent int64) *big.Int {
	const size = 128
	data := read(random, size)
	data[0] |= 0xc0
	data[size-1] |= 1
	candidate, two := new(big.Int).SetBytes(data), big.NewInt(2)
	for {
		less := new(big.Int).Sub(candidate, big.NewInt(1))
		if new(big.Int).Mod(less, big.NewInt(exponent)).Sign() != 0 && candidate.ProbablyPrime(1) {
			return candidate
		}
		candidate.Add(candidate, two)
	}
}

func read(random *rand.ChaCha8, n int) []byte {
	data := make([]byte, n)
	// It never fails (math/rand/v2).
	_, _ = random.Read(data)
	return data
}
