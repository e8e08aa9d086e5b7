package tokenreview_test

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

// RFC 8725 §3.10: a token does not choose the key that it is verified with, and
// nobody goes where a stranger's token points.
func TestAKeyThatATokenBringsIsNotLookedAt(t *testing.T) {
	f := newTarget(t)
	var asked atomic.Int64
	mallory := issuertest.NewKey("mallory", jwa.RS256)
	certificate := selfSigned(t, mallory)
	servers := map[string]*httptest.Server{}
	for _, scheme := range []string{"http", "https"} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(keySet(published(mallory, nil)))) }))
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				asked.Add(1)
			}
		}
		if scheme == "https" {
			server.StartTLS()
		} else {
			server.Start()
		}
		t.Cleanup(server.Close)
		servers[scheme] = server
	}
	thumbprint1, thumbprint256 := sha1.Sum(certificate), sha256.Sum256(certificate)
	members := map[string]string{
		"jwk":                  `"jwk":` + published(mallory, nil),
		"jwk with main's kid":  `"jwk":` + published(mallory, map[string]any{"kid": "rsa"}),
		"jwk and nothing else": `"jwk":` + published(mallory, map[string]any{"kid": nil, "alg": nil, "use": nil}),
		"x5c":                  `"x5c":["` + base64.StdEncoding.EncodeToString(certificate) + `"]`,
		"x5t":                  `"x5t":"` + base64url(string(thumbprint1[:])) + `"`,
		"x5t#S256":             `"x5t#S256":"` + base64url(string(thumbprint256[:])) + `"`,
		"all of them":          `"jwk":` + published(mallory, nil) + `,"x5c":["` + base64.StdEncoding.EncodeToString(certificate) + `"],"jku":"` + servers["https"].URL + `/keys","x5u":"` + servers["https"].URL + `/cert"`,
	}
	for scheme, server := range servers {
		members["jku over "+scheme] = `"jku":"` + server.URL + `/keys"`
		members["x5u over "+scheme] = `"x5u":"` + server.URL + `/certificate"`
	}
	var attacks []attack
	for name, member := range members {
		for _, kid := range []struct {
			name, member string
			code         reason.Code
			text         string
		}{
			{"no kid", ``, reason.SignatureInvalid, "no key of the issuer has made the signature"},
			{"the issuer's kid", `,"kid":"rsa"`, reason.SignatureInvalid, `the issuer's key "rsa" has not made the signature`},
			{"a kid of its own", `,"kid":"mallory"`, reason.KeyUnknown, `no usable key with kid "mallory"`},
			{"a URL for a kid", `,"kid":"` + servers["https"].URL + `/keys"`, reason.KeyUnknown, "no usable key with kid"},
		} {
			attacks = append(attacks, attack{name + " and " + kid.name, forge(t, mallory, `{"alg":"RS256",`+member+kid.member+`}`, goodPayload), kid.code, kid.text, "main"})
		}
	}
	claimed := `{"_claim_names":{"groups":"s"},"_claim_sources":{"s":{"endpoint":"` + servers["https"].URL + `/groups"}},` + goodPayload[1:]
	attacks = append(attacks,
		attack{"claims kept elsewhere", forge(t, mallory, `{"alg":"RS256","kid":"rsa"}`, claimed), reason.SignatureInvalid, "has not made the signature", "main"},
		attack{"an issuer to be discovered", forge(t, mallory, `{"alg":"RS256"}`, strings.Replace(goodPayload, "https://issuer.example", servers["https"].URL, 1)), reason.IssuerUnknown, servers["https"].URL, ""},
	)
	f.refuses(t, attacks)
	if n := asked.Load(); n > 0 {
		t.Errorf("the attacker was asked %d times", n)
	}
	// The counter counts, or it shows nothing.
	if response, err := servers["https"].Client().Get(servers["https"].URL); err != nil || asked.Load() == 0 {
		t.Errorf("expected the attacker to be there, got %v", err)
	} else {
		_ = response.Body.Close()
	}
	t.Run("beside the issuer's own signature they are ignored", func(t *testing.T) {
		f.accepts(t, forge(t, f.rsa, `{"alg":"RS256","kid":"rsa",`+members["all of them"]+`}`, goodPayload), jane)
	})
}

