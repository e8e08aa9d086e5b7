package issuertest_test

import (
	"crypto"
	"encoding/hex"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"tokenreview.dev/webhook/internal/issuertest"
)

// What is written down about a derived key, such as a fuzzer's finding, holds for ever.
func TestADerivedKeyIsTheSameInEveryProcess(t *testing.T) {
	for algorithm, want := range map[jwa.SignatureAlgorithm]string{
		jwa.RS256: "2ae72f6bdf4c7b8c4ceb8980073564aa1b8b34dece5d471321bc9b951a983099",
		jwa.ES256: "3a4a8cf68f64005e027a31f015cbe1e9d5fd3f4914df6bb5d8a0b06d59fa96e6",
		jwa.ES384: "4efbf59fa66340c47c865bc168a2999f98738c72f01596c820250d33a518011c",
		jwa.ES512: "d8d95151fd47100b8fe272c2377e695a7739d52f92142dddac8fb00f28201a53",
		jwa.EdDSA: "357d157b2b434f4a1b905e305a86130e24715b6bb674bc74d819722c6fefe9c4",
	} {
		t.Run(algorithm.String(), func(t *testing.T) {
			key := issuertest.DerivedKey("key", algorithm)
			thumbprint, err := key.Public().Thumbprint(crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(thumbprint); got != want {
				t.Errorf("expected the key %s, got %s", want, got)
			}
			token := key.Sign(issuertest.Claims{"sub": "jane"})
			if again := issuertest.DerivedKey("key", algorithm).Sign(issuertest.Claims{"sub": "jane"}); again != token {
				t.Errorf("two signatures of the same differ:\n%s\n%s", token, again)
			}
			if _, err := jws.Verify([]byte(token), jws.WithKey(algorithm, key.Public())); err != nil {
				t.Error(err)
			}
			if other := issuertest.DerivedKey("other", algorithm); other.Sign(issuertest.Claims{"sub": "jane"}) == token {
				t.Error("another id has the same key")
			}
		})
	}
}
