package tokenreview_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/lestrrat-go/jwx/v2/jws"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/tokenreview"
	"tokenreview.dev/webhook/pkg/trace"
)

// FuzzClaims sends what an issuer of ours can sign: any header, any payload. Whoever
// gets in by it must be let in by upstream, as the same user, and by what this file
// says about the claims in a few lines.
func FuzzClaims(f *testing.F) {
	reviewer, theirs := newFuzzReviewer(f)
	keys := signers()
	for i, s := range keys {
		f.Add(uint8(i), fmt.Sprintf(`{"alg":%q,"kid":%q}`, s.Algorithm, s.ID), mustMarshal(f, fuzzClaims(s)))
		f.Add(uint8(i), fmt.Sprintf(`{"alg":%q}`, s.Algorithm), mustMarshal(f, fuzzClaims(s).With(claims{"iss": "https://issuer.example"})))
	}
	f.Add(uint8(1), `{"alg":"ES256","kid":"rsa"}`, mustMarshal(f, fuzzClaims(keys[1])))
	f.Add(uint8(1), `{"alg":"ES256","kid":"ec"}`, mustMarshal(f, fuzzClaims(keys[1]).With(claims{"aud": strings.Repeat("long", 6000)})))
	for by, changes := range claimSeeds() {
		s := keys[by]
		for _, change := range changes {
			f.Add(uint8(by), fmt.Sprintf(`{"alg":%q,"kid":%q}`, s.Algorithm, s.ID), merged(f, mustMarshal(f, fuzzClaims(s)), change))
		}
	}
	f.Fuzz(func(t *testing.T, by uint8, header, payload string) {
		key := keys[int(by)%len(keys)]
		token := signAs(t, key, header, payload)
		steps := &trace.Trace{}
		answer := reviewer.Review(t.Context(), token, []string{"second", "elsewhere", "second"}, steps)
		expectToldSteps(t, &answer, steps, token, texts([]byte(header))+"\n"+texts([]byte(payload)))
		if answer.Proven {
			expectProven(t, key, header, payload)
		}
		if answer.User != nil {
			expectAllowed(t, &answer, key, payload)
			expectUpstream(t, &answer, theirs, key, token)
		}
	})
}

// claimSeeds are members to put into what fuzzClaims has, by the number of the signer.
func claimSeeds() map[int][]string {
	return map[int][]string{
		1: {
			`"sub":null`, `"sub":5`, `"sub":"system:admin"`, `"Sub":"root"`, `"aud":["second","x"]`, `"aud":5`, `"aud":[]`, `"aud":"elsewhere"`, `"exp":"4102444800"`, `"exp":4102444800000`,
			`"exp":1`, `"exp":41024448e2`, `"exp":1e999`, `"nbf":5102444800`, `"nbf":null`, `"iat":"0"`, `"groups":["system:masters"]`, `"groups":"one"`, `"groups":[1]`,
			`"groups":{"a":null}`, `"jti":5`, `"team":["a",""]`, `"x":[{"a":1,"a":2}]`, `"level":2`, `"level":1`, `"hd":"evil.com"`, `"nonce":1`, `"iss":"https://issuer.example/"`,
			`"_claim_names":{"groups":"src1"},"_claim_sources":{"src1":{"endpoint":"https://evil.example"}}`,
		},
		2: {`"ref":"refs/tags/v1"`, `"ref":"refs/tags/v1/x"`, `"repository":"OCTO-org/SHOP"`, `"repository_id":"75"`, `"repository_id":74`, `"event_name":"pull_request_target"`},
		3: {`"tid":"x"`, `"tid":"DE5169F1-9a13-45fe-a4cf-07feee258b7f"`, `"appid":"x"`, `"azp":null`, `"idtyp":"app"`, `"idtyp":"user"`, `"hasgroups":true`},
		4: {
			`"kubernetes.io":{"namespace":"ci-","serviceaccount":{"name":"deployer","uid":"1"}},"sub":"system:serviceaccount:ci-:deployer"`,
			`"kubernetes.io":{"namespace":"ci-shop","serviceaccount":{"name":"root","uid":"1"}}`, `"kubernetes.io":null`, `"sub":"system:serviceaccount:kube-system:deployer"`,
		},
	}
}

