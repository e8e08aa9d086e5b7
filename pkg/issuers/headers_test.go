package issuers

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/internal/issuertest"
)

func TestAHeaderIsWhatItsOwnTextSaysWhicheverWasProvenBefore(t *testing.T) {
	segment := func(header string) string { return base64.RawURLEncoding.EncodeToString([]byte(header)) }
	rsa, elliptic := segment(`{"alg":"RS256","kid":"a"}`), segment(`{"alg":"ES256","kid":"a"}`)
	long := segment(`{"alg":"RS256","kid":"a","x":"` + strings.Repeat("x", maxKeptHeader) + `"}`)
	for _, test := range []struct{ name, segment, algorithm, keyID string }{
		{"the one that was proven", rsa, "RS256", "a"},
		{"another algorithm", elliptic, "ES256", "a"},
		{"another key", segment(`{"alg":"RS256","kid":"b"}`), "RS256", "b"},
		{"more of it", segment(`{"alg":"RS256","kid":"a","typ":"JWT"}`), "RS256", "a"},
		{"a long one", long, "RS256", "a"},
		{"a critical parameter", segment(`{"alg":"RS256","kid":"a","crit":["x"]}`), "", ""},
		{"less of it", rsa[:len(rsa)-4], "", ""},
		{"nothing", "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, proven := range []string{"", rsa, elliptic, long} {
				var known headers
				if proven != "" {
					header, err := known.parse(proven)
					if err != nil {
						t.Fatal(err)
					}
					known.proven(proven, header)
				}
				got, err := known.parse(test.segment)
				if got != (untrustedHeader{test.algorithm, test.keyID}) || (err == nil) != (test.algorithm != "") {
					t.Errorf("after %.20q: got %+v, %v", proven, got, err)
				}
			}
		})
	}
}

func TestTheHeaderOfTheLastProvenTokenIsRemembered(t *testing.T) {
	issuer := &headers{}
	for _, test := range []struct {
		name, segment string
		want          string
	}{
		{"one", "one", "one"},
		{"another", "another", "another"},
		{"a long one", strings.Repeat("x", maxKeptHeader+1), "another"},
		{"the longest", strings.Repeat("x", maxKeptHeader), strings.Repeat("x", maxKeptHeader)},
	} {
		issuer.proven(test.segment, untrustedHeader{algorithm: test.name})
		got := issuer.last.Load()
		if got.segment != test.want {
			t.Errorf("%s: expected %.20q to be remembered, got %.20q", test.name, test.want, got.segment)
		}
		if unsafe.StringData(got.segment) == unsafe.StringData(test.segment) {
			t.Errorf("%s: the whole token stays in memory", test.name)
		}
	}
	last := issuer.last.Load()
	issuer.proven(last.segment, last.header)
	if issuer.last.Load() != last {
		t.Error("expected the same header to be remembered once")
	}
}

func TestOnlyWhatTheIssuerHasSignedIsRemembered(t *testing.T) {
	key, other := issuertest.NewKey("a", jwa.ES256), issuertest.NewKey("b", jwa.ES256)
	forger := issuertest.NewKey("a", jwa.ES256)
	keys := issuertest.KeySet(key, other)
	issuer, err := newIssuer(Config{Keys: KeysConfig{JWKS: keys}}, Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	issuer.keys.current.Store(&fetched{answer: answer{set: parsed(t, keys)}, at: time.Now()})
	segment := func(token string) string { return strings.Split(token, ".")[0] }
	first, second := key.Sign(issuertest.Claims{}), other.Sign(issuertest.Claims{})
	for _, test := range []struct {
		name, token string
		proven      bool
		remembered  string
	}{
		{"somebody else's", forger.Sign(issuertest.Claims{}), false, ""},
		{"one of the issuer's", first, true, segment(first)},
		{"one with another's signature", segment(second) + first[strings.Index(first, "."):], false, segment(first)},
		{"one with another key's header", issuertest.NewKey("c", jwa.ES256).Sign(issuertest.Claims{}), false, segment(first)},
		{"one of the issuer's other key", second, true, segment(second)},
	} {
		token, err := parseToken(test.token)
		if err != nil {
			t.Fatal(err)
		}
		proof, refusal, err := issuer.verifySignature(t.Context(), token, nil)
		if err != nil || (proof != nil) != test.proven {
			t.Errorf("%s: expected to be proven: %v, got %v, %v", test.name, test.proven, refusal, err)
		}
		remembered := ""
		if last := issuer.headers.last.Load(); last != nil {
			remembered = last.segment
		}
		if remembered != test.remembered {
			t.Errorf("%s: expected %q to be remembered, got %q", test.name, test.remembered, remembered)
		}
	}
}
