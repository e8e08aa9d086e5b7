package issuers_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

const (
	issuerURL = "https://issuer.example"
	otherURL  = "https://other.example/"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

type claims = issuertest.Claims

// valid is a claims set that every check accepts.
func valid() claims {
	return claims{
		"iss": issuerURL, "sub": "jane", "aud": "cluster",
		"exp": now.Add(time.Hour).Unix(), "nbf": now.Unix(), "iat": now.Unix(),
	}
}

// fixture is two issuers, with their keys in the configuration.
type fixture struct {
	rsa, ec, other, edwards issuertest.Key
	set                     *issuers.Set
}

func newFixture(t *testing.T, audiences ...string) *fixture {
	t.Helper()
	if len(audiences) == 0 {
		audiences = []string{"cluster"}
	}
	f := &fixture{
		rsa:     issuertest.NewKey("rsa", jwa.RS256),
		ec:      issuertest.NewKey("ec", jwa.ES256),
		other:   issuertest.NewKey("other", jwa.RS256),
		edwards: issuertest.NewKey("edwards", jwa.EdDSA),
	}
	set, err := issuers.NewSet([]issuers.Config{
		{Name: "main", URL: issuerURL, Audiences: audiences, Keys: issuers.KeysConfig{JWKS: issuertest.KeySet(f.rsa, f.ec, f.edwards)}},
		{Name: "other", URL: otherURL, Audiences: audiences, Keys: issuers.KeysConfig{JWKS: issuertest.KeySet(f.other)}},
		{Name: "google", URL: "https://accounts.google.com", Audiences: audiences, Keys: issuers.KeysConfig{JWKS: issuertest.KeySet(f.other)}},
	}, nil, issuers.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close(nil) })
	set.AwaitFirstFetch(t.Context())
	f.set = set
	return f
}

