package tokenreview_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

type claims = issuertest.Claims

// The yardstick of this file is kube-apiserver's own authenticator: for the same
// configuration and token it must come to the same user or refuse as well.

// upstream makes upstream's authenticators for a configuration, their keys fetched.
func upstream(t testing.TB, loaded *config.Config) []authenticator.Token {
	t.Helper()
	var all []authenticator.Token
	for _, issuer := range loaded.Issuers {
		ca, err := dynamiccertificates.NewStaticCAContent("issuer", []byte(issuer.JWT.Issuer.CertificateAuthority))
		if err != nil {
			t.Fatal(err)
		}
		one, err := oidc.New(t.Context(), oidc.Options{
			JWTAuthenticator:     issuer.JWT,
			CAContentProvider:    ca,
			SupportedSigningAlgs: oidc.AllValidSigningAlgorithms(),
		})
		if err != nil {
			t.Fatal(err)
		}
		// It fetches in the background and has nothing to wait for but this.
		err = wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
			return one.HealthCheck() == nil, nil
		})
		if err != nil {
			t.Fatalf("%s: %v", issuer.Name, one.HealthCheck())
		}
		all = append(all, one)
	}
	return all
}

// upstreamAnswer is what kube-apiserver would say: it asks one after the other.
func upstreamAnswer(t *testing.T, authenticators []authenticator.Token, token string) (*user.DefaultInfo, error) {
	t.Helper()
	for _, one := range authenticators {
		response, ok, err := one.AuthenticateToken(t.Context(), token)
		if err != nil {
			return nil, err
		}
		if ok {
			return response.User.(*user.DefaultInfo), nil
		}
	}
	return nil, nil
}

