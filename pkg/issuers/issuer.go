package issuers

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

// DefaultMaxStaleness is how long the last keys serve while their issuer cannot
// be reached.
const DefaultMaxStaleness = 24 * time.Hour

// DefaultAlgorithms is what an issuer may sign with unless its policy says
// otherwise: what kube-apiserver allows with --authentication-config.
func DefaultAlgorithms() []string {
	return []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"}
}

// SupportedAlgorithms is what an issuer can be allowed to sign with: algorithms with
// a public key. An HMAC key would be the client secret that every relying party has,
// and "none" proves nothing (RFC 8725 §2.1, §3.1).
func SupportedAlgorithms() []string { return append(DefaultAlgorithms(), "EdDSA") }

// Config says how the tokens of one issuer are proven.
type Config struct {
	// Name is the issuer's short name in logs, metrics and reasons.
	Name string
	// URL is the issuer identifier: iss must equal it, to the letter.
	URL string
	// Audiences are the accepted values of aud; one in common suffices.
	Audiences []string
	// Algorithms are the accepted values of alg (RFC 7518 §3.1); empty means
	// DefaultAlgorithms.
	Algorithms []string
	// GroupsClaim is the one claim that may be a distributed claim (OpenID Connect
	// Core §5.6.2); empty for none.
	GroupsClaim string
	// IgnoreClaimSources leaves _claim_names and _claim_sources to the policy: those of
	// Entra ID name a place that nobody should ask.
	IgnoreClaimSources bool
	// Keys says where the issuer's keys come from.
	Keys KeysConfig
}

// KeysConfig says where keys come from: JWKS, else JWKSFile, else JWKSURL, else
// the discovery document.
type KeysConfig struct {
	JWKS         []byte
	JWKSFile     string
	JWKSURL      string
	DiscoveryURL string
	// CertificateAuthority is PEM; empty means the system's roots.
	CertificateAuthority []byte
	// MaxStaleness is how long the last keys serve while no newer can be had; zero
	// means DefaultMaxStaleness.
	MaxStaleness time.Duration
}

// sameSource reports whether keys come from the same place, in the same way.
func (c KeysConfig) sameSource(o KeysConfig) bool {
	return bytes.Equal(c.JWKS, o.JWKS) && c.JWKSFile == o.JWKSFile && c.JWKSURL == o.JWKSURL &&
		c.DiscoveryURL == o.DiscoveryURL && bytes.Equal(c.CertificateAuthority, o.CertificateAuthority)
}

// Issuer proves the tokens of one issuer. It is immutable but for its keys, which
// refresh themselves, and safe for concurrent use.
type Issuer struct {
	config Config
	// verifiers is the allow-list of algorithms and what checks each.
	verifiers map[string]jws.Verifier
	// claimsClient fetches claims. Keys have another, so that claim sources that hang
	// hold up none.
	claimsClient *http.Client
	claimsSlots  chan struct{} // one for each claim that is being fetched
	keys         *keys
	headers      headers
	now          func() time.Time
}

// Name is the issuer's short name.
func (i *Issuer) Name() string { return i.config.Name }

// KeysInUse is the set that tokens are verified with now, nil while there is none that
// may be trusted. It is the same as before unless a fetch has brought other keys. It
// neither waits nor has the keys fetched.
func (i *Issuer) KeysInUse() *KeySet {
	current := i.keys.current.Load()
	if current == nil || i.keys.age(current) > i.keys.maxStaleness {
		return nil
	}
	return current.set
}

// newIssuer makes an issuer whose keys are not being fetched yet.
func newIssuer(config Config, options Options) (*Issuer, error) {
	if len(config.Algorithms) == 0 {
		config.Algorithms = DefaultAlgorithms()
	}
	issuer := &Issuer{config: config, now: options.Now, verifiers: make(map[string]jws.Verifier, len(config.Algorithms))}
	for _, algorithm := range config.Algorithms {
		if !slices.Contains(SupportedAlgorithms(), algorithm) {
			return nil, fmt.Errorf("algorithm %q is not supported", algorithm)
		}
		verifier, err := jws.NewVerifier(jwa.SignatureAlgorithm(algorithm))
		if err != nil {
			return nil, fmt.Errorf("algorithm %q: %w", algorithm, err)
		}
		issuer.verifiers[algorithm] = verifier
	}
	if config.GroupsClaim != "" && !config.IgnoreClaimSources {
		transport, err := newTransport(config.Keys.CertificateAuthority)
		if err != nil {
			return nil, err
		}
		issuer.claimsClient = newClient(transport)
		issuer.claimsSlots = make(chan struct{}, maxClaimFetches)
	}
	keys, err := newKeys(config, options)
	if err != nil {
		return nil, err
	}
	issuer.keys = keys
	return issuer, nil
}