// signAs signs under a header that no library would write.
func signAs(t *testing.T, key signer, header, payload string) string {
	t.Helper()
	if len(header)+len(payload) > issuers.MaxTokenBytes {
		return "" // FuzzToken is for these
	}
	by, err := jws.NewSigner(key.Algorithm)
	if err != nil {
		t.Fatal(err)
	}
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	signature, err := by.Sign([]byte(input), key.Private)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// expectProven says what a token is whose issuer is proven.
func expectProven(t *testing.T, key signer, header, payload string) {
	t.Helper()
	said, told := object(t, header), object(t, payload)
	if key.issuer == "" || told["iss"] != key.issuer {
		t.Errorf("the key is that of %q, and iss is %v", key.issuer, told["iss"])
	}
	if said["alg"] != string(key.Algorithm) {
		t.Errorf("the key is for %s, and alg is %v", key.Algorithm, said["alg"])
	}
	if kid := said["kid"]; kid != nil && kid != "" && kid != key.ID {
		t.Errorf("the key is %q, and kid is %v", key.ID, kid)
	}
	for _, name := range []string{"crit", "b64"} {
		if _, ok := said[name]; ok {
			t.Errorf("the header has %s", name)
		}
	}
}

// expectAllowed says what a token is that gets somebody in.
func expectAllowed(t *testing.T, answer *tokenreview.Answer, key signer, payload string) {
	t.Helper()
	told := object(t, payload)
	now := float64(time.Now().Unix())
	if exp, ok := told["exp"].(float64); !ok || exp < now-60 || exp > 253402300799 {
		t.Errorf("exp is %v", told["exp"])
	}
	if nbf, ok := told["nbf"].(float64); told["nbf"] != nil && (!ok || nbf > now+60) {
		t.Errorf("nbf is %v", told["nbf"])
	}
	audiences, ok := told["aud"].([]any)
	if !ok {
		audiences = []any{told["aud"]}
	}
	second := slices.Contains(audiences, any("second"))
	if !slices.Contains(audiences, any("cluster")) && (!second || key.issuer != "https://issuer.example") {
		t.Errorf("aud is %v", audiences)
	}
	if got := slices.Equal(answer.Audiences, []string{"second"}); got != second || !got && len(answer.Audiences) > 0 {
		t.Errorf("of the audiences asked about, the token is for second: %t, got %q", second, answer.Audiences)
	}
	for _, name := range append(slices.Clone(answer.User.Groups), answer.User.Name) {
		if strings.HasPrefix(name, "system:") {
			t.Errorf("let in as %q", name)
		}
	}
	if name := allowedName(key.ID, told); answer.User.Name != name {
		t.Errorf("expected the user %q, got %q", name, answer.User.Name)
	}
}

var (
	shopRef      = regexp.MustCompile(`\A(refs/heads/main|refs/tags/v[^/]*)\z`)
	shopName     = regexp.MustCompile(`\A[oO][cC][tT][oO]-[oO][rR][gG]/[sS][hH][oO][pP]\z`)
	ciNamespace  = regexp.MustCompile(`\Aci-[^/]*\z`)
	entraTenant  = regexp.MustCompile(`\A(?i:de5169f1-9a13-45fe-a4cf-07feee258b7f)\z`)
	entraClients = regexp.MustCompile(`\A(?i:80faf920-1908-4b52-b5ef-a8e7bedfc67a)\z`)
)

// allowedName is the user that an issuer's configuration makes of the claims, empty if
// it must not let them in.
func allowedName(keyID string, told map[string]any) string {
	is := func(claim string, pattern *regexp.Regexp) bool {
		text, ok := told[claim].(string)
		return ok && pattern.MatchString(text)
	}
	sub, _ := told["sub"].(string)
	switch keyID {
	case "rsa", "ec":
		if told["hd"] == "example.com" && sub != "" && sub != "root" {
			return "oidc:" + sub
		}
	case "github":
		if is("repository", shopName) && told["repository_id"] == "74" && told["repository_owner_id"] == "65" && is("ref", shopRef) && told["event_name"] == "push" {
			return fmt.Sprint("github:74:", told["ref"])
		}
	case "entra":
		_, azp := told["azp"]
		_, appid := told["appid"]
		clients := (azp || appid) && (!azp || is("azp", entraClients)) && (!appid || is("appid", entraClients))
		idtyp, typed := told["idtyp"]
		if clients && is("tid", entraTenant) && (idtyp == "user" || !typed && told["oid"] != told["sub"]) {
			return fmt.Sprint("entra:", told["oid"])
		}
	case "build":
		bound, _ := told["kubernetes.io"].(map[string]any)
		account, _ := bound["serviceaccount"].(map[string]any)
		namespace, _ := bound["namespace"].(string)
		if uid, _ := account["uid"].(string); uid != "" && ciNamespace.MatchString(namespace) && sub == "system:serviceaccount:"+namespace+":deployer" && account["name"] == "deployer" {
			return "build:" + sub
		}
	case "edwards":
		return sub
	}
	return ""
}

// expectUpstream wants upstream to accept the token as well, and to see the same user
// but for what only our policies add.
func expectUpstream(t *testing.T, answer *tokenreview.Answer, theirs []authenticator.Token, key signer, token string) {
	t.Helper()
	if key.Algorithm == "EdDSA" {
		return // which upstream does not know
	}
	user, err := upstreamAnswer(t, theirs, token)
	if user == nil {
		t.Fatalf("accepted, and upstream refuses: %v", err)
	}
	if diff := cmp.Diff(user, withoutAdditions(t, answer.User, theirs, token), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("upstream -, ours +:\n%s", diff)
	}
}

// object reads a JSON object in which no name may appear twice, at any depth.
func object(t *testing.T, text string) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	value := unique(t, decoder)
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("something follows the object: %q", text)
	}
	members, ok := value.(map[string]any)
	if !ok {
		t.Fatalf("no JSON object: %q", text)
	}
	return members
}

