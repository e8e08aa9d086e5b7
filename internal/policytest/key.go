package policytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/config"
)

// throwawayKeys sign the tokens of one run. Each issuer, by its URL, has one of its
// own, so that none can speak for another. They never leave the process.
type throwawayKeys map[string]*throwawayKey

func newThrowawayKeys(issuers []config.Issuer) (throwawayKeys, error) {
	keys := make(throwawayKeys, len(issuers))
	for i := range issuers {
		key, err := newThrowawayKey()
		if err != nil {
			return nil, fmt.Errorf("make a key: %w", err)
		}
		keys[issuers[i].JWT.Issuer.URL] = key
	}
	return keys, nil
}

// trustedBy returns a copy of the configuration in which these keys are the issuers'
// only ones, so that neither files nor issuers are needed.
func (k throwawayKeys) trustedBy(original *config.Config) *config.Config {
	trusting := *original
	trusting.Issuers = make([]config.Issuer, len(original.Issuers))
	for i, issuer := range original.Issuers {
		issuer.JWT.Issuer.DiscoveryURL = ""
		issuer.Policy.Keys = v1alpha1.Keys{
			JWKS:         k[issuer.JWT.Issuer.URL].set,
			Algorithms:   []string{jwa.ES256.String()},
			MaxStaleness: issuer.Policy.Keys.MaxStaleness,
		}
		trusting.Issuers[i] = issuer
	}
	return &trusting
}

type throwawayKey struct {
	private jwk.Key
	set     string
}

func newThrowawayKey() (*throwawayKey, error) {
	raw, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := jwk.FromRaw(raw)
	if err != nil {
		return nil, err
	}
	public, err := private.PublicKey()
	if err != nil {
		return nil, err
	}
	set, err := json.Marshal(map[string]any{"keys": []jwk.Key{public}})
	if err != nil {
		return nil, err
	}
	return &throwawayKey{private: private, set: string(set)}, nil
}

// sign returns claims as a JWT (RFC 7519 §7.1).
func (k *throwawayKey) sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	token, err := jws.Sign(payload, jws.WithKey(jwa.ES256, k.private))
	if err != nil {
		return "", fmt.Errorf("sign claims: %w", err)
	}
	return string(token), nil
}