// newKeys returns the issuer's keys, not fetched yet: none, or those that were saved.
func newKeys(config Config, options Options) (*keys, error) {
	k := &keys{
		maxStaleness: config.Keys.MaxStaleness,
		now:          options.Now,
		observe:      func(err error) { options.OnFetch(config.Name, err) },
		name:         config.Name,
	}
	if k.maxStaleness == 0 {
		k.maxStaleness = DefaultMaxStaleness
	}
	k.interval = func(fresh time.Duration) time.Duration { return refreshAfter(fresh, k.maxStaleness) }
	switch c := config.Keys; {
	case len(c.JWKS) > 0:
		set, err := ParseKeySet(c.JWKS)
		if err != nil {
			return nil, fmt.Errorf("keys.jwks: %w", err)
		}
		k.source, k.fixed, k.maxStaleness = staticSource{set}, true, neverStale
		return k, nil
	case c.JWKSFile != "":
		k.source = fileSource{c.JWKSFile}
		k.interval = func(time.Duration) time.Duration { return min(fileInterval, k.maxStaleness/3) }
		return k, nil
	}
	transport, err := newTransport(config.Keys.CertificateAuthority)
	if err != nil {
		return nil, err
	}
	// A connection that is kept can be dead without a sign, and there are some fetches an
	// hour.
	transport.DisableKeepAlives = true
	client := newClient(transport)
	k.tracer = options.Tracer
	if address := config.Keys.JWKSURL; address != "" {
		k.source = urlSource{client: client, url: address}
	} else {
		k.source = discoverySource{client: client, issuer: config.URL, address: config.discoveryURL()}
	}
	if options.StateDir != "" {
		k.saver = newSaver(newSavedKeys(options.StateDir, config), func(err error) { options.OnSave(config.Name, err) })
	}
	return k, nil
}

// discoveryURL is where the discovery document is.
func (c *Config) discoveryURL() string {
	if c.Keys.DiscoveryURL != "" {
		return c.Keys.DiscoveryURL
	}
	return strings.TrimSuffix(c.URL, "/") + wellKnownPath
}

// checkClaims checks what the issuer is proven to have signed: the form of the
// registered claims, that the token is for one of audiences, and for now. expiry is its
// exp, zero where it is refused.
func (i *Issuer) checkClaims(claims *Claims, audiences []string, t *trace.Trace) (expiry time.Time, _ reason.Refusal) {
	if refusal := checkTypes(claims); !refusal.IsZero() {
		t.Add("claims", trace.Failed, refusal.Text)
		return time.Time{}, refusal
	}
	got, err := claims.Strings("aud")
	if err != nil && claims.Has("aud") {
		text := "aud: " + err.Error()
		t.Add("aud", trace.Failed, text)
		return time.Time{}, reason.Refusal{Code: reason.TokenMalformed, Text: text}
	}
	if !slices.ContainsFunc(got, func(audience string) bool { return slices.Contains(audiences, audience) }) {
		text := fmt.Sprintf("expected an aud among %s, got %s%s", quoteSome(audiences), quoteSome(got), spellingHint(audiences, got))
		t.Add("aud", trace.Failed, text)
		return time.Time{}, reason.Refusal{Code: reason.AudienceMismatch, Text: text}
	}
	if t.On() {
		t.Add("aud", trace.Passed, fmt.Sprintf("%s is for one of %s", quoteSome(got), quoteSome(audiences)))
	}
	now := i.now()
	expiry, refusal := checkTimes(claims, now)
	if !refusal.IsZero() {
		t.Add("times", trace.Failed, refusal.Text)
		return time.Time{}, refusal
	}
	if t.On() {
		t.Add("times", trace.Passed, timesText(claims, now))
	}
	return expiry, reason.Refusal{}
}

// spellingHint helps with an audience that Entra ID spells in several ways: GUID,
// api://GUID, spn:GUID, with and without a slash at the end. To accept what the
// configuration does not list is not for us.
func spellingHint(audiences, got []string) string {
	bare := func(audience string) string {
		return strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(audience, "spn:"), "api://"), "/")
	}
	for _, audience := range audiences {
		for _, other := range got {
			if strings.EqualFold(bare(audience), bare(other)) {
				return fmt.Sprintf("; %.200q is another spelling of %.200q, which counts: add it to the issuer's audiences if it is meant", other, audience)
			}
		}
	}
	return ""
}

// quoteSome quotes the first few of texts that may be many and long.
func quoteSome(texts []string) string {
	const shown = 5
	var quoted strings.Builder
	for n, text := range texts {
		if n == shown {
			fmt.Fprintf(&quoted, " and %d more", len(texts)-shown)
			break
		}
		if n > 0 {
			quoted.WriteByte(' ')
		}
		fmt.Fprintf(&quoted, "%.200q", text)
	}
	return "[" + quoted.String() + "]"
}