func unique(t *testing.T, decoder *json.Decoder) any {
	t.Helper()
	token, err := decoder.Token()
	if err != nil {
		t.Fatalf("no JSON: %v", err)
	}
	if number, ok := token.(json.Number); ok {
		value, _ := number.Float64() // infinite where it is too large
		return value
	}
	switch token {
	case json.Delim('{'):
		members := make(map[string]any)
		for decoder.More() {
			name, _ := unique(t, decoder).(string)
			if _, twice := members[name]; twice {
				t.Fatalf("the name %q is given twice", name)
			}
			members[name] = unique(t, decoder)
		}
		_, _ = decoder.Token()
		return members
	case json.Delim('['):
		list := []any{}
		for decoder.More() {
			list = append(list, unique(t, decoder))
		}
		_, _ = decoder.Token()
		return list
	default:
		return token
	}
}

func mustMarshal(f *testing.F, value any) string {
	f.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		f.Fatal(err)
	}
	return string(data)
}

// merged is a JSON object with the members given in place of its own.
func merged(f *testing.F, object, members string) string {
	f.Helper()
	var changed, changes map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal([]byte(object), &changed), json.Unmarshal([]byte("{"+members+"}"), &changes)); err != nil {
		f.Fatal(err)
	}
	for name, value := range changes {
		changed[name] = value
	}
	var buffer bytes.Buffer
	separator := "{"
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		fmt.Fprintf(&buffer, "%s%q:%s", separator, name, changed[name])
		separator = ","
	}
	return buffer.String() + "}"
}