// newReviewer makes a reviewer for a configuration, its keys fetched.
func newReviewer(t testing.TB, data []byte) (*tokenreview.Reviewer, *config.Config) {
	t.Helper()
	loaded, err := config.Parse("test.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := loaded.Build(nil, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rules.Issuers.Close(nil) })
	rules.Issuers.AwaitFirstFetch(t.Context())
	return tokenreview.NewReviewer(rules), loaded
}

// authentication is a document 1 with one issuer, and the rest as given.
func authentication(issuer *issuertest.Issuer, rest string) []byte {
	return fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: %s
    discoveryURL: %s
    certificateAuthority: |
      %s
    audiences: [cluster, second]
    audienceMatchPolicy: MatchAny
%s`, issuer.URL, issuer.DiscoveryURL(), strings.ReplaceAll(issuer.CertificateAuthority(), "\n", "\n      "), indent(rest))
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

// TestRulesMeanWhatTheyMeanToTheAPIServer goes through every rule by which
// kube-apiserver reads a configuration, from both sides.
func TestRulesMeanWhatTheyMeanToTheAPIServer(t *testing.T) {
	const bySub = "claimMappings:\n  username: {claim: sub, prefix: ''}\n"
	plain := claims{"sub": "jane"}
	type token struct {
		name   string
		claims claims
		code   reason.Code // empty where both accept
		text   string      // part of our refusal
	}
	accepted := func(name string, c claims) token { return token{name: name, claims: c} }

	for _, rule := range []struct {
		name          string
		configuration string
		tokens        []token
	}{
		{"username from a claim", "claimMappings:\n  username: {claim: user, prefix: 'oidc:'}\n", []token{
			accepted("text", claims{"user": "jane"}),
			accepted("text with spaces and non-ASCII letters", claims{"user": "Jäne Döe"}),
			{"missing", claims{"sub": "jane"}, reason.MappingFailed, `claim "user"`},
			{"a number", claims{"user": 5}, reason.MappingFailed, "expected text, got a number"},
			{"a list", claims{"user": []string{"jane"}}, reason.MappingFailed, "expected text, got a list"},
			{"true", claims{"user": true}, reason.MappingFailed, "expected text, got a boolean"},
			{"a claim in other case", claims{"User": "jane"}, reason.MappingFailed, "no such claim"},
		}},
		{"username from the claim email", "claimMappings:\n  username: {claim: email, prefix: ''}\n", []token{
			accepted("verified", claims{"email": "j@example.com", "email_verified": true}),
			accepted("nothing said of verification", claims{"email": "j@example.com"}),
			{"not verified", claims{"email": "j@example.com", "email_verified": false}, reason.EmailNotVerified, "not verified"},
			{"verified as text", claims{"email": "j@example.com", "email_verified": "true"}, reason.EmailNotVerified, "expected true or false, got a text"},
			{"verified as a number", claims{"email": "j@example.com", "email_verified": 1}, reason.EmailNotVerified, "got a number"},
			{"missing", claims{"email_verified": true}, reason.MappingFailed, `claim "email"`},
		}},
		{"username by an expression", "claimMappings:\n  username: {expression: 'claims.user'}\n", []token{
			accepted("text", claims{"user": "jane"}),
			{"empty text", claims{"user": ""}, reason.MappingFailed, "empty"},
			{"missing", plain, reason.MappingFailed, "no such key: user"},
			{"a number", claims{"user": 5}, reason.MappingFailed, "must return text"},
			{"a list", claims{"user": []string{"jane"}}, reason.MappingFailed, "must return text"},
			{"an object", claims{"user": claims{"name": "jane"}}, reason.MappingFailed, "must return text"},
			{"null", claims{"user": null}, reason.MappingFailed, "must return text"},
		}},
		{"username by an expression with an optional value", "claimMappings:\n  username: {expression: 'claims.?user'}\n", []token{
			{"text", claims{"user": "jane"}, reason.MappingFailed, "must return text"},
		}},
		{"username by an expression that returns a type", "claimMappings:\n  username: {expression: 'type(claims.user)'}\n", []token{
			{"text", claims{"user": "jane"}, reason.MappingFailed, "must return text"},
		}},
		{"username from the email by an expression", "claimMappings:\n  username: {expression: 'claims.email'}\nclaimValidationRules:\n- expression: 'claims.?email_verified.orValue(true) == true'\n", []token{
			accepted("verified", claims{"email": "j@example.com", "email_verified": true}),
			accepted("nothing said of verification", claims{"email": "j@example.com"}),
			{"not verified", claims{"email": "j@example.com", "email_verified": false}, reason.ClaimRuleFailed, "email_verified"},
			{"verified as text", claims{"email": "j@example.com", "email_verified": "true"}, reason.ClaimRuleFailed, ""},
		}},
		{"groups from a claim", bySub + "  groups: {claim: roles, prefix: 'oidc:'}\n", []token{
			accepted("a list", plain.With(claims{"roles": []string{"a", "b"}})),
			accepted("text", plain.With(claims{"roles": "a"})),
			accepted("an empty list", plain.With(claims{"roles": []string{}})),
			accepted("missing", plain),
			accepted("the same twice", plain.With(claims{"roles": []string{"a", "a"}})),
			accepted("null", plain.With(claims{"roles": null})),
			accepted("a list with null in it", plain.With(claims{"roles": []any{"a", nil}})),
			{"a number", plain.With(claims{"roles": 5}), reason.MappingFailed, "expected text or a list of text, got a number"},
			{"a list with a number in it", plain.With(claims{"roles": []any{"a", 5}}), reason.MappingFailed, "list of text"},
			{"an object", plain.With(claims{"roles": claims{"a": true}}), reason.MappingFailed, "got a object"},
		}},
		{"groups by an expression", bySub + "  groups: {expression: 'claims.roles'}\n", []token{
			accepted("a list", plain.With(claims{"roles": []string{"a", "b"}})),
			accepted("text", plain.With(claims{"roles": "a"})),
			accepted("empty text", plain.With(claims{"roles": ""})),
			accepted("an empty list", plain.With(claims{"roles": []string{}})),
			accepted("a list with empty members", plain.With(claims{"roles": []string{"", "a", ""}})),
			accepted("null", plain.With(claims{"roles": null})),
			accepted("a list of nothing but empty members", plain.With(claims{"roles": []string{"", ""}})),
			{"missing", plain, reason.MappingFailed, "no such key"},
			{"a number", plain.With(claims{"roles": 5}), reason.MappingFailed, "text or a list of text"},
			{"a list with a number in it", plain.With(claims{"roles": []any{"a", 5}}), reason.MappingFailed, "text or a list of text"},
			{"a list in the list", plain.With(claims{"roles": []any{[]string{"a"}}}), reason.MappingFailed, "text or a list of text"},
		}},
		{"groups from a list made by an expression", bySub + "  groups: {expression: 'claims.roles.split(\",\").map(r, \"team:\" + r) + [claims.sub]'}\n", []token{
			accepted("text to split", plain.With(claims{"roles": "a,b"})),
		}},
		{"groups from a list that an expression makes of anything", bySub + "  groups: {expression: '[claims.sub, claims.roles]'}\n", []token{
			accepted("text", plain.With(claims{"roles": "a"})),
			{"a number", plain.With(claims{"roles": 5}), reason.MappingFailed, "text or a list of text"},
		}},
		{"groups from a null made by an expression", bySub + "  groups: {expression: 'has(claims.roles) ? claims.roles : null'}\n", []token{
			accepted("missing", plain),
			accepted("a list", plain.With(claims{"roles": []string{"a"}})),
		}},
		{"groups nested in a claim", bySub + "  groups: {expression: 'claims.realm_access.roles'}\n", []token{
			accepted("as Keycloak does", plain.With(claims{"realm_access": claims{"roles": []string{"admin", "dev"}}})),
			{"missing", plain, reason.MappingFailed, "realm_access"},
		}},
		{"uid from a claim", bySub + "  uid: {claim: oid}\n", []token{
			accepted("text", plain.With(claims{"oid": "1"})),
			accepted("null", plain.With(claims{"oid": null})),
			{"missing", plain, reason.MappingFailed, `claim "oid"`},
			{"a number", plain.With(claims{"oid": 1}), reason.MappingFailed, "expected text"},
		}},
		{"uid by an expression", bySub + "  uid: {expression: 'claims.oid'}\n", []token{
			accepted("text", plain.With(claims{"oid": "1"})),
			accepted("empty text", plain.With(claims{"oid": ""})),
			{"missing", plain, reason.MappingFailed, "oid"},
			{"null", plain.With(claims{"oid": null}), reason.MappingFailed, "must return text"},
			{"a number", plain.With(claims{"oid": 1}), reason.MappingFailed, "must return text"},
		}},
		{"extras", bySub + "  extra:\n  - {key: example.com/a, valueExpression: 'claims.a'}\n  - {key: example.com/b, valueExpression: 'has(claims.b) ? claims.b : \"\"'}\n", []token{
			accepted("text", plain.With(claims{"a": "1", "b": "2"})),
			accepted("a list", plain.With(claims{"a": []string{"1", "", "2"}})),
			accepted("empty text", plain.With(claims{"a": ""})),
			accepted("null", plain.With(claims{"a": null})),
			accepted("an empty list", plain.With(claims{"a": []string{}})),
			{"missing", plain, reason.MappingFailed, "no such key: a"},
			{"a number", plain.With(claims{"a": 5}), reason.MappingFailed, "example.com/a"},
		}},
		{"the credential's id", bySub, []token{
			accepted("a jti", plain.With(claims{"jti": "abc"})),
			accepted("an empty jti", plain.With(claims{"jti": ""})),
			accepted("a jti that is a number", plain.With(claims{"jti": 5})),
			accepted("a jti that is null", plain.With(claims{"jti": null})),
		}},
		{"a required claim", bySub + "claimValidationRules:\n- {claim: hd, requiredValue: example.com}\n- {claim: tier, requiredValue: ''}\n", []token{
			accepted("as required", plain.With(claims{"hd": "example.com", "tier": ""})),
			{"another value", plain.With(claims{"hd": "evil.com", "tier": ""}), reason.ClaimRuleFailed, `required to be "example.com", got "evil.com"`},
			{"in other case", plain.With(claims{"hd": "Example.com", "tier": ""}), reason.ClaimRuleFailed, ""},
			accepted("null where empty is required", plain.With(claims{"hd": "example.com", "tier": null})),
			{"missing", plain.With(claims{"tier": ""}), reason.ClaimRuleFailed, `claim "hd"`},
			{"missing where empty is required", plain.With(claims{"hd": "example.com"}), reason.ClaimRuleFailed, `claim "tier"`},
			{"in a list", plain.With(claims{"hd": []string{"example.com"}, "tier": ""}), reason.ClaimRuleFailed, "expected text"},
		}},
		{"claim rules", bySub + "claimValidationRules:\n- {expression: 'claims.exp - claims.iat <= 3600', message: lives too long}\n- {expression: 'claims.n == 1', message: n must be one}\n", []token{
			accepted("both hold", plain.With(claims{"n": 1})),
			{"the first does not", plain.With(claims{"n": 1, "iat": time.Now().Add(-2 * time.Hour).Unix()}), reason.ClaimRuleFailed, "lives too long"},
			{"the second does not", plain.With(claims{"n": 2}), reason.ClaimRuleFailed, "n must be one"},
			{"one cannot be evaluated", plain, reason.ClaimRuleFailed, "no such key: n"},
			{"compared with text", plain.With(claims{"n": "1"}), reason.ClaimRuleFailed, "n must be one"},
		}},
		{"user rules", bySub + `  groups: {claim: groups, prefix: ''}
  uid: {claim: oid}
  extra:
  - {key: example.com/a.b, valueExpression: 'claims.a'}
userValidationRules:
- {expression: '!user.username.startsWith("root")', message: not root}
- {expression: 'user.groups.all(g, g != "admins")', message: no admins}
- {expression: 'user.uid != "0"', message: no zero}
- {expression: '!("example.com/a.b" in user.extra) || user.extra["example.com/a.b"] != ["bad"]', message: nothing bad}
- {expression: '!("system:authenticated" in user.groups)', message: seen before the group is added}
`, []token{
			accepted("all hold", plain.With(claims{"groups": []string{"devs"}, "oid": "1", "a": "good"})),
			{"a bad name", claims{"sub": "root-2", "groups": []string{"devs"}, "oid": "1", "a": ""}, reason.UserRuleFailed, "not root"},
			{"a bad group", plain.With(claims{"groups": []string{"devs", "admins"}, "oid": "1", "a": ""}), reason.UserRuleFailed, "no admins"},
			{"a bad uid", plain.With(claims{"groups": []string{}, "oid": "0", "a": ""}), reason.UserRuleFailed, "no zero"},
			{"a bad extra", plain.With(claims{"groups": []string{}, "oid": "1", "a": "bad"}), reason.UserRuleFailed, "nothing bad"},
		}},
		{"escaped names at any depth", bySub + `  extra:
  - {key: example.com/ns, valueExpression: 'claims.kubernetes__dot__io.namespace'}
  - {key: example.com/deep, valueExpression: 'claims.a__dot__b.c__dash__d[0].e__slash__f'}
  - {key: example.com/list, valueExpression: 'claims.a__dot__b.c__dash__d.map(x, x["e/f"])'}
  - {key: example.com/in, valueExpression: '"c-d" in claims["a.b"] ? "plain" : "none"'}
  - {key: example.com/under, valueExpression: 'claims.x__underscores__y'}
`, []token{
			accepted("all there", plain.With(claims{
				"kubernetes.io": claims{"namespace": "default"},
				"a.b":           claims{"c-d": []any{claims{"e/f": "found"}}},
				"x__y":          "underscores",
			})),
			{"missing", plain, reason.MappingFailed, "no such key"},
		}},
		{"what expressions can see of the claims", bySub + `  extra:
  - {key: example.com/type, valueExpression: 'type(claims.n) == double ? "double" : "other"'}
  - {key: example.com/size, valueExpression: 'string(size(claims.list))'}
  - {key: example.com/has, valueExpression: 'has(claims.absent) ? "there" : "absent"'}
  - {key: example.com/opt, valueExpression: 'claims.?absent.orValue("default")'}
  - {key: example.com/null, valueExpression: 'claims.nothing == null ? "null" : "other"'}
  - {key: example.com/all, valueExpression: 'dyn(claims.list).exists(x, x == "b") ? "b" : ""'}
`, []token{accepted("all there", plain.With(claims{"n": 5, "list": []string{"a", "b"}, "nothing": 1, "x": claims{}}))}},
		{"what expressions cannot do with the claims", bySub + "  extra:\n  - {key: example.com/in, valueExpression: '\"sub\" in claims ? \"in\" : \"out\"'}\n", []token{
			{"look for a name in them", plain, reason.MappingFailed, "no such overload"},
		}},
		{"claim rules come before user rules", bySub + "claimValidationRules:\n- {expression: 'claims.ok == true', message: claim rule}\nuserValidationRules:\n- {expression: 'user.username != \"jane\"', message: user rule}\n", []token{
			{"both fail", plain.With(claims{"ok": false}), reason.ClaimRuleFailed, "claim rule"},
		}},
		{"escaped names in the user", bySub + "  extra: [{key: example.com/a, valueExpression: 'claims.sub'}]\nuserValidationRules:\n- {expression: 'user.extra.example__dot__com__slash__a == [\"jane\"]'}\n", []token{
			accepted("as it is", plain),
			{"another", claims{"sub": "joe"}, reason.UserRuleFailed, "example__dot__com"},
		}},
		{"the types of registered claims", bySub, []token{
			{"a sub that is a number", claims{"sub": 5}, reason.TokenMalformed, "sub"},
			{"an aud that is a number", plain.With(claims{"aud": 5}), reason.TokenMalformed, "aud"},
			{"an aud that is null", plain.With(claims{"aud": null}), reason.AudienceMismatch, ""},
			{"an exp that is null", plain.With(claims{"exp": null}), reason.Expired, ""},
			{"an exp that is a list", plain.With(claims{"exp": []int{1}}), reason.TokenMalformed, "exp"},
			accepted("an nbf that is null", plain.With(claims{"nbf": null})),
			{"an nbf that is true", plain.With(claims{"nbf": true}), reason.TokenMalformed, "nbf"},
			{"an iat that is null", plain.With(claims{"iat": null}), reason.TokenMalformed, "iat"},
			{"an iat that is true", plain.With(claims{"iat": true}), reason.TokenMalformed, "iat"},
			{"a nonce that is a number", plain.With(claims{"nonce": 1}), reason.TokenMalformed, "nonce"},
			{"an nbf far ahead, in other case", plain.With(claims{"NBF": time.Now().Add(time.Hour).Unix()}), reason.TokenMalformed, `"NBF" must be spelled "nbf"`},
			{"a sub that is a number, in other case", plain.With(claims{"Sub": 5}), reason.TokenMalformed, "Sub"},
			{"claim sources of the wrong form", plain.With(claims{"_claim_sources": "x"}), reason.TokenMalformed, "_claim_sources"},
			{"claim names of the wrong form", plain.With(claims{"_claim_names": 5}), reason.TokenMalformed, "_claim_names"},
			accepted("an exp with a fraction", plain.With(claims{"exp": float64(time.Now().Add(time.Hour).Unix()) + .5})),
		}},
		{"mappings come before rules", "claimMappings:\n  username: {claim: user, prefix: ''}\nclaimValidationRules:\n- {claim: hd, requiredValue: example.com}\n", []token{
			{"both fail", claims{"sub": "jane"}, reason.MappingFailed, `claim "user"`},
		}},
		{"times and audiences", bySub, []token{
			accepted("the first audience", plain),
			accepted("the second audience", plain.With(claims{"aud": "second"})),
			accepted("one of several", plain.With(claims{"aud": []string{"elsewhere", "second"}})),
			{"another audience", plain.With(claims{"aud": "elsewhere"}), reason.AudienceMismatch, ""},
			{"expired", plain.With(claims{"exp": time.Now().Add(-time.Second).Unix()}), reason.Expired, ""},
			{"without exp", claims{"sub": "jane", "exp": nil}, reason.Expired, ""},
			accepted("nbf within the leeway", plain.With(claims{"nbf": time.Now().Add(30 * time.Second).Unix()})),
			{"nbf beyond the leeway", plain.With(claims{"nbf": time.Now().Add(2 * time.Minute).Unix()}), reason.NotYetValid, ""},
			{"another issuer", plain.With(claims{"iss": "https://stranger.example"}), reason.IssuerUnknown, ""},
		}},
	} {
		t.Run(rule.name, func(t *testing.T) {
			issuer := issuertest.Start("https://issuer.example")
			defer issuer.Close()
			reviewer, loaded := newReviewer(t, authentication(issuer, rule.configuration))
			theirs := upstream(t, loaded)
			for _, test := range rule.tokens {
				t.Run(test.name, func(t *testing.T) {
					signed := issuer.Sign(claims{
						"iss": issuer.URL, "aud": "cluster",
						"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
					}.With(test.claims))
					compare(t, reviewer, theirs, signed, test.code, test.text)
				})
			}
		})
	}
}

// compare wants both to accept the token as the same user, or both to refuse it.
func compare(t *testing.T, reviewer *tokenreview.Reviewer, theirs []authenticator.Token, signed string, code reason.Code, text string) {
	t.Helper()
	answer := reviewer.Review(t.Context(), signed, nil, nil)
	compareAnswers(t, &answer, theirs, signed)
	if answer.Refusal.Code != code || !strings.Contains(answer.Refusal.Text, text) {
		t.Errorf("expected %q with %q, got %q", code, text, answer.Refusal)
	}
	if (answer.User != nil) != (code == "") {
		t.Errorf("expected accepted to be %v, got %v", code == "", answer.User)
	}
}

// compareAnswers wants the same user of both, or the same kind of refusal: without
// an error where the token is none of theirs, with one where it is.
func compareAnswers(t *testing.T, answer *tokenreview.Answer, theirs []authenticator.Token, signed string) {
	t.Helper()
	user, err := upstreamAnswer(t, theirs, signed)
	if diff := cmp.Diff(user, answer.User, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("upstream -, ours +:\n%supstream: %v\nours: %s", diff, err, answer.Refusal)
	}
	if ours := answer.Status().Error; (err != nil) != (ours != "") {
		t.Errorf("expected an error where upstream has one (%v), got %q", err, ours)
	}
}

func TestDistributedGroupsMeanWhatTheyMeanToTheAPIServer(t *testing.T) {
	issuer := issuertest.Start("https://issuer.example")
	defer issuer.Close()
	// Upstream looks up the answer's issuer with the token issuer's own client.
	answers := issuertest.Start("")
	defer answers.Close()
	var body string
	answers.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/groups" {
			answers.Genuine(w, r)
			return
		}
		_, _ = w.Write([]byte(body))
	}))
	configuration := string(authentication(issuer, "claimMappings:\n  username: {claim: sub, prefix: ''}\n  groups: {claim: groups, prefix: 'g:'}\n"))
	_, second, _ := strings.Cut(string(authentication(answers, "claimMappings:\n  username: {claim: sub, prefix: ''}\n")), "jwt:\n")
	reviewer, loaded := newReviewer(t, []byte(configuration+second))
	theirs := upstream(t, loaded)

	base := claims{"aud": "cluster", "sub": "jane", "exp": time.Now().Add(time.Hour).Unix()}
	pointer := base.With(claims{
		"_claim_names":   claims{"groups": "src1"},
		"_claim_sources": claims{"src1": claims{"endpoint": answers.Address() + "/groups"}},
	})
	for _, test := range []struct {
		name   string
		claims claims
		body   string
		code   reason.Code
	}{
		{"kept elsewhere", pointer, answers.Sign(base.With(claims{"groups": []string{"a"}})), ""},
		{"kept elsewhere as text", pointer, answers.Sign(base.With(claims{"groups": "a"})), ""},
		{"in the token as well", pointer.With(claims{"groups": []string{"own"}}), "", ""},
		{"for another audience", pointer, answers.Sign(base.With(claims{"aud": "x", "groups": "a"})), reason.MappingFailed},
		{"expired", pointer, answers.Sign(base.With(claims{"exp": 1, "groups": "a"})), reason.MappingFailed},
		{"without the claim", pointer, answers.Sign(base), reason.MappingFailed},
		{"of the wrong type", pointer, answers.Sign(base.With(claims{"groups": 5})), reason.MappingFailed},
		{"no JWT", pointer, "hello", reason.MappingFailed},
		{"names without sources", base.With(claims{"_claim_names": claims{}}), "", reason.TokenMalformed},
		{"null for names, without sources", base.With(claims{"_claim_names": null}), "", reason.TokenMalformed},
		{"names and sources of nothing", base.With(claims{"_claim_names": claims{}, "_claim_sources": claims{}}), "", ""},
		{"of which the source is missing", base.With(claims{"_claim_names": claims{"groups": "src1"}}), "", reason.TokenMalformed},
		{"of another claim, with its source missing", base.With(claims{"_claim_names": claims{"other": "src1"}}), "", reason.TokenMalformed},
		{"aggregated", base.With(claims{"_claim_names": claims{"groups": "src1"}, "_claim_sources": claims{"src1": claims{"JWT": "a.b.c"}}}), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			body = test.body
			signed := issuer.Sign(test.claims)
			// Upstream begins to look up an issuer when it first meets it.
			err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
				_, err := upstreamAnswer(t, theirs, signed)
				return err == nil || !strings.Contains(err.Error(), "not initialized"), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, reviewer, theirs, signed, test.code, "")
		})
	}
}

// null is a claim's value; nil in a Claims.With removes the claim.
var null = json.RawMessage("null")

// TestProofsMeanWhatTheyMeanToTheAPIServer compares everything before the claims.
func TestProofsMeanWhatTheyMeanToTheAPIServer(t *testing.T) {
	issuer, google := issuertest.Start("https://issuer.example"), issuertest.Start("https://accounts.google.com")
	defer issuer.Close()
	defer google.Close()
	elliptic := issuertest.NewKey("elliptic", "ES256")
	issuer.SetKeys(elliptic, issuer.Key())
	bySub := "claimMappings:\n  username: {claim: sub, prefix: ''}\n"
	_, second, _ := strings.Cut(string(authentication(google, bySub)), "jwt:\n")
	reviewer, loaded := newReviewer(t, append(authentication(issuer, bySub), second...))
	theirs := upstream(t, loaded)

	key := issuer.Key()
	base := claims{"iss": issuer.URL, "aud": "cluster", "sub": "jane", "exp": time.Now().Add(time.Hour).Unix()}
	good := key.Sign(base)
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	withoutKid := issuertest.Key{Algorithm: key.Algorithm, Private: key.Private}
	for _, test := range []struct {
		name, token string
		code        reason.Code
	}{
		{"RS256", good, ""},
		{"ES256", elliptic.Sign(base), ""},
		{"no kid", withoutKid.Sign(base), ""},
		{"an unknown kid", issuertest.NewKey("unknown", "RS256").Sign(base), reason.KeyUnknown},
		{"a forged signature under a known kid", issuertest.NewKey(key.ID, "RS256").Sign(base), reason.SignatureInvalid},
		{"a forged signature without kid", issuertest.NewKey("", "RS256").Sign(base), reason.SignatureInvalid},
		{"another algorithm under a known kid", issuertest.NewKey(key.ID, "ES256").Sign(base), reason.SignatureInvalid},
		{"alg none", "eyJhbGciOiJub25lIn0." + payload + ".", reason.AlgorithmNotAllowed},
		{"EdDSA", issuertest.NewKey(key.ID, "EdDSA").Sign(base), reason.AlgorithmNotAllowed},
		{"no signature", header + "." + payload + ".", reason.SignatureInvalid},
		{"a header that is no JSON", "e30x." + payload + "." + signature, reason.TokenMalformed},
		{"Google with scheme", google.Sign(base.With(claims{"iss": "https://accounts.google.com"})), ""},
		{"Google without scheme", google.Sign(base.With(claims{"iss": "accounts.google.com"})), ""},
		{"Google's name with another's key", key.Sign(base.With(claims{"iss": "accounts.google.com"})), reason.SignatureInvalid},
		{"another issuer", key.Sign(base.With(claims{"iss": "https://stranger.example"})), reason.IssuerUnknown},
		{"the issuer with a slash", key.Sign(base.With(claims{"iss": issuer.URL + "/"})), reason.IssuerUnknown},
		{"no iss", key.Sign(base.With(claims{"iss": nil})), reason.TokenMalformed},
		{"an opaque token", "opaque", reason.TokenMalformed},
		{"a token of four parts", good + ".x", reason.TokenMalformed},
		{"a token in JSON", `{"payload":"` + payload + `"}`, reason.TokenMalformed},
		{"a payload that is no JSON", key.SignPayload([]byte("hello")), reason.TokenMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			compare(t, reviewer, theirs, test.token, test.code, "")
		})
	}
}

func TestAnIssuerWithoutKeysMeansWhatItMeansToTheAPIServer(t *testing.T) {
	issuer := issuertest.Start("https://issuer.example")
	defer issuer.Close()
	issuer.Answer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	reviewer, loaded := newReviewer(t, authentication(issuer, "claimMappings:\n  username: {claim: sub, prefix: ''}\n"))
	theirs, err := oidc.New(t.Context(), oidc.Options{JWTAuthenticator: loaded.Issuers[0].JWT, SupportedSigningAlgs: oidc.AllValidSigningAlgorithms()})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, reviewer, []authenticator.Token{theirs}, issuer.Sign(claims{"aud": "cluster", "sub": "jane"}), reason.KeysUnavailable, "502")
}

// Where we refuse what upstream accepts, on purpose: docs/adr/0003.
func TestWeRefuseMoreThanUpstream(t *testing.T) {
	issuer := issuertest.Start("https://issuer.example")
	defer issuer.Close()
	reviewer, loaded := newReviewer(t, authentication(issuer, "claimMappings:\n  username: {claim: sub, prefix: ''}\n  groups: {claim: groups, prefix: ''}\n"))
	theirs := upstream(t, loaded)
	base := claims{"iss": issuer.URL, "aud": "cluster", "sub": "jane", "exp": time.Now().Add(time.Hour).Unix()}
	for name, test := range map[string]struct {
		claims claims
		code   reason.Code
	}{
		"a username that is null":         {base.With(claims{"sub": null}), reason.MappingFailed},
		"an empty username":               {base.With(claims{"sub": ""}), reason.MappingFailed},
		"a username of Kubernetes' own":   {base.With(claims{"sub": "system:admin"}), reason.ReservedName},
		"a group of Kubernetes' own":      {base.With(claims{"groups": []string{"devs", "system:masters"}}), reason.ReservedName},
		"a username with a line break":    {base.With(claims{"sub": "jane\nroot"}), reason.MappingFailed},
		"a group with a zero byte":        {base.With(claims{"groups": []string{"devs", "a\x00b"}}), reason.MappingFailed},
		"exp as text (RFC 7519 §2)":       {base.With(claims{"exp": fmt.Sprint(base["exp"])}), reason.TokenMalformed},
		"nbf as text":                     {base.With(claims{"nbf": "0"}), reason.TokenMalformed},
		"iat as text":                     {base.With(claims{"iat": "0"}), reason.TokenMalformed},
		"exp in milliseconds":             {base.With(claims{"exp": time.Now().Add(time.Hour).UnixMilli()}), reason.TokenMalformed},
		"exp in other case":               {base.With(claims{"exp": nil, "EXP": base["exp"]}), reason.TokenMalformed},
		"a name twice within a claim":     {base.With(claims{"x": json.RawMessage(`{"a":1,"a":2}`)}), reason.TokenMalformed},
		"claims nested too deep":          {base.With(claims{"x": json.RawMessage(strings.Repeat("[", 70) + strings.Repeat("]", 70))}), reason.TokenMalformed},
		"a token that is too long":        {base.With(claims{"x": strings.Repeat("a", issuers.MaxTokenBytes)}), reason.TokenMalformed},
		"a claim in other case for a iss": {base.With(claims{"iss": nil, "Iss": issuer.URL}), reason.TokenMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			signed := issuer.Key().Sign(test.claims)
			if user, err := upstreamAnswer(t, theirs, signed); user == nil {
				t.Errorf("upstream refuses it as well (%v): this belongs to the other table", err)
			}
			if answer := reviewer.Review(t.Context(), signed, nil, nil); answer.Refusal.Code != test.code {
				t.Errorf("expected %s, got %q", test.code, answer.Refusal)
			}
		})
	}
}

func TestWeRefuseMoreThanUpstreamOfKeysAndSpelling(t *testing.T) {
	issuer := issuertest.Start("https://issuer.example")
	defer issuer.Close()
	signing := issuer.Key()
	// Published for encryption alone, and for another algorithm than it signs with.
	encryption, bound := issuertest.NewKey("encryption", "RS256"), issuertest.NewKey("bound", "RS256")
	encryptionKey, err := encryption.Public().Clone()
	if err != nil {
		t.Fatal(err)
	}
	if err := encryptionKey.Set("use", "enc"); err != nil {
		t.Fatal(err)
	}
	published, err := json.Marshal(map[string]any{"keys": []any{signing.Public(), bound.Public(), encryptionKey}})
	if err != nil {
		t.Fatal(err)
	}
	issuer.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/keys" {
			issuer.Genuine(w, r)
			return
		}
		_, _ = w.Write(published)
	}))
	reviewer, loaded := newReviewer(t, authentication(issuer, "claimMappings:\n  username: {claim: sub, prefix: ''}\n"))
	theirs := upstream(t, loaded)
	base := claims{"iss": issuer.URL, "aud": "cluster", "sub": "jane", "exp": time.Now().Add(time.Hour).Unix()}
	twice := fmt.Appendf(nil, `{"sub":"root","iss":%q,"aud":"cluster","sub":"jane","exp":%d}`, issuer.URL, base["exp"])
	bound.Algorithm = "RS512"
	for name, test := range map[string]struct {
		token string
		code  reason.Code
	}{
		"a claim twice":                        {signing.SignPayload(twice), reason.TokenMalformed},
		"invalid UTF-8":                        {signing.SignPayload(fmt.Appendf(nil, `{"x":"%s","iss":%q,"aud":"cluster","sub":"jane","exp":%d}`, "\xff", issuer.URL, base["exp"])), reason.TokenMalformed},
		"a key for encryption":                 {encryption.Sign(base), reason.KeyUnknown},
		"RS512 with a key published for RS256": {bound.Sign(base), reason.SignatureInvalid},
		"white space around the token":         {" " + signing.Sign(base), reason.TokenMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if user, err := upstreamAnswer(t, theirs, test.token); user == nil {
				t.Errorf("upstream refuses it as well (%v): this belongs to the other table", err)
			}
			if answer := reviewer.Review(t.Context(), test.token, nil, nil); answer.Refusal.Code != test.code {
				t.Errorf("expected %s, got %q", test.code, answer.Refusal)
			}
		})
	}
}

func TestReservedNamesCanBeAllowed(t *testing.T) {
	issuer := issuertest.Start("https://issuer.example")
	defer issuer.Close()
	configuration := string(authentication(issuer, "claimMappings:\n  username: {claim: sub, prefix: ''}\n")) + `---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: main}
spec: {issuer: "https://issuer.example", reservedNames: Allow}
`
	reviewer, _ := newReviewer(t, []byte(configuration))
	answer := reviewer.Review(t.Context(), issuer.Sign(claims{"aud": "cluster", "sub": "system:kube-scheduler", "exp": time.Now().Add(time.Hour).Unix()}), nil, nil)
	if answer.User == nil || answer.User.Name != "system:kube-scheduler" || answer.Issuer != "main" {
		t.Errorf("expected the reserved name to be let through, got %+v", answer)
	}
}
