package tokenreview_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/pkg/reason"
)

// with is goodPayload with a claim's value, as JSON, in the place of what it says; an
// empty value removes the claim.
func with(t *testing.T, claim, value string) string {
	t.Helper()
	members := []string{}
	for _, member := range strings.Split(strings.Trim(goodPayload, "{}"), ",") {
		if !strings.HasPrefix(member, `"`+claim+`":`) {
			members = append(members, member)
		}
	}
	if value != "" {
		members = append(members, `"`+claim+`":`+value)
	}
	return "{" + strings.Join(members, ",") + "}"
}

// RFC 7519 §4.1.4 to §4.1.6. The issuer has signed all of them: what it says is not
// guessed at.
func TestTimes(t *testing.T) {
	f := newTarget(t)
	const header, noNumber, outOfRange = `{"alg":"RS256","kid":"rsa"}`, "expected a number of seconds, got a ", "the time is out of range"
	var attacks []attack
	// What no time may be. A payload that is no JSON is not known to be anybody's.
	for _, claim := range []string{"exp", "nbf", "iat"} {
		refuse := func(value string, code reason.Code, text, issuer string) {
			attacks = append(attacks, attack{fmt.Sprintf("%s is %.30s", claim, value), forge(t, f.rsa, header, with(t, claim, value)), code, text, issuer})
		}
		for value, kind := range map[string]string{
			`"4102444800"`: "text", `""`: "text", `"NaN"`: "text", `"Infinity"`: "text", `"never"`: "text", `"2100-01-01T00:00:00Z"`: "text", `"0x7fffffff"`: "text",
			`true`: "boolean", `false`: "boolean", `[]`: "list", `[4102444800]`: "list", `{}`: "object", `{"$date":4102444800}`: "object",
		} {
			refuse(value, reason.TokenMalformed, claim+": "+noNumber+kind, "main")
		}
		for _, value := range []string{
			`9223372036854775807`, `9223372036854775808`, `18446744073709551616`, `-9223372036854775808`, `-9223372036854775809`, `253402300800`, `-253402300800`,
			`1e18`, `1e308`, `1e999`, `-1e308`, `-1e999`, `2.534023008e11`, `4102444800000`, `4102444800e3`, strings.Repeat("9", 400), "1" + strings.Repeat("0", 400) + ".5",
		} {
			refuse(value, reason.TokenMalformed, claim+": "+outOfRange, "main")
		}
		for _, value := range []string{`NaN`, `-NaN`, `Infinity`, `-Infinity`, `0x7fffffff`, `+4102444800`, `04102444800`, `4102444800.`, `.5`, `4_102_444_800`, `4102444800L`, `1e`, `--1`, `undefined`, `nil`} {
			refuse(value, reason.TokenMalformed, "payload: not a JSON object", "")
		}
	}
	now := time.Now()
	for value, text := range map[string]string{
		``: "the token has no exp", `null`: "the token has no exp", `0`: "1970-01-01T00:00:00Z", `-0`: "1970-01-01T00:00:00Z", `-0.0`: "1970-01-01T00:00:00Z", `-1`: "1969-12-31T23:59:59Z",
		`1e-999`: "1970-01-01T00:00:00Z", `0e999`: "1970-01-01T00:00:00Z", `4102444800e-9`: "1970-01-01T00:00:04Z", `-253402300799`: "expired at", `1e3`: "1970-01-01T00:16:40Z",
		fmt.Sprint(now.Add(-time.Second).Unix()): "expired at", fmt.Sprint(now.Add(-time.Second).Unix()) + `.999`: "expired at",
	} {
		attacks = append(attacks, attack{"exp is " + value, forge(t, f.rsa, header, with(t, "exp", value)), reason.Expired, text, "main"})
	}
	for _, value := range []string{`4102444799`, `4102444799.9`, `4.1e9`, `253402300799`, fmt.Sprint(now.Add(time.Hour).Unix())} {
		attacks = append(attacks, attack{"nbf is " + value, forge(t, f.rsa, header, with(t, "nbf", value)), reason.NotYetValid, "the token is valid from", "main"})
	}
	attacks = append(attacks,
		attack{"iat is null", forge(t, f.rsa, header, with(t, "iat", "null")), reason.TokenMalformed, "iat: expected a number of seconds, got a null", "main"},
		attack{"expired and not valid yet", forge(t, f.rsa, header, strings.Replace(with(t, "nbf", "4102444799"), `"exp":4102444800`, `"exp":1`, 1)), reason.Expired, "expired at", "main"},
	)
	f.refuses(t, attacks)

	// What differs between the three, and what is not checked without token.maxLifetime.
	for name, payload := range map[string]string{
		"no nbf and no iat": goodPayload, "nbf is null": with(t, "nbf", "null"), "nbf is negative": with(t, "nbf", "-1"), "iat is negative": with(t, "iat", "-1"),
		"iat lies ahead": with(t, "iat", "4102444799"), "exp with a fraction": with(t, "exp", "4102444800.5"), "exp with an exponent": with(t, "exp", "4.1024448e9"),
		"exp at the end of the year 9999": with(t, "exp", "253402300799"),
	} {
		t.Run("allowed is "+name, func(t *testing.T) { f.accepts(t, forge(t, f.rsa, header, payload), jane) })
	}
}

