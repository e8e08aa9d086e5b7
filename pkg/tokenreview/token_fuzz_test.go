package tokenreview_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jws"

	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

// FuzzToken sends what anybody can: any text in a token's place. None is proven but
// those that were signed, to the letter.
func FuzzToken(f *testing.F) {
	reviewer, _ := newFuzzReviewer(f)
	signed := make(map[string]signer)
	for _, s := range signers() {
		good := s.Sign(fuzzClaims(s))
		if s.issuer != "" {
			signed[good] = s
		}
		f.Add(good)
		header, rest, _ := strings.Cut(good, ".")
		payload, signature, _ := strings.Cut(rest, ".")
		for _, malformed := range []string{
			good[:len(good)-1], twin(good), good + "=", good + "\n", " " + good, "Bearer " + good, good + "." + signature, good + ".x.y",
			header + "." + payload, header + "." + payload + ".", "." + payload + "." + signature, header + ".." + signature,
			header + "." + payload + "." + strings.Repeat("A", len(signature)),
			header + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+s.issuer+`","sub":"root","aud":"cluster","exp":4102444800}`)) + "." + signature,
			base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + payload + ".",
			base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"rsa","crit":["exp"]}`)) + "." + payload + "." + signature,
			base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"rsa"}`)) + "." + payload + "." + signature,
			base64.StdEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"rsa" }`)) + "." + payload + "." + signature,
			`{"payload":"` + payload + `","protected":"` + header + `","signature":"` + signature + `"}`,
		} {
			f.Add(malformed)
		}
	}
	f.Fuzz(func(t *testing.T, token string) {
		steps := &trace.Trace{}
		answer := reviewer.Review(t.Context(), token, nil, steps)
		if key, ok := signed[token]; ok != answer.Proven || ok != (answer.User != nil) {
			t.Errorf("expected signed by us (%t) to be proven and allowed, got %+v", ok, answer)
		} else if ok {
			if _, err := jws.Verify([]byte(token), jws.WithKey(key.Algorithm, key.Public())); err != nil {
				t.Errorf("accepted, and jws refuses it: %v", err)
			}
		}
		expectToldSteps(t, &answer, steps, token, claimed(token))
		if answer.Issuer == "" && answer.Refusal.Code != reason.TokenMalformed && answer.Refusal.Code != reason.IssuerUnknown {
			t.Errorf("a token that is none of ours must be malformed or of an unknown issuer, got %q", answer.Refusal)
		}
	})
}

// twin is a token whose last character has other bits where they do not count: a lenient
// decoder reads the same signature.
func twin(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	return token[:last] + string(alphabet[strings.IndexByte(alphabet, token[last])^1])
}

// claimed is what the segments of a token say.
func claimed(token string) string {
	var all strings.Builder
	for _, segment := range strings.Split(token, ".") {
		if data, err := base64.RawURLEncoding.DecodeString(segment); err == nil {
			all.WriteString(texts(data) + "\n")
		}
	}
	return all.String()
}
