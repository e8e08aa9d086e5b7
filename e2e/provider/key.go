package provider

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// key is one of the provider's. It signs with RS256, as providers do that nobody
// told otherwise.
type key struct {
	id      string
	private *rsa.PrivateKey
}

func newKey() (key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return key{}, fmt.Errorf("make a signing key: %w", err)
	}
	return key{id: rand.Text(), private: private}, nil
}

// ID is the kid of the published key and of the tokens it signs.
func (k key) ID() string { return k.id }

// signingKey is the private half of a key, publishedKey its public one.
type (
	signingKey   struct{ key }
	publishedKey struct{ key }
)

var (
	_ op.SigningKey = signingKey{}
	_ op.Key        = publishedKey{}
)

func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k signingKey) Key() any                                    { return k.private }

func (k publishedKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publishedKey) Use() string                        { return "sig" }
func (k publishedKey) Key() any                           { return &k.private.PublicKey }