// verifySignature checks alg against the configuration, then the signature
// against the issuer's keys (RFC 8725 §3.1). It returns the set that has the key which
// made it, nil if none has.
func (i *Issuer) verifySignature(ctx context.Context, token untrustedToken, t *trace.Trace) (*KeySet, reason.Refusal, error) {
	header, err := i.headers.parse(token.header)
	if err != nil {
		t.Add("header", trace.Failed, err.Error())
		return nil, reason.Refusal{Code: reason.TokenMalformed, Text: err.Error()}, nil
	}
	verifier, allowed := i.verifiers[header.algorithm]
	if !allowed {
		text := i.algorithmText(header.algorithm)
		t.Add("alg", trace.Failed, text)
		return nil, reason.Refusal{Code: reason.AlgorithmNotAllowed, Text: text}, nil
	}
	if t.On() {
		t.Add("alg", trace.Passed, fmt.Sprintf("%s is one of %s", header.algorithm, i.allowedAlgorithms()))
	}
	signature, err := decodeSegment(token.signature)
	if err != nil {
		text := "signature: " + err.Error()
		t.Add("signature", trace.Failed, text)
		return nil, reason.Refusal{Code: reason.TokenMalformed, Text: text}, nil
	}
	current, err := i.keys.get()
	if err != nil {
		t.Add("keys", trace.Failed, err.Error())
		return nil, reason.Refusal{}, err
	}
	room := signingInputs.Get().(*signingInput)
	defer room.release()
	signed := room.of(token)
	if key := current.set.verify(verifier, header, signed, signature); key != nil {
		i.headers.proven(token.header, header)
		if t.On() {
			t.Add("signature", trace.Passed, current.set.proofText(key, header))
		}
		return current.set, reason.Refusal{}, nil
	}
	if header.keyID == "" || !current.set.has(header.keyID) {
		// The issuer may have rotated its keys since.
		before := current
		proves := func(set *KeySet) bool { return set.verify(verifier, header, signed, signature) != nil }
		current, err = i.keys.newer(ctx, before, proves)
		if err != nil {
			t.Add("keys", trace.Failed, err.Error())
			return nil, reason.Refusal{}, err
		}
		if current != before {
			if key := current.set.verify(verifier, header, signed, signature); key != nil {
				if t.On() {
					t.Add("signature", trace.Passed, current.set.proofText(key, header)+", fetched just now")
				}
				return current.set, reason.Refusal{}, nil
			}
		}
	}
	refusal := current.set.refusal(header)
	t.Add("signature", trace.Failed, refusal.Text)
	return nil, refusal, nil
}

func (i *Issuer) allowedAlgorithms() string {
	return strings.Join(slices.Sorted(maps.Keys(i.verifiers)), ", ")
}

func (i *Issuer) algorithmText(algorithm string) string {
	text := fmt.Sprintf("the token is signed with %.20q; allowed are %s", algorithm, i.allowedAlgorithms())
	if strings.HasPrefix(algorithm, "HS") {
		text += ". HS* signs with a secret that both sides know: give the issuer's application a signing key"
	}
	return text
}

// registeredClaims are those whose meaning this package or upstream's authenticator
// knows.
var registeredClaims = [...]string{"iss", "sub", "aud", "exp", "nbf", "iat", "nonce", "at_hash", "_claim_names", "_claim_sources"}

// checkTypes checks the form of registered claims, whether or not they are used
// later: upstream wants sub, nonce and at_hash to be text (RFC 7519 §4.1.2, OpenID
// Connect Core §2), and takes a name in other case for the same claim. To us it
// would be another, so that two readers of one token would read two things.
func checkTypes(claims *Claims) reason.Refusal {
	for _, m := range claims.members {
		name := m.name.of(claims.text)
		if !hasCapitals(name) {
			continue
		}
		for _, registered := range registeredClaims {
			if strings.EqualFold(string(name), registered) {
				return reason.Refusal{Code: reason.TokenMalformed, Text: fmt.Sprintf("claim %q must be spelled %q", name, registered)}
			}
		}
	}
	for _, name := range []string{"sub", "nonce", "at_hash"} {
		if !claims.Has(name) {
			continue
		}
		if _, err := claims.String(name); err != nil {
			return reason.Refusal{Code: reason.TokenMalformed, Text: name + ": " + err.Error()}
		}
	}
	return reason.Refusal{}
}

// hasCapitals reports whether there may be another spelling of text in small letters, as
// registered claims have them: some letters beyond ASCII are capitals of such.
func hasCapitals(text []byte) bool {
	for _, c := range text {
		if 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf {
			return true
		}
	}
	return false
}