// selfSigned is the DER of a certificate that vouches for the key.
func selfSigned(t *testing.T, key issuertest.Key) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"issuer.example"}, IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Private.Public(), key.Private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Each of these is signed by the issuer: what else a header may say (RFC 7515 §4.1.9
// to §4.1.11, RFC 7516, RFC 7797).
func TestHeaderMembersThatWouldChangeWhatIsSigned(t *testing.T) {
	f := newTarget(t)
	var attacks []attack
	for value, what := range map[string]string{
		`["exp"]`: "a claim", `["b64"]`: "b64", `["alg"]`: "alg", `["kid"]`: "kid", `["https://example.com/unknown"]`: "an unknown name",
		`[]`: "nothing", `null`: "null", `"exp"`: "text", `{}`: "an object", `["exp","exp"]`: "a name twice", `[1]`: "a number", `false`: "false",
	} {
		for _, other := range []string{``, `,"exp":4102444800`, `,"https://example.com/unknown":true`} {
			attacks = append(attacks, attack{"crit of " + what + " beside " + other, forge(t, f.rsa, `{"alg":"RS256","kid":"rsa","crit":`+value+other+`}`, goodPayload), reason.TokenMalformed, "critical header parameters", "main"})
		}
	}
	for _, value := range []string{`false`, `true`, `null`, `"false"`, `0`} {
		attacks = append(attacks, attack{"b64 is " + value, forge(t, f.rsa, `{"alg":"RS256","kid":"rsa","b64":`+value+`}`, goodPayload), reason.TokenMalformed, "unencoded payloads", "main"})
	}
	attacks = append(attacks,
		attack{"crit that is escaped", forge(t, f.rsa, `{"alg":"RS256","kid":"rsa","\u0063rit":["exp"]}`, goodPayload), reason.TokenMalformed, "critical header parameters", "main"},
		attack{"crit with b64", forge(t, f.rsa, `{"alg":"RS256","kid":"rsa","b64":false,"crit":["b64"]}`, goodPayload), reason.TokenMalformed, "unencoded payloads", "main"},
		attack{"an unencoded payload", seal(t, f.rsa, base64url(`{"alg":"RS256","kid":"rsa","b64":false,"crit":["b64"]}`)+"."+goodPayload), reason.TokenMalformed, "not a JWT", ""},
		attack{"an unencoded payload without dots", seal(t, f.rsa, base64url(`{"alg":"RS256","kid":"rsa","b64":false,"crit":["b64"]}`)+`.{"iss":"x"}`), reason.TokenMalformed, "payload: not base64url", ""},
		attack{"a compressed payload", forge(t, f.rsa, `{"alg":"RS256","kid":"rsa","zip":"DEF"}`, deflated(t, goodPayload)), reason.TokenMalformed, "payload: not a JSON object", ""},
		attack{"a signed token in a signed token", forge(t, f.rsa, `{"alg":"RS256","kid":"rsa","cty":"JWT"}`, forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, goodPayload)), reason.TokenMalformed, "payload: not a JSON object", ""},
		attack{"a signed token as text in a signed token", forge(t, f.rsa, `{"alg":"RS256","kid":"rsa","cty":"JWT"}`, `"`+forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, goodPayload)+`"`), reason.TokenMalformed, "payload: not a JSON object", ""},
		attack{"a payload that is empty", forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, ""), reason.TokenMalformed, "payload: not a JSON object", ""},
	)
	for _, payload := range []string{`null`, `true`, `5`, `"text"`, `[]`, `[` + goodPayload + `]`, `hello`} {
		attacks = append(attacks, attack{fmt.Sprintf("a payload that is %.10s", payload), forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, payload), reason.TokenMalformed, "payload: not a JSON object", ""})
		attacks = append(attacks, attack{fmt.Sprintf("a header that is %.10s", payload), forge(t, f.rsa, payload, goodPayload), reason.TokenMalformed, "header: not a JSON object", "main"})
	}
	for _, value := range []string{`1`, `true`, `["rsa"]`, `{}`} {
		attacks = append(attacks, attack{"a kid that is " + value, forge(t, f.rsa, `{"alg":"RS256","kid":`+value+`}`, goodPayload), reason.TokenMalformed, `"kid": expected text`, "main"})
	}
	f.refuses(t, attacks)

	// RFC 7515 §4: what is not understood is ignored.
	for _, member := range []string{`"zip":"DEF"`, `"cty":"JWT"`, `"typ":"dpop+jwt"`, `"epk":{}`, `"enc":"A256GCM"`, `"nonce":"x"`, `"ALG":"none"`, `"iss":"https://mallory.example"`, `"Crit":["exp"]`} {
		t.Run("ignored is "+member, func(t *testing.T) {
			f.accepts(t, forge(t, f.rsa, `{"alg":"RS256","kid":"rsa",`+member+`}`, goodPayload), jane)
		})
	}
}

