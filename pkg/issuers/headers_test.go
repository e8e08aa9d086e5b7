package issuers

import (
	"encoding/base64"
	"strings"
	"testing"
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
		if got := issuer.last.Load(); got.segment != test.want {
			t.Errorf("%s: expected %.20q to be remembered, got %.20q", test.name, test.want, got.segment)
		}
	}
	last := issuer.last.Load()
	issuer.proven(last.segment, last.header)
	if issuer.last.Load() != last {
		t.Error("expected the same header to be remembered once")
	}
}