// RFC 7519 §4.1.3, RFC 8725 §3.9: a token for somebody else, whom its bearer may have
// given it to.
func TestAudiences(t *testing.T) {
	f := newTarget(t)
	var attacks []attack
	refuse := func(name, value string, code reason.Code, text string) {
		attacks = append(attacks, attack{name, forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, with(t, "aud", value)), code, text, "main"})
	}
	for _, value := range []string{
		`"elsewhere"`, `"Cluster"`, `"CLUSTER"`, `"cluster "`, `" cluster"`, `"cluster\u0000"`, `"cluster\n"`, `"cluster/"`, `"https://cluster"`, `"clusters"`, `"cluste"`, `"сluster"`, `"cluster\u200b"`,
		`"cluster,elsewhere"`, `"elsewhere cluster"`, `"*"`, `".*"`, `"c*"`, `""`, `"https://kubernetes.default.svc.cluster.local"`, `["elsewhere"]`, `["elsewhere",""]`,
	} {
		refuse("aud is "+value, value, reason.AudienceMismatch, `expected an aud among ["cluster"], got [`)
	}
	refuse("no aud", ``, reason.AudienceMismatch, "got []")
	refuse("aud is null", `null`, reason.AudienceMismatch, "got []")
	refuse("aud is an empty list", `[]`, reason.AudienceMismatch, "got []")
	refuse("aud is a list of null", `[null]`, reason.AudienceMismatch, `got [""]`)
	refuse("aud is a number", `5`, reason.TokenMalformed, "aud: expected text or a list of text, got a number")
	refuse("aud is true", `true`, reason.TokenMalformed, "got a boolean")
	refuse("aud is an object", `{"cluster":true}`, reason.TokenMalformed, "got a object")
	refuse("aud is ours in a list in a list", `[["cluster"]]`, reason.TokenMalformed, "aud: expected a list of text")
	refuse("aud is ours beside a number", `["cluster",5]`, reason.TokenMalformed, "aud: expected a list of text")
	refuse("aud is ours beside an object", `["cluster",{}]`, reason.TokenMalformed, "aud: expected a list of text")
	attacks = append(attacks,
		attack{"ours in azp", forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, strings.Replace(with(t, "azp", `"cluster"`), `"aud":"cluster"`, `"aud":"elsewhere"`, 1)), reason.AudienceMismatch, `got ["elsewhere"]`, "main"},
		attack{"ours in the header", forge(t, f.rsa, `{"alg":"RS256","kid":"rsa","aud":"cluster"}`, with(t, "aud", `"elsewhere"`)), reason.AudienceMismatch, `got ["elsewhere"]`, "main"},
	)
	f.refuses(t, attacks)
}

// Between issuers that are both trusted: each vouches for its own names only.
func TestIssuersDoNotSpeakForEachOther(t *testing.T) {
	f := newTarget(t)
	of := func(issuer string) string {
		return strings.Replace(goodPayload, "https://issuer.example", issuer, 1)
	}
	const main, other = "https://issuer.example", "https://other.example/"
	signed := forge(t, f.other, `{"alg":"RS256","kid":"other"}`, of(other))
	header, rest, _ := strings.Cut(signed, ".")
	_, signature, _ := strings.Cut(rest, ".")
	attacks := []attack{
		{"other's key under a kid that both have", forge(t, f.other, `{"alg":"RS256","kid":"rsa"}`, of(main)), reason.SignatureInvalid, `the issuer's key "rsa" has not made`, "main"},
		{"other's key under its own kid", forge(t, f.other, `{"alg":"RS256","kid":"other"}`, of(main)), reason.KeyUnknown, `no usable key with kid "other"`, "main"},
		{"other's key without kid", forge(t, f.other, `{"alg":"RS256"}`, of(main)), reason.SignatureInvalid, "no key of the issuer has made", "main"},
		{"main's key for other, under a kid that both have", forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, of(other)), reason.SignatureInvalid, `the issuer's key "rsa" has not made`, "other"},
		{"main's key for other, under its own kid", forge(t, f.elliptic, `{"alg":"ES256","kid":"ec"}`, of(other)), reason.KeyUnknown, `no usable key with kid "ec"`, "other"},
		{"main's key for other, without kid", forge(t, f.elliptic, `{"alg":"ES256"}`, of(other)), reason.SignatureInvalid, "no key of the issuer has made", "other"},
		{"another payload under other's header and signature", header + "." + base64url(of(main)) + "." + signature, reason.KeyUnknown, `"other"`, "main"},
		{"main in the header of other's token", forge(t, f.other, `{"alg":"RS256","kid":"rsa","iss":"`+main+`"}`, of(main)), reason.SignatureInvalid, "has not made", "main"},
		{"main's token for other's audience", forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, with(t, "aud", `"`+other+`"`)), reason.AudienceMismatch, `"` + other + `"`, "main"},
		{"both for an issuer", forge(t, f.other, `{"alg":"RS256","kid":"other"}`, strings.Replace(of(other), `"`+other+`"`, `["`+other+`","`+main+`"]`, 1)), reason.TokenMalformed, "iss: expected text, got a list", ""},
	}
	f.refuses(t, attacks)
	for name, token := range map[string]string{
		"other's own": signed, "other's own under a kid that both have": forge(t, f.other, `{"alg":"RS256","kid":"rsa"}`, of(other)), "main's own": forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, of(main)),
	} {
		t.Run(name, func(t *testing.T) { f.accepts(t, token, jane) })
	}
}
