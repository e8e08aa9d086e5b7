package chaos

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

// audience is the one that the webhook accepts.
const audience = "chaos"

// question is a token, and what the webhook has to say to it.
type question struct {
	what, token string
	// user is whose the token is, empty for a token that must be refused; then the answer is
	// one of codes, "" standing for a token that is not the webhook's.
	user  string
	codes []reason.Code
}

// claims are those of a good token, of which n makes one out of many.
func (i *issuer) claims(n int64) issuertest.Claims {
	now := time.Now()
	subject := fmt.Sprintf("alice-%d", n)
	return issuertest.Claims{
		"iss": i.URL,
		"aud": audience,
		"sub": subject,
		"jti": subject,
		"iat": now.Unix(),
		"exp": now.Add(time.Hour).Unix(),
	}
}

// good asks about a token that the issuer has just signed.
func (i *issuer) good(n int64) question {
	return question{
		what:  "a valid token of " + i.name,
		token: i.key().Sign(i.claims(n)),
		user:  fmt.Sprintf("%s:alice-%d", i.name, n),
	}
}

// forger makes tokens that must never be accepted.
type forger struct {
	issuers []*issuer
	key     issuertest.Key
}

func newForger(issuers ...*issuer) *forger {
	return &forger{issuers: issuers, key: issuertest.NewKey("", jwa.ES256)}
}

// signedBy is a token with a key id, signed with the forger's own key.
func (f *forger) signedBy(id string, claims issuertest.Claims) string {
	key := f.key
	key.ID = id
	return key.Sign(claims)
}

// pick takes turns: between the issuers first, then between n kinds of tokens.
func (f *forger) pick(n int64, kinds int64) (of *issuer, kind int64) {
	issuers := int64(len(f.issuers))
	return f.issuers[n%issuers], n / issuers % kinds
}

// knownKey asks about tokens that are wrong without a doubt: no key has to be looked for.
func (f *forger) knownKey(n int64) question {
	of, kind := f.pick(n, 7)
	claims, key := of.claims(n), of.key()
	bad := func(what, token string, code reason.Code) question {
		q := question{what: what + ", " + of.name, token: token, codes: []reason.Code{code}}
		if code != "" {
			// Of a token of an issuer whose keys are missing nothing is known.
			q.codes = append(q.codes, reason.KeysUnavailable)
		}
		return q
	}
	switch kind {
	case 0:
		return bad("a token forged under a known kid", f.signedBy(key.ID, claims), reason.SignatureInvalid)
	case 1:
		return bad("an expired token", key.Sign(claims.With(issuertest.Claims{"exp": time.Now().Add(-time.Second).Unix()})), reason.Expired)
	case 2:
		return bad("a token for another audience", key.Sign(claims.With(issuertest.Claims{"aud": "elsewhere"})), reason.AudienceMismatch)
	case 3:
		return bad("a token of an unknown issuer, signed with the key", key.Sign(claims.With(issuertest.Claims{"iss": "https://elsewhere.example.com"})), "")
	case 4:
		return bad("a token signed with HS256 and the public key", symmetric(key, claims), reason.AlgorithmNotAllowed)
	case 5:
		return bad("an unsigned token", encode(map[string]any{"alg": "none"})+"."+encode(claims)+".", reason.AlgorithmNotAllowed)
	default:
		return bad("an opaque token", "opaque-"+rand.Text(), "")
	}
}

// unknownKey asks about tokens whose key the webhook does not know, and may look for.
func (f *forger) unknownKey(n int64) question {
	of, kind := f.pick(n, 3)
	q := question{codes: []reason.Code{reason.KeyUnknown, reason.KeysUnavailable}}
	switch kind {
	case 0:
		q.what, q.token = "a token forged under a random kid", f.signedBy(rand.Text(), of.claims(n))
	case 1:
		other := f.issuers[(n+1+n/7%int64(len(f.issuers)-1))%int64(len(f.issuers))]
		q.what, q.token = "a token signed with the key of "+other.name, other.key().Sign(of.claims(n))
	default:
		q.what, q.token = "a token signed with a key that only the misbehaving issuer publishes", of.stranger.Sign(of.claims(n))
	}
	q.what += " of " + of.name
	return q
}

// randomKey asks about a token forged under a random kid of one issuer.
func (f *forger) randomKey(of *issuer) func(n int64) question {
	return func(n int64) question {
		return question{
			what:  "a token forged under a random kid of " + of.name,
			token: f.signedBy(rand.Text(), of.claims(n)),
			codes: []reason.Code{reason.KeyUnknown, reason.KeysUnavailable},
		}
	}
}

// symmetric takes the public key for a secret, as a careless verifier would (RFC 8725 §2.1).
func symmetric(key issuertest.Key, claims issuertest.Claims) string {
	secret, err := x509.MarshalPKIXPublicKey(key.Private.Public())
	if err != nil {
		panic(err)
	}
	signed := encode(map[string]any{"alg": "HS256", "kid": key.ID}) + "." + encode(claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// encode is a part of a JWT.
func encode(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}