// segment is the base64url form of a JSON text.
func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// signWithHeader signs claims under a header that no library would write.
func signWithHeader(t *testing.T, key issuertest.Key, header, payload string) string {
	t.Helper()
	signer, err := jws.NewSigner(key.Algorithm)
	if err != nil {
		t.Fatal(err)
	}
	input := segment(header) + "." + segment(payload)
	signature, err := signer.Sign([]byte(input), key.Private)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

const plainPayload = `{"iss":"https://issuer.example","sub":"jane","aud":"cluster","exp":4102444800}`

func TestVerifyAccepts(t *testing.T) {
	f := newFixture(t)
	withoutKid := issuertest.Key{Algorithm: f.rsa.Algorithm, Private: f.rsa.Private}
	for name, token := range map[string]string{
		"an RS256 token": f.rsa.Sign(valid()),
		"an ES256 token": f.ec.Sign(valid()),
		"a token without kid, by any of the keys":   withoutKid.Sign(valid()),
		"a list of audiences, one of them ours":     f.rsa.Sign(valid().With(claims{"aud": []string{"elsewhere", "cluster"}})),
		"a token that expires this very second":     f.rsa.Sign(valid().With(claims{"exp": now.Unix()})),
		"exp with a fraction":                       f.rsa.Sign(valid().With(claims{"exp": float64(now.Unix()) + 10.5})),
		"nbf a minute ahead":                        f.rsa.Sign(valid().With(claims{"nbf": now.Add(time.Minute).Unix()})),
		"no nbf and no iat":                         f.rsa.Sign(valid().With(claims{"nbf": nil, "iat": nil})),
		"an issuer whose URL ends in a slash":       f.other.Sign(valid().With(claims{"iss": otherURL})),
		"Google's issuer with scheme":               f.other.Sign(valid().With(claims{"iss": "https://accounts.google.com"})),
		"Google's issuer without scheme":            f.other.Sign(valid().With(claims{"iss": "accounts.google.com"})),
		"header parameters that are ignored":        signWithHeader(t, f.rsa, `{"alg":"RS256","kid":"rsa","typ":"at+jwt","x5t":"AAAA"}`, plainPayload),
		"a header that offers a key of its own":     signWithHeader(t, f.rsa, `{"alg":"RS256","kid":"rsa","jku":"https://evil.example/keys"}`, plainPayload),
		"white space around the claims":             signWithHeader(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, " \n"+plainPayload+"\n"),
		"claims nested sixty deep":                  signWithHeader(t, f.rsa, `{"alg":"RS256"}`, `{"deep":`+strings.Repeat("[", 60)+strings.Repeat("]", 60)+`,`+plainPayload[1:]),
		"seventy lists side by side":                signWithHeader(t, f.rsa, `{"alg":"RS256"}`, `{"wide":[`+strings.Repeat("[],", 69)+`[]],`+plainPayload[1:]),
		"seventy objects side by side":              signWithHeader(t, f.rsa, `{"alg":"RS256"}`, `{"wide":[`+strings.Repeat("{},", 69)+`{}],`+plainPayload[1:]),
		"a null sub, which upstream takes for none": f.rsa.SignPayload([]byte(`{"sub":null,` + strings.Replace(plainPayload[1:], `"sub":"jane",`, "", 1))),
	} {
		t.Run(name, func(t *testing.T) {
			verification, err := f.set.Verify(t.Context(), token, nil)
			if err != nil || !verification.Refusal.IsZero() || verification.Claims == nil {
				t.Fatalf("expected the token to be proven, got refusal %q, error %v", verification.Refusal, err)
			}
			if verification.Issuer == nil {
				t.Fatal("the proven token has no issuer")
			}
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	f := newFixture(t)
	rs512 := issuertest.Key{ID: "rsa", Algorithm: jwa.RS512, Private: f.rsa.Private}
	impostor := issuertest.NewKey("rsa", jwa.RS256)
	unknown := issuertest.NewKey("unknown", jwa.RS256)
	unnamedImpostor := issuertest.Key{Algorithm: jwa.RS256, Private: impostor.Private}
	good := f.rsa.Sign(valid())
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")

	for _, test := range []struct {
		name  string
		token string
		code  reason.Code
		text  string // part of the refusal's text
		ours  bool
	}{
		{"an empty token", "", reason.TokenMalformed, "empty", false},
		{"an opaque token", "ya29.not-a-jwt", reason.TokenMalformed, "not a JWT", false},
		{"two segments", header + "." + payload, reason.TokenMalformed, "not a JWT", false},
		{"four segments", good + ".x", reason.TokenMalformed, "not a JWT", false},
		{"an encrypted token", good + ".x.y", reason.TokenMalformed, "JWE", false},
		{"JSON serialization", `{"payload":"` + payload + `"}`, reason.TokenMalformed, "JSON serialization", false},
		{"a token beyond the limit", header + "." + strings.Repeat("A", issuers.MaxTokenBytes) + "." + signature, reason.TokenMalformed, "longer than", false},
		{"a payload with padding", header + "." + segment(`{"a":1}`) + "==." + signature, reason.TokenMalformed, "base64url", false},
		{"a payload with a line break", header + "." + payload[:8] + "\n" + payload[8:] + "." + signature, reason.TokenMalformed, "base64url", false},
		{"a payload with stray bits at its end", header + "." + base64.RawURLEncoding.EncodeToString([]byte("{}"))[:2] + "x." + signature, reason.TokenMalformed, "base64url", false},
		{"a payload that is no JSON", f.rsa.SignPayload([]byte("hello")), reason.TokenMalformed, "JSON object", false},
		{"a payload that is a list", f.rsa.SignPayload([]byte(`["` + issuerURL + `"]`)), reason.TokenMalformed, "JSON object", false},
		{"a payload with something after it", f.rsa.SignPayload([]byte(plainPayload + "{}")), reason.TokenMalformed, "after", false},
		{"a truncated payload", f.rsa.SignPayload([]byte(plainPayload[:30])), reason.TokenMalformed, "JSON object", false},
		{"a claim twice", f.rsa.SignPayload([]byte(`{"sub":"root",` + plainPayload[1:])), reason.TokenMalformed, "twice", false},
		{"a name twice deep in a claim", f.rsa.SignPayload([]byte(`{"x":[{"a":1,"a":2}],` + plainPayload[1:])), reason.TokenMalformed, "twice", false},
		{"invalid UTF-8", f.rsa.SignPayload([]byte("{\"x\":\"\xff\"," + plainPayload[1:])), reason.TokenMalformed, "JSON object", false},
		{"enormous nesting", f.rsa.SignPayload([]byte(`{"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `,` + plainPayload[1:])), reason.TokenMalformed, "64 deep", false},
		{"enormous nesting of objects", f.rsa.SignPayload([]byte(`{"x":` + strings.Repeat(`{"x":`, 65) + "1" + strings.Repeat("}", 65) + `,` + plainPayload[1:])), reason.TokenMalformed, "64 deep", false},
		{"nesting that hides behind a string", f.rsa.SignPayload([]byte(`{"s":"]]\\\"]]","x":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `,` + plainPayload[1:])), reason.TokenMalformed, "64 deep", false},
		{"no iss", f.rsa.Sign(valid().With(claims{"iss": nil})), reason.TokenMalformed, "iss", false},
		{"an iss that is a number", f.rsa.Sign(valid().With(claims{"iss": 5})), reason.TokenMalformed, "iss", false},
		{"ISS for iss", f.rsa.Sign(valid().With(claims{"iss": nil, "ISS": issuerURL})), reason.TokenMalformed, "iss", false},

		{"an unknown issuer", f.rsa.Sign(valid().With(claims{"iss": "https://stranger.example"})), reason.IssuerUnknown, "stranger.example", false},
		{"an issuer with a slash too many", f.rsa.Sign(valid().With(claims{"iss": issuerURL + "/"})), reason.IssuerUnknown, "trailing slash", false},
		{"an issuer with a slash too few", f.other.Sign(valid().With(claims{"iss": strings.TrimSuffix(otherURL, "/")})), reason.IssuerUnknown, "trailing slash", false},
		{"an issuer in other case", f.rsa.Sign(valid().With(claims{"iss": strings.ToUpper(issuerURL)})), reason.IssuerUnknown, "case", false},
		{"an issuer with a homoglyph", f.rsa.Sign(valid().With(claims{"iss": "https://іssuer.example"})), reason.IssuerUnknown, "", false},
		{"a legacy service-account token", f.rsa.Sign(claims{"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:droits:platform"}), reason.IssuerUnknown, "kubernetes/serviceaccount", false},

		{"alg none", segment(`{"alg":"none"}`) + "." + payload + ".", reason.AlgorithmNotAllowed, "none", true},
		{"alg nOnE", segment(`{"alg":"nOnE"}`) + "." + payload + ".", reason.AlgorithmNotAllowed, "nOnE", true},
		{"alg rs256", segment(`{"alg":"rs256","kid":"rsa"}`) + "." + payload + "." + signature, reason.AlgorithmNotAllowed, "rs256", true},
		{"HS256 with the public key as secret", hmacWithPublicKey(t, f.rsa), reason.AlgorithmNotAllowed, "signing key", true},
		{"EdDSA, which must be configured", f.edwards.Sign(valid()), reason.AlgorithmNotAllowed, "EdDSA", true},
		{"an algorithm beyond the key's own", rs512.Sign(valid()), reason.SignatureInvalid, "", true},
		{"ES256 with the RSA key's kid", signWithHeader(t, f.ec, `{"alg":"ES256","kid":"rsa"}`, plainPayload), reason.SignatureInvalid, "", true},

		{"no alg", signWithHeader(t, f.rsa, `{"kid":"rsa"}`, plainPayload), reason.TokenMalformed, "no alg", true},
		{"an alg that is a list", signWithHeader(t, f.rsa, `{"alg":["RS256"]}`, plainPayload), reason.TokenMalformed, "alg", true},
		{"alg twice", signWithHeader(t, f.rsa, `{"alg":"none","alg":"RS256"}`, plainPayload), reason.TokenMalformed, "twice", true},
		{"crit", signWithHeader(t, f.rsa, `{"alg":"RS256","crit":["exp"],"exp":1}`, plainPayload), reason.TokenMalformed, "crit", true},
		{"an unencoded payload", signWithHeader(t, f.rsa, `{"alg":"RS256","b64":false}`, plainPayload), reason.TokenMalformed, "b64", true},
		{"a kid that is a number", signWithHeader(t, f.rsa, `{"alg":"RS256","kid":1}`, plainPayload), reason.TokenMalformed, "kid", true},
		{"a header that is no JSON", "e30x." + payload + "." + signature, reason.TokenMalformed, "header", true},
		{"a signature with padding", good + "==", reason.TokenMalformed, "signature", true},

		{"a forged signature under a known kid", impostor.Sign(valid()), reason.SignatureInvalid, "", true},
		{"no signature", header + "." + payload + ".", reason.SignatureInvalid, "", true},
		{"another payload under a real signature", header + "." + segment(strings.Replace(plainPayload, "jane", "root", 1)) + "." + signature, reason.SignatureInvalid, "", true},
		{"a forged signature without kid", unnamedImpostor.Sign(valid()), reason.SignatureInvalid, "", true},
		{"another issuer's key", f.other.Sign(valid()), reason.KeyUnknown, `"other"`, true},
		{"an unknown kid", unknown.Sign(valid()), reason.KeyUnknown, `"unknown"`, true},
		{"a kid with a path in it", signWithHeader(t, unknown, `{"alg":"RS256","kid":"../../etc/passwd"}`, plainPayload), reason.KeyUnknown, "", true},
		{"an ECDSA signature of zeros", signWithHeader(t, f.ec, `{"alg":"ES256","kid":"ec"}`, plainPayload)[:len(segment(`{"alg":"ES256","kid":"ec"}`)+segment(plainPayload))+2] + base64.RawURLEncoding.EncodeToString(make([]byte, 64)), reason.SignatureInvalid, "", true},

		{"another audience", f.rsa.Sign(valid().With(claims{"aud": "elsewhere"})), reason.AudienceMismatch, `expected an aud among ["cluster"], got ["elsewhere"]`, true},
		{"another spelling of the audience", f.rsa.Sign(valid().With(claims{"aud": "api://cluster/"})), reason.AudienceMismatch, `; "api://cluster/" is another spelling of "cluster", which counts: add it`, true},
		{"no audience", f.rsa.Sign(valid().With(claims{"aud": nil})), reason.AudienceMismatch, "got []", true},
		{"an empty list of audiences", f.rsa.Sign(valid().With(claims{"aud": []string{}})), reason.AudienceMismatch, "", true},
		{"an audience in other case", f.rsa.Sign(valid().With(claims{"aud": "Cluster"})), reason.AudienceMismatch, "", true},
		{"an audience that is a number", f.rsa.Sign(valid().With(claims{"aud": 5})), reason.TokenMalformed, "aud", true},
		{"a sub that is a number", f.rsa.Sign(valid().With(claims{"sub": 5})), reason.TokenMalformed, "sub", true},

		{"an expired token", f.rsa.Sign(valid().With(claims{"exp": now.Add(-time.Second).Unix()})), reason.Expired, "2026-11-22T11:59:59Z", true},
		{"no exp", f.rsa.Sign(valid().With(claims{"exp": nil})), reason.Expired, "no exp", true},
		{"exp 0", f.rsa.Sign(valid().With(claims{"exp": 0})), reason.Expired, "1970", true},
		{"a negative exp", f.rsa.Sign(valid().With(claims{"exp": -5})), reason.Expired, "", true},
		{"exp as text", f.rsa.Sign(valid().With(claims{"exp": "4102444800"})), reason.TokenMalformed, "exp", true},
		{"exp beyond all time", f.rsa.Sign(valid().With(claims{"exp": math.MaxInt64})), reason.TokenMalformed, "out of range", true},
		{"exp beyond all numbers", f.rsa.SignPayload([]byte(strings.Replace(plainPayload, "4102444800", "1e999", 1))), reason.TokenMalformed, "out of range", true},
		{"an exp that is an object", f.rsa.Sign(valid().With(claims{"exp": map[string]any{}})), reason.TokenMalformed, "exp", true},
		{"nbf more than a minute ahead", f.rsa.Sign(valid().With(claims{"nbf": now.Add(61 * time.Second).Unix()})), reason.NotYetValid, "2026-11-22T12:01:01Z", true},
		{"nbf as text", f.rsa.Sign(valid().With(claims{"nbf": "0"})), reason.TokenMalformed, "nbf", true},
		{"iat as text", f.rsa.Sign(valid().With(claims{"iat": "0"})), reason.TokenMalformed, "iat", true},
		{"claim names without sources", f.rsa.Sign(valid().With(claims{"_claim_names": claims{"groups": "src1"}})), reason.TokenMalformed, "_claim_names", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			steps := &trace.Trace{}
			verification, err := f.set.Verify(t.Context(), test.token, steps)
			if err != nil {
				t.Fatalf("expected a refusal, got error %v", err)
			}
			if verification.Refusal.Code != test.code || !strings.Contains(verification.Refusal.Text, test.text) {
				t.Errorf("expected %s with %q, got %q", test.code, test.text, verification.Refusal)
			}
			if verification.Claims != nil {
				t.Error("a refused token must not have claims")
			}
			if ours := verification.Issuer != nil; ours != test.ours {
				t.Errorf("expected ours to be %v, got %v", test.ours, ours)
			}
			if len(test.token) > 40 && strings.Contains(verification.Refusal.Text, test.token[:40]) {
				t.Error("the refusal quotes the token")
			}
		})
	}
}

func TestVerifySaysWhatItsResultHoldsFor(t *testing.T) {
	f := newFixture(t)
	inUse := f.set.Issuer("main").KeysInUse()
	if inUse == nil || f.set.Issuer("Main") != nil || f.set.Issuer("other").KeysInUse() == inUse {
		t.Fatal("expected each issuer to be found by its name, with keys of its own")
	}
	expiry := now.Add(time.Hour)
	for _, test := range []struct {
		name, token string
		keys        *issuers.KeySet
		expiry      time.Time
	}{
		{"an accepted token", f.rsa.Sign(valid()), inUse, expiry},
		{"an exp with a fraction", f.rsa.Sign(valid().With(claims{"exp": float64(expiry.Unix()) + 0.5})), inUse, expiry},
		{"another issuer's token", f.other.Sign(valid().With(claims{"iss": otherURL})), f.set.Issuer("other").KeysInUse(), expiry},
		{"an expired token", f.rsa.Sign(valid().With(claims{"exp": now.Add(-time.Second).Unix()})), inUse, time.Time{}},
		{"a token that is not valid yet", f.rsa.Sign(valid().With(claims{"nbf": expiry.Unix()})), inUse, time.Time{}},
		{"another audience", f.rsa.Sign(valid().With(claims{"aud": "elsewhere"})), inUse, time.Time{}},
		{"a sub that is a number", f.rsa.Sign(valid().With(claims{"sub": 5})), inUse, time.Time{}},
		{"a forged signature", issuertest.NewKey("rsa", jwa.RS256).Sign(valid()), nil, time.Time{}},
		{"an unknown kid", issuertest.NewKey("unknown", jwa.RS256).Sign(valid()), nil, time.Time{}},
		{"no token", "", nil, time.Time{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := f.set.Verify(t.Context(), test.token, nil)
			if err != nil || got.Keys != test.keys || !got.Expiry.Equal(test.expiry) || got.Asked {
				t.Errorf("expected it to hold for the keys %p until %s, got %+v, error %v", test.keys, test.expiry, got, err)
			}
		})
	}
}

func TestATokenThatWaitedForItsKeyHoldsForTheNewSet(t *testing.T) {
	issuer := startIssuer(t, "")
	set := newSet(t, remote(issuer))
	set.AwaitFirstFetch(t.Context())
	before := set.Issuer("main").KeysInUse()
	issuer.Rotate(jwa.ES256)
	got, err := set.Verify(t.Context(), issuer.Sign(valid().With(claims{"iss": issuer.URL})), nil)
	if err != nil || got.Keys == nil || got.Keys == before || got.Keys != set.Issuer("main").KeysInUse() {
		t.Errorf("expected the keys that are new, got %p after %p, error %v", got.Keys, before, err)
	}
}

func TestWhatAClaimIsReadAs(t *testing.T) {
	const (
		missing = "the token has no such claim"
		notText = "expected text, got a "
		notList = "expected text or a list of text, got a "
		notBool = "expected true or false, got a "
		notTime = "expected a number of seconds, got a "
	)
	for _, test := range []struct {
		name, payload                string
		text, list, boolean, numeric string // as fmt has them, or the error
	}{
		{"missing", `{}`, missing, missing, missing, "none"},
		{"null", `{"x":null}`, "", "[]", "false", "none"},
		{"text", `{"x":"a\u002fb"}`, "a/b", "[a/b]", notBool + "text", notTime + "text"},
		{"true", `{"x":true}`, notText + "boolean", notList + "boolean", "true", notTime + "boolean"},
		{"false", `{"x":false}`, notText + "boolean", notList + "boolean", "false", notTime + "boolean"},
		{"an object", `{"x":{}}`, notText + "object", notList + "object", notBool + "object", notTime + "object"},
		{"a list of text", `{"x":["a","b"]}`, notText + "list", "[a b]", notBool + "list", notTime + "list"},
		{"an empty list", `{"x":[ ]}`, notText + "list", "[]", notBool + "list", notTime + "list"},
		{"a list of text with null, spaces and escapes in it", `{"x":[ "a" , null,"\"b\u002f" ]}`, notText + "list", `[a  "b/]`, notBool + "list", notTime + "list"},
		{"a list of lists", `{"x":[["a"]]}`, notText + "list", "expected a list of text, got another member in it", notBool + "list", notTime + "list"},
		{"a list that ends with an object", `{"x":["a",{"b":"c"}]}`, notText + "list", "expected a list of text, got another member in it", notBool + "list", notTime + "list"},
		{"a list of something else", `{"x":["a",1]}`, notText + "list", "expected a list of text, got another member in it", notBool + "list", notTime + "list"},
		{"a number", `{"x":5}`, notText + "number", notList + "number", notBool + "number", "5"},
		{"a fraction", `{"x":5.9}`, notText + "number", notList + "number", notBool + "number", "5"},
		{"the end of the year 9999", `{"x":253402300799}`, notText + "number", notList + "number", notBool + "number", "253402300799"},
		{"the year 10000", `{"x":253402300800}`, notText + "number", notList + "number", notBool + "number", "the time is out of range"},
		{"as long ago", `{"x":-253402300799}`, notText + "number", notList + "number", notBool + "number", "-253402300799"},
		{"longer ago", `{"x":-253402300800}`, notText + "number", notList + "number", notBool + "number", "the time is out of range"},
		{"the year 10000 in another form", `{"x":2.534023008e11}`, notText + "number", notList + "number", notBool + "number", "the time is out of range"},
	} {
		t.Run(test.name, func(t *testing.T) {
			read, err := issuers.NewClaims([]byte(test.payload))
			if err != nil {
				t.Fatal(err)
			}
			or := func(value any, err error) string {
				if err != nil {
					return err.Error()
				}
				return fmt.Sprint(value)
			}
			numeric := "none"
			if at, present, err := read.Time("x"); present || err != nil {
				numeric = or(at.Unix(), err)
			}
			text, textErr := read.String("x")
			list, listErr := read.Strings("x")
			boolean, booleanErr := read.Bool("x")
			for got, want := range map[string]string{
				"text " + or(text, textErr): "text " + test.text, "list " + or(list, listErr): "list " + test.list,
				"boolean " + or(boolean, booleanErr): "boolean " + test.boolean, "time " + numeric: "time " + test.numeric,
			} {
				if got != want {
					t.Errorf("expected %s, got %s", want, got)
				}
			}
		})
	}
}

func TestAClaimIsReplacedInACopy(t *testing.T) {
	before, err := issuers.NewClaims([]byte(`{"a":1,"b":2,"c":3}`))
	if err != nil {
		t.Fatal(err)
	}
	list := func(read *issuers.Claims) string {
		var text string
		for name, value := range read.All() {
			text += name + string(value) + " "
		}
		return text
	}
	if got := list(before.With("b", []byte("9"))); got != "a1 c3 b9 " {
		t.Errorf("expected one b in the copy, got %s", got)
	}
	if got := list(before.With("d", []byte("4"))); got != "a1 b2 c3 d4 " {
		t.Errorf("expected d in the copy, got %s", got)
	}
	if got := list(before); got != "a1 b2 c3 " {
		t.Errorf("expected the claims themselves to stay, got %s", got)
	}
	for name := range before.All() {
		if name != "a" {
			t.Errorf("expected to be left alone after the first, got %s", name)
		}
		break
	}
}

// hmacWithPublicKey is the classic confusion of keys: a token under HS256 whose
// secret is the issuer's public key as published.
func hmacWithPublicKey(t *testing.T, key issuertest.Key) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	token, err := jws.Sign([]byte(plainPayload), jws.WithKey(jwa.HS256, secret))
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

func TestVerifyTakesAnyOfSeveralAudiences(t *testing.T) {
	f := newFixture(t, "first", "second")
	for audience, allowed := range map[string]bool{"first": true, "second": true, "third": false} {
		verification, err := f.set.Verify(t.Context(), f.rsa.Sign(valid().With(claims{"aud": audience})), nil)
		if err != nil {
			t.Fatal(err)
		}
		if (verification.Claims != nil) != allowed {
			t.Errorf("aud %q: expected allowed to be %v, got %q", audience, allowed, verification.Refusal)
		}
	}
}

func TestVerifyTakesOnlyConfiguredAlgorithms(t *testing.T) {
	edwards := issuertest.NewKey("edwards", jwa.EdDSA)
	rsa := issuertest.NewKey("rsa", jwa.RS256)
	set, err := issuers.NewSet([]issuers.Config{{
		Name: "main", URL: issuerURL, Audiences: []string{"cluster"}, Algorithms: []string{"EdDSA"},
		Keys: issuers.KeysConfig{JWKS: issuertest.KeySet(edwards, rsa)},
	}}, nil, issuers.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close(nil)
	set.AwaitFirstFetch(t.Context())
	if verification, _ := set.Verify(t.Context(), edwards.Sign(valid()), nil); verification.Claims == nil {
		t.Errorf("expected the configured EdDSA to be accepted, got %q", verification.Refusal)
	}
	if verification, _ := set.Verify(t.Context(), rsa.Sign(valid()), nil); verification.Refusal.Code != reason.AlgorithmNotAllowed {
		t.Errorf("expected RS256 to be refused, got %q", verification.Refusal)
	}
}

func TestEveryAlgorithmVerifies(t *testing.T) {
	for _, algorithm := range append(issuers.DefaultAlgorithms(), "EdDSA") {
		t.Run(algorithm, func(t *testing.T) {
			key := issuertest.NewKey("key", jwa.SignatureAlgorithm(algorithm))
			set, err := issuers.NewSet([]issuers.Config{{
				Name: "main", URL: issuerURL, Audiences: []string{"cluster"}, Algorithms: []string{algorithm},
				Keys: issuers.KeysConfig{JWKS: issuertest.KeySet(key)},
			}}, nil, issuers.Options{Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close(nil)
			set.AwaitFirstFetch(t.Context())
			if verification, err := set.Verify(t.Context(), key.Sign(valid()), nil); err != nil || verification.Claims == nil {
				t.Errorf("got refusal %q, error %v", verification.Refusal, err)
			}
		})
	}
}

func TestKeySetSkipsKeysThatMustNotVerify(t *testing.T) {
	usable := issuertest.NewKey("usable", jwa.RS256)
	modified := func(change func(jwk.Key)) string {
		key := issuertest.NewKey("bad", jwa.RS256).Public()
		change(key)
		return mustJSON(t, key)
	}
	digest := sha256.Sum256([]byte("secret"))
	for name, test := range map[string]struct{ key, why string }{
		"a key for encryption":         {modified(func(k jwk.Key) { _ = k.Set(jwk.KeyUsageKey, "enc") }), `use is "enc"`},
		"a key for other operations":   {modified(func(k jwk.Key) { _ = k.Set(jwk.KeyOpsKey, jwk.KeyOperationList{jwk.KeyOpWrapKey}) }), "key_ops"},
		"a key for another algorithm":  {modified(func(k jwk.Key) { _ = k.Set(jwk.AlgorithmKey, "ES256") }), "does not fit"},
		"a symmetric key":              {`{"kty":"oct","kid":"bad","k":"` + base64.RawURLEncoding.EncodeToString(digest[:]) + `"}`, "not a public key"},
		"an unknown type of key":       {`{"kty":"quantum","kid":"bad"}`, "known type"},
		"an RSA key of 1024 bits":      {`{"kty":"RSA","kid":"bad","e":"AQAB","n":"` + base64.RawURLEncoding.EncodeToString(bytesOf(128)) + `"}`, "1024"},
		"an RSA key with exponent 1":   {modified(func(k jwk.Key) { _ = k.Set("e", []byte{1}) }), "exponent"},
		"an RSA key with exponent 2^k": {modified(func(k jwk.Key) { _ = k.Set("e", []byte{1, 0}) }), "exponent"},
		"an RSA exponent of 65 bits":   {modified(func(k jwk.Key) { _ = k.Set("e", []byte{1, 0, 0, 0, 0, 0, 0, 0x0c, 1}) }), "above 2147483647"},
		"an Ed25519 key of 3 bytes":    {`{"kty":"OKP","crv":"Ed25519","kid":"bad","x":"AAAA"}`, "32 bytes"},
		"a point off its curve":        {`{"kty":"EC","crv":"P-256","kid":"bad","x":"` + base64.RawURLEncoding.EncodeToString(bytesOf(32)) + `","y":"` + base64.RawURLEncoding.EncodeToString(bytesOf(32)) + `"}`, ""},
		"something that is not a key":  {`5`, "known type"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := issuers.ParseKeySet(fmt.Appendf(nil, `{"keys":[%s,%s]}`, test.key, mustJSON(t, usable.Public())))
			if err != nil {
				t.Fatal(err)
			}
			if set.Len() != 1 || len(set.Skipped()) != 1 || !strings.Contains(set.Skipped()[0].Error(), test.why) {
				t.Errorf("expected the key to be skipped for %q, got %d keys, skipped %v", test.why, set.Len(), set.Skipped())
			}
			if _, err := issuers.ParseKeySet(fmt.Appendf(nil, `{"keys":[%s]}`, test.key)); err == nil {
				t.Error("expected a set without a usable key to be an error")
			}
		})
	}
}

func TestKeySetBounds(t *testing.T) {
	key := mustJSON(t, issuertest.NewKey("usable", jwa.RS256).Public())
	for name, test := range map[string]struct{ data, text string }{
		"too many keys":   {`{"keys":[` + strings.Repeat(key+",", 100) + key + `]}`, "more than 100"},
		"no keys":         {`{"keys":[]}`, "no key"},
		"no keys member":  {`{}`, "no key"},
		"not JSON":        {`<html>`, "byte 0"},
		"keys not a list": {`{"keys":{}}`, "wrong type"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := issuers.ParseKeySet([]byte(test.data)); err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("expected an error with %q, got %v", test.text, err)
			}
		})
	}
}

// bytesOf returns n bytes of which the first has its top bit set.
func bytesOf(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = 0xc3
	}
	return data
}

func mustJSON(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
