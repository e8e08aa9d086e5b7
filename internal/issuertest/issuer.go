// Package issuertest runs a real OpenID issuer on loopback: TLS, a discovery
// document, a key set, and tokens signed with its keys. Tests and the
// demonstration use it; the product does not.
package issuertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// Claims is the claims set of a token to sign.
type Claims map[string]any

// With returns a copy of c in which the given members are replaced; a nil value
// removes one.
func (c Claims) With(changes Claims) Claims {
	out := make(Claims, len(c)+len(changes))
	for name, value := range c {
		out[name] = value
	}
	for name, value := range changes {
		if value == nil {
			delete(out, name)
			continue
		}
		out[name] = value
	}
	return out
}

// Key is a signing key of an issuer.
type Key struct {
	// ID is the kid of the published key and of the tokens it signs; empty for
	// none.
	ID        string
	Algorithm jwa.SignatureAlgorithm
	Private   crypto.Signer
}

// NewKey makes a key of the kind that algorithm wants.
func NewKey(id string, algorithm jwa.SignatureAlgorithm) Key {
	var (
		private crypto.Signer
		err     error
	)
	switch algorithm {
	case jwa.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jwa.ES384:
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jwa.ES512:
		private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case jwa.EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		panic(fmt.Sprintf("generate %s key: %v", algorithm, err))
	}
	return Key{ID: id, Algorithm: algorithm, Private: private}
}

// Public is the key as a member of a JSON Web Key Set (RFC 7517 §4).
func (k Key) Public() jwk.Key {
	public, err := jwk.FromRaw(k.Private.Public())
	if err != nil {
		panic(fmt.Sprintf("public key of %q: %v", k.ID, err))
	}
	set := func(name string, value any) {
		if err := public.Set(name, value); err != nil {
			panic(fmt.Sprintf("set %s of %q: %v", name, k.ID, err))
		}
	}
	if k.ID != "" {
		set(jwk.KeyIDKey, k.ID)
	}
	set(jwk.AlgorithmKey, k.Algorithm)
	set(jwk.KeyUsageKey, jwk.ForSignature)
	return public
}

// Sign returns the claims as a JWT signed by k (RFC 7515 §7.1).
func (k Key) Sign(claims Claims) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(fmt.Sprintf("encode claims: %v", err))
	}
	return k.SignPayload(payload)
}

// SignPayload signs whatever it is given, JSON or not.
func (k Key) SignPayload(payload []byte) string {
	headers := jws.NewHeaders()
	if err := headers.Set(jws.TypeKey, "JWT"); err != nil {
		panic(err)
	}
	if k.ID != "" {
		if err := headers.Set(jws.KeyIDKey, k.ID); err != nil {
			panic(err)
		}
	}
	token, err := jws.Sign(payload, jws.WithKey(k.Algorithm, k.Private, jws.WithProtectedHeaders(headers)))
	if err != nil {
		panic(fmt.Sprintf("sign with %q: %v", k.ID, err))
	}
	return string(token)
}

// KeySet is the public half of keys as a JSON Web Key Set (RFC 7517 §5).
func KeySet(keys ...Key) []byte {
	set := jwk.NewSet()
	for _, key := range keys {
		if err := set.AddKey(key.Public()); err != nil {
			panic(fmt.Sprintf("add key %q: %v", key.ID, err))
		}
	}
	data, err := json.Marshal(set)
	if err != nil {
		panic(fmt.Sprintf("encode key set: %v", err))
	}
	return data
}

// Issuer is an OpenID issuer listening on loopback. It is safe for concurrent
// use.
type Issuer struct {
	// URL is the issuer identifier: the iss of its tokens and of its discovery
	// document.
	URL string

	server *httptest.Server
	mu     sync.Mutex
	keys   []Key
	serial int
	// override answers in place of the issuer while it is set.
	override         http.Handler
	discoveryFetches atomic.Int64
	keyFetches       atomic.Int64
}

// Start runs an issuer with one RS256 key. An empty url makes the issuer's own
// loopback address its identifier; any other is one that a real issuer has, and
// verifiers then need DiscoveryURL.
func Start(url string) *Issuer {
	issuer := &Issuer{}
	issuer.Rotate(jwa.RS256)
	issuer.server = httptest.NewUnstartedServer(issuer)
	// Callers that do not trust it are part of what is tested.
	issuer.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	issuer.server.StartTLS()
	issuer.URL = url
	if url == "" {
		issuer.URL = issuer.server.URL
	}
	return issuer
}

// Close stops the issuer.
func (i *Issuer) Close() { i.server.Close() }

// Address is the loopback URL at which the issuer really listens.
func (i *Issuer) Address() string { return i.server.URL }

// DiscoveryURL is where the discovery document really is.
func (i *Issuer) DiscoveryURL() string {
	return i.server.URL + "/.well-known/openid-configuration"
}

// KeySetURL is where the key set really is.
func (i *Issuer) KeySetURL() string { return i.server.URL + "/keys" }

// CertificateAuthority is the PEM of the certificate that vouches for the
// issuer's own.
func (i *Issuer) CertificateAuthority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.server.Certificate().Raw}))
}

// Key is the key that signs now.
func (i *Issuer) Key() Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[len(i.keys)-1]
}

// Rotate replaces every key by a new one.
func (i *Issuer) Rotate(algorithm jwa.SignatureAlgorithm) Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.serial++
	key := NewKey(fmt.Sprintf("key-%d", i.serial), algorithm)
	i.keys = []Key{key}
	return key
}

// SetKeys replaces the published keys; the last one signs.
func (i *Issuer) SetKeys(keys ...Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

// Sign signs the claims with the current key, adding iss where it is missing.
func (i *Issuer) Sign(claims Claims) string {
	if _, ok := claims["iss"]; !ok {
		claims = claims.With(Claims{"iss": i.URL})
	}
	return i.Key().Sign(claims)
}

// Answer lets handler answer instead of the issuer, until it is nil.
func (i *Issuer) Answer(handler http.Handler) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.override = handler
}

// Fetches counts the requests for the discovery document and for the key set.
func (i *Issuer) Fetches() (discovery, keys int64) {
	return i.discoveryFetches.Load(), i.keyFetches.Load()
}

// ServeHTTP serves the discovery document (OpenID Connect Discovery §4) and the
// key set.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		i.discoveryFetches.Add(1)
	case r.URL.Path == "/keys":
		i.keyFetches.Add(1)
	}
	i.mu.Lock()
	override := i.override
	i.mu.Unlock()
	if override != nil {
		override.ServeHTTP(w, r)
		return
	}
	i.Genuine(w, r)
}

// Genuine answers as the issuer itself does, for handlers that answer only some
// requests in its place.
func (i *Issuer) Genuine(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	keys := i.keys
	i.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer":                                i.URL,
			"jwks_uri":                              i.KeySetURL(),
			"authorization_endpoint":                i.Address() + "/authorize",
			"token_endpoint":                        i.Address() + "/token",
			"response_types_supported":              []string{"id_token"},
			"subject_types_supported":               []string{"public"},
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	case r.URL.Path == "/keys":
		_, _ = w.Write(KeySet(keys...))
	default:
		http.NotFound(w, r)
	}
}
