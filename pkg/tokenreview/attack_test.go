package tokenreview_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// The tables in attack_*_test.go are what strangers, and issuers that are broken or
// bought, may try: a row is one token and what it is answered over HTTP. What only
// an issuer's key can make is signed with that key, so that nothing but the row's
// check is in its way.

// attack is a token that must not get in.
type attack struct {
	name, token string
	code        reason.Code
	text        string // part of the refusal's text
	issuer      string // the name of whose token it is taken for, empty for nobody's
}

// target is what is attacked: a handler over issuers whose keys the configuration
// holds. The names that claims give are not prefixed, so that claims reach furthest.
type target struct {
	*served
	reviewer *tokenreview.Reviewer
	// rsa and elliptic are main's: "rsa" for RS256, the same as "any" without alg, and
	// "ec" for ES256. other is of the issuer other, and has a kid of main's.
	rsa, elliptic, other issuertest.Key
}

// goodPayload is claims that main's signature would get in, as jane.
const goodPayload = `{"iss":"https://issuer.example","sub":"jane","aud":"cluster","exp":4102444800}`

// now is what refusals tell of the time.
var now = regexp.MustCompile(`it is now [0-9TZ:-]+`)

var jane = authenticationv1.UserInfo{Username: "jane"}

// newTarget makes a target; more are further JSON Web Keys of main's.
func newTarget(t *testing.T, more ...string) *target {
	t.Helper()
	f := &target{rsa: issuertest.NewKey("rsa", jwa.RS256), elliptic: issuertest.NewKey("ec", jwa.ES256), other: issuertest.NewKey("rsa", jwa.RS256)}
	anyRSA := published(f.rsa, map[string]any{"kid": "any", "alg": nil})
	document := "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n"
	var policies string
	for _, issuer := range []struct {
		name, url, keys, algorithms string
	}{
		{"main", "https://issuer.example", keySet(append(more, published(f.rsa, nil), anyRSA, published(f.elliptic, nil))...), ""},
		{"other", "https://other.example/", keySet(published(f.other, nil), published(f.other, map[string]any{"kid": "other"})), ""},
		{"narrow", "https://narrow.example", keySet(published(f.rsa, nil), published(f.elliptic, nil)), ", algorithms: [ES256]"},
	} {
		document += `- issuer: {url: "` + issuer.url + `", audiences: [cluster]}
  claimMappings:
    username: {claim: sub, prefix: ""}
    groups: {claim: groups, prefix: ""}
    uid: {expression: "has(claims.uid) ? claims.uid : ''"}
    extra: [{key: example.com/team, valueExpression: "has(claims.team) ? claims.team : ''"}]
`
		policies += `---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: ` + issuer.name + `}
spec: {issuer: "` + issuer.url + `", keys: {jwks: '` + issuer.keys + `'` + issuer.algorithms + `}}
`
	}
	f.reviewer, _ = newReviewer(t, []byte(document+policies))
	f.served = serveReviewer(f.reviewer)
	return f
}

// serveReviewer serves a reviewer's answers, for no issuer that signs.
func serveReviewer(reviewer *tokenreview.Reviewer) *served {
	log := &bytes.Buffer{}
	return &served{handler: tokenreview.NewHandler(reviewer, tokenreview.Options{Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}), log: log}
}

// refuses wants each token to be refused for the reason given, over HTTP and by the
// reviewer, and nothing of it to be said.
func (f *target) refuses(t *testing.T, attacks []attack) {
	t.Helper()
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { f.refusesOne(t, a) })
	}
}

