package tokenreview_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// weakKey is an RSA key that no library would make, of any size and exponent, with
// what it takes to sign.
type weakKey struct {
	n, e   *big.Int
	d      *big.Int // nil where the exponent has no inverse
	primes []*big.Int
}

// rsaKey makes a key with a modulus of exactly so many bits, for each of the
// exponents and with the first. An even exponent, or zero, is had as well.
func rsaKey(t *testing.T, bits int, exponents ...*big.Int) weakKey {
	t.Helper()
	one := big.NewInt(1)
	fits := func(p *big.Int) bool {
		below := new(big.Int).Sub(p, one)
		return !slices.ContainsFunc(exponents, func(e *big.Int) bool {
			return e.Bit(0) == 1 && new(big.Int).GCD(nil, nil, e, below).Cmp(one) != 0
		})
	}
	prime := func(bits int) *big.Int {
		for {
			p, err := rand.Prime(rand.Reader, bits)
			if err != nil {
				t.Fatal(err)
			}
			if fits(p) {
				return p
			}
		}
	}
	// Small primes, and so many: this takes little time, and is verified alike.
	key := weakKey{n: big.NewInt(1)}
	part := min(bits/2, 512)
	// Room is left for a last one, of whose size there must be primes that fit.
	for key.n.BitLen()+part+part/2 <= bits {
		key.primes = append(key.primes, prime(part))
		key.n.Mul(key.n, key.primes[len(key.primes)-1])
	}
	for try := 0; ; try++ {
		last := prime(bits - key.n.BitLen() + try%2)
		if n := new(big.Int).Mul(key.n, last); n.BitLen() == bits {
			key.n, key.primes = n, append(key.primes, last)
			break
		}
	}
	return key.with(exponents[0])
}

// with is the key with another exponent.
func (k weakKey) with(e *big.Int) weakKey {
	k.e, k.d = e, nil
	if e.Bit(0) == 1 {
		phi, one := big.NewInt(1), big.NewInt(1)
		for _, p := range k.primes {
			phi.Mul(phi, new(big.Int).Sub(p, one))
		}
		k.d = new(big.Int).ModInverse(e, phi)
	}
	return k
}

func (k weakKey) size() int { return (k.n.BitLen() + 7) / 8 }

// published is the key as a JSON Web Key for RS256, with some members changed.
func (k weakKey) published(kid string, changes map[string]any) string {
	e := k.e.Bytes()
	if len(e) == 0 {
		e = []byte{0}
	}
	return changedKey(json.RawMessage(fmt.Sprintf(`{"kty":"RSA","use":"sig","alg":"RS256","kid":%q,"n":%q,"e":%q}`, kid, base64url(string(k.n.Bytes())), base64url(string(e)))), changes)
}

// seal signs the two segments under RS256 (RFC 8017 §8.2.1).
func (k weakKey) seal(input string) string {
	signature, _ := k.root(new(big.Int).SetBytes(padded(k.size(), input)))
	return input + "." + base64url(string(signature.FillBytes(make([]byte, k.size()))))
}

// token is a token for jane that the key has really signed, as far as that is
// possible: among similar claims it takes some whose digest has the root.
func (k weakKey) token(kid string) string {
	for try := range 1000 {
		input := base64url(`{"alg":"RS256","kid":"`+kid+`"}`) + "." + base64url(fmt.Sprintf(`{"try":%d,`, try)+strings.TrimPrefix(goodPayload, "{"))
		if _, found := k.root(new(big.Int).SetBytes(padded(k.size(), input))); found || k.e.Sign() == 0 {
			return k.seal(input)
		}
	}
	panic("no digest has a root")
}

// root is x for which x^e is the number, if there is one.
func (k weakKey) root(number *big.Int) (root *big.Int, found bool) {
	if k.d != nil {
		return new(big.Int).Exp(number, k.d, k.n), true
	}
	if k.e.Cmp(big.NewInt(2)) != 0 {
		return big.NewInt(1), false
	}
	// The Chinese remainder theorem over the roots modulo each prime.
	root = new(big.Int)
	for _, p := range k.primes {
		part := new(big.Int).ModSqrt(new(big.Int).Mod(number, p), p)
		if part == nil {
			return big.NewInt(1), false
		}
		others := new(big.Int).Div(k.n, p)
		root.Add(root, part.Mul(part, others).Mul(part, new(big.Int).ModInverse(others, p)))
	}
	return root.Mod(root, k.n), true
}