func deflated(t *testing.T, text string) string {
	t.Helper()
	var buffer bytes.Buffer
	writer, err := flate.NewWriter(&buffer, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.String()
}

// RFC 7515 §7: one serialization is accepted, and there is one signature in it. Whose
// tokens the others are nobody looks.
func TestOtherSerializations(t *testing.T) {
	f := newTarget(t)
	good := forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, goodPayload)
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	one := `{"protected":"` + header + `","signature":"` + signature + `"}`
	unsigned := `{"header":{"alg":"none"},"signature":""}`
	const inJSON, noJWT = "JSON serialization", "not a JWT"
	f.refuses(t, []attack{
		{"flattened", `{"payload":"` + payload + `",` + one[1:], reason.TokenMalformed, inJSON, ""},
		{"flattened with an unprotected header", `{"payload":"` + payload + `","header":{"alg":"none"},` + one[1:], reason.TokenMalformed, inJSON, ""},
		{"general", `{"payload":"` + payload + `","signatures":[` + one + `]}`, reason.TokenMalformed, inJSON, ""},
		{"two signatures, one of them good", `{"payload":"` + payload + `","signatures":[` + unsigned + `,` + one + `]}`, reason.TokenMalformed, inJSON, ""},
		{"no signatures", `{"payload":"` + payload + `","signatures":[]}`, reason.TokenMalformed, inJSON, ""},
		{"with a compact token in it", `{"payload":"` + good + `"}`, reason.TokenMalformed, inJSON, ""},
		{"after white space", ` {"payload":"` + payload + `",` + one[1:], reason.TokenMalformed, noJWT, ""},
		{"a list of one token", `["` + good + `"]`, reason.TokenMalformed, "header: not base64url", "main"},
		{"a list of two tokens, which has five parts", `["` + good + `","` + good + `"]`, reason.TokenMalformed, "JWE", ""},
		{"text in quotes", `"` + good + `"`, reason.TokenMalformed, "header: not base64url", "main"},
		{"a second signature", good + "." + signature, reason.TokenMalformed, noJWT, ""},
		{"two signatures in one segment", good + "," + signature, reason.TokenMalformed, "signature: not base64url", "main"},
		{"two tokens, which have five parts", good + "," + good, reason.TokenMalformed, "JWE", ""},
		{"a detached payload", header + ".." + signature, reason.TokenMalformed, "payload: not a JSON object", ""},
		{"no signature segment", header + "." + payload, reason.TokenMalformed, noJWT, ""},
		{"encrypted", header + ".AAAA.AAAA." + payload + "." + signature, reason.TokenMalformed, "encrypted (JWE)", ""},
		{"encrypted with a shared key", base64url(`{"alg":"dir","enc":"A256GCM"}`) + "..AAAAAAAAAAAAAAAA." + payload + ".AAAAAAAAAAAAAAAAAAAAAA", reason.TokenMalformed, "encrypted (JWE)", ""},
		{"six segments", strings.Repeat("AAAA.", 5) + "AAAA", reason.TokenMalformed, noJWT, ""},
		{"a selective disclosure", good + "~" + base64url(`["salt","sub","root"]`) + "~", reason.TokenMalformed, "signature: not base64url", "main"},
		{"a PASETO", "v4.public." + payload, reason.TokenMalformed, "payload: not base64url", ""},
		{"a legacy opaque token", "abcdef.0123456789abcdef", reason.TokenMalformed, noJWT, ""},
		{"a SAML assertion", "PHNhbWw6QXNzZXJ0aW9uPg==", reason.TokenMalformed, noJWT, ""},
		{"nothing", "", reason.TokenMalformed, "the token is empty", ""},
		{"a dot", ".", reason.TokenMalformed, noJWT, ""},
		{"two dots", "..", reason.TokenMalformed, "payload: not a JSON object", ""},
		{"three dots", "...", reason.TokenMalformed, noJWT, ""},
		{"four dots", "....", reason.TokenMalformed, "encrypted (JWE)", ""},
		{"sixty thousand dots", strings.Repeat(".", 60_000), reason.TokenMalformed, noJWT, ""},
		{"a dot before it", "." + good, reason.TokenMalformed, noJWT, ""},
		{"a dot after it", good + ".", reason.TokenMalformed, noJWT, ""},
		{"no header", "." + payload + "." + signature, reason.TokenMalformed, "header: not a JSON object", "main"},
		{"no payload and no signature", header + "..", reason.TokenMalformed, "payload: not a JSON object", ""},
		{"nothing but a payload", "." + payload + ".", reason.TokenMalformed, "header: not a JSON object", "main"},
		{"the segments in another order", payload + "." + header + "." + signature, reason.TokenMalformed, "iss: the token has no such claim", ""},
	})
}