func (f *target) refusesOne(t *testing.T, a attack) {
	t.Helper()
	f.log.Reset()
	response := f.post("application/json", review("authentication.k8s.io/v1", a.token))
	var got authenticationv1.TokenReview
	if err := json.Unmarshal(response.Body.Bytes(), &got); err != nil || response.Code != http.StatusOK {
		t.Fatalf("expected a TokenReview, got %d %s", response.Code, response.Body)
	}
	answer := f.reviewer.Review(t.Context(), a.token, nil, nil)
	if answer.Issuer != a.issuer || answer.Reason() != string(a.code) || !strings.Contains(answer.Refusal.Text, a.text) {
		t.Errorf("expected of issuer %q %s with %q, got of %q %q", a.issuer, a.code, a.text, answer.Issuer, answer.Refusal)
	}
	if undecided := a.code == reason.KeysUnavailable; answer.Undecided != undecided {
		t.Errorf("expected undecided to be %t", undecided)
	}
	// No user, no audiences, not authenticated, and an error only of who is ours.
	var want authenticationv1.TokenReviewStatus
	if a.issuer != "" {
		want.Error = a.issuer + ": " + answer.Refusal.Text + " (" + string(a.code) + ")"
	}
	// A second may have passed between the two.
	want.Error, got.Status.Error = now.ReplaceAllString(want.Error, "NOW"), now.ReplaceAllString(got.Status.Error, "NOW")
	if diff := cmp.Diff(want, got.Status); diff != "" {
		t.Errorf("expected -, got +:\n%s", diff)
	}
	if strings.ContainsFunc(got.Status.Error, unicode.IsControl) {
		t.Errorf("the error has control characters: %q", got.Status.Error)
	}
	f.tellsNothingOf(t, a.token, response.Body.String())
}

// tellsNothingOf wants no forty bytes of the token in a row, and no token that is
// shorter, in what is answered and logged.
func (f *target) tellsNothingOf(t *testing.T, token, answer string) {
	t.Helper()
	for where, text := range map[string]string{"answer": answer, "log": f.log.String()} {
		if len(token) > len("a.b.c") && strings.Contains(text, token) {
			t.Errorf("the %s holds the token: %s", where, text)
		}
		for i := 0; i+40 <= len(text); i++ {
			if strings.Contains(token, text[i:i+40]) {
				t.Errorf("the %s holds part of the token: %s", where, text)
				break
			}
		}
	}
}

// accepts wants the token to get in as the user.
func (f *target) accepts(t *testing.T, token string, user authenticationv1.UserInfo) {
	t.Helper()
	f.log.Reset()
	response := f.post("application/json", review("authentication.k8s.io/v1", token))
	var got authenticationv1.TokenReview
	if err := json.Unmarshal(response.Body.Bytes(), &got); err != nil || response.Code != http.StatusOK {
		t.Fatalf("expected a TokenReview, got %d %s", response.Code, response.Body)
	}
	if diff := cmp.Diff(authenticationv1.TokenReviewStatus{Authenticated: true, User: user}, got.Status, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("expected -, got +:\n%s", diff)
	}
	f.tellsNothingOf(t, token, response.Body.String())
}

// base64url is how a segment of a token spells text.
func base64url(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// forge is a token with header and payload as they are given, that key has signed by
// its own algorithm, whatever the header says.
func forge(t *testing.T, key issuertest.Key, header, payload string) string {
	t.Helper()
	return seal(t, key, base64url(header)+"."+base64url(payload))
}

// seal signs the two segments as they are spelled.
func seal(t *testing.T, key issuertest.Key, input string) string {
	t.Helper()
	return input + "." + base64url(string(sign(t, key, input)))
}

// sign returns key's signature of the two segments.
func sign(t *testing.T, key issuertest.Key, input string) []byte {
	t.Helper()
	signer, err := jws.NewSigner(key.Algorithm)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign([]byte(input), key.Private)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// authenticate is a token whose signature is an HMAC with a secret (RFC 7518 §3.2).
func authenticate(algorithm, header string, secret []byte) string {
	digest := map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}[algorithm]
	input := base64url(header) + "." + base64url(goodPayload)
	mac := hmac.New(digest, secret)
	mac.Write([]byte(input))
	return input + "." + base64url(string(mac.Sum(nil)))
}

// by is key under another algorithm.
func by(key issuertest.Key, algorithm jwa.SignatureAlgorithm) issuertest.Key {
	key.Algorithm = algorithm
	return key
}

// published is a key as an issuer publishes it, with some members changed; nil
// removes one.
func published(key issuertest.Key, changes map[string]any) string {
	return changedKey(key.Public(), changes)
}

func changedKey(key any, changes map[string]any) string {
	data, err := json.Marshal(key)
	if err != nil {
		panic(err)
	}
	var members claims
	if err := json.Unmarshal(data, &members); err != nil {
		panic(err)
	}
	if data, err = json.Marshal(members.With(changes)); err != nil {
		panic(err)
	}
	return string(data)
}

// keySet is a JSON Web Key Set of some keys.
func keySet(keys ...string) string { return fmt.Sprintf(`{"keys":[%s]}`, strings.Join(keys, ",")) }
