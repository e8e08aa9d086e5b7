package tokenreview_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/reason"
)

// quoted is text as JSON.
func quoted(text string) string {
	data, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// RFC 8725 §3.8: iss equals the configured URL to the letter, or the token is
// nobody's. Main's own key has signed all of them.
func TestIssuersThatLookLikeOurs(t *testing.T) {
	f := newTarget(t)
	var attacks []attack
	for _, url := range []string{
		"https://stranger.example", "https://issuer.example/", "https://issuer.example//", "https://issuer.example/.", "https://issuer.example/x", "https://other.example", "https://other.example//",
		"HTTPS://issuer.example", "https://ISSUER.EXAMPLE", "https://Issuer.example", "Https://issuer.example",
		"http://issuer.example", "issuer.example", "//issuer.example", "https:issuer.example", "https:/issuer.example", `https:\\issuer.example`, "ftp://issuer.example", "https//issuer.example",
		"https://issuer.example:443", "https://issuer.example:443/", "https://issuer.example:8443", "https://issuer.example:", "https://issuer.example.", "https://issuer.example./",
		"https://user@issuer.example", "https://user:password@issuer.example", "https://@issuer.example", "https://issuer.example@mallory.example", "https://mallory.example/https://issuer.example",
		"https://issuer.example.mallory.example", "https://mallory-issuer.example", "https://issuer.example?", "https://issuer.example?x=1", "https://issuer.example#", "https://issuer.example#x", "https://issuer.example;x",
		"https://%69ssuer.example", "https://issuer%2Eexample", "https://issuer.example/%2F", "https://issuer.example/%2e", "https%3A%2F%2Fissuer.example", "https://issuer.example%00",
		"https://іssuer.example", "https://issuеr.example", "https://issυer.example", "https://ıssuer.example", "https://iſſuer.example", "https://ｉssuer.example", "https://issuer。example", "https://issuer․example",
		"https://isßuer.example", "https://íssuer.example", "https://i\u0301ssuer.example", "https://xn--ssuer-xya.example", "https://issuer\u00ad.example", "https://is\u200bsuer.example", "\ufeffhttps://issuer.example", "\u202ehttps://issuer.example",
		" https://issuer.example", "https://issuer.example ", "\thttps://issuer.example", "https://issuer.example\n", "https://issuer.example\r\n", "https://issuer.example\x00", "\x00https://issuer.example", "https://issuer.example\x00.mallory.example",
		"https://issuer.example,https://mallory.example", "https://issuer.example https://mallory.example", "main", "other", "", " ", "*", ".*", "https://*", "https://127.0.0.1", "file:///etc/passwd", "null",
		"accounts.google.com", "' OR '1'='1", "../issuer.example", strings.Repeat("https://issuer.example/", 2_000),
		// The cluster's own, and those of every cluster's legacy tokens.
		"https://kubernetes.default.svc.cluster.local", "https://kubernetes.default.svc", "kubernetes/serviceaccount",
	} {
		token := forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, with(t, "iss", quoted(url)))
		attacks = append(attacks, attack{fmt.Sprintf("iss %.50q", url), token, reason.IssuerUnknown, fmt.Sprintf("no issuer is configured for iss %.200q", url), ""})
	}
	for value, text := range map[string]string{
		``: "iss: the token has no such claim", `5`: "iss: expected text, got a number", `true`: "got a boolean", `["https://issuer.example"]`: "got a list", `{"url":"https://issuer.example"}`: "got a object",
	} {
		attacks = append(attacks, attack{"iss is " + value, forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, with(t, "iss", value)), reason.TokenMalformed, text, ""})
	}
	const legacy = `{"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"kube-system","kubernetes.io/serviceaccount/secret.name":"t",` +
		`"kubernetes.io/serviceaccount/service-account.name":"admin","kubernetes.io/serviceaccount/service-account.uid":"1","sub":"system:serviceaccount:kube-system:admin"}`
	attacks = append(attacks,
		attack{"iss is null", forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, with(t, "iss", `null`)), reason.IssuerUnknown, `iss ""`, ""},
		attack{"iss in the header", forge(t, f.rsa, `{"alg":"RS256","kid":"rsa","iss":"https://issuer.example"}`, with(t, "iss", ``)), reason.TokenMalformed, "iss: the token has no such claim", ""},
		attack{"a legacy service-account token", forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, legacy), reason.IssuerUnknown, `"kubernetes/serviceaccount"`, ""},
	)
	f.refuses(t, attacks)
	t.Run("the URL with escapes is the same text", func(t *testing.T) {
		f.accepts(t, forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, with(t, "iss", `"https:\/\/\u0069ssuer.example"`)), jane)
	})
}

// A kid is compared with those of the issuer's keys, and nothing else is done with it.
func TestKidsThatWouldBeMoreThanAName(t *testing.T) {
	f := newTarget(t)
	stranger := issuertest.NewKey("stranger", "ES256")
	var attacks []attack
	for _, kid := range []string{
		"stranger", "EC", "Ec", " ec", "ec ", "ec\n", "ec\x00", "\x00", "ec\x00.pem", "еc", "ｅc", "e\u200bc", "%65c", "ec,rsa", "e", "ecc", "0", "-1", "*", ".", "..",
		"../../../../../../dev/null", "/dev/null", "/proc/self/environ", `..\..\windows\win.ini`, "file:///dev/null", "https://mallory.example/keys", "data:,x", "ldap://mallory.example/x", "\\\\mallory.example\\keys",
		"' UNION SELECT 'secret' -- ", `"; DROP TABLE keys; --`, "1 OR 1=1", "$(touch /tmp/x)", "`id`", "; id", "| id", "${jndi:ldap://mallory.example/x}", "{{.Keys}}", "%s%s%n", "<script>", "__proto__", "constructor",
		"a\r\nSet-Cookie: x=1", "a\nlevel=ERROR msg=forged", "\x1b[31mred", "\u202eec", "\u2028", "\ufeffec", strings.Repeat("a", 101), strings.Repeat("../", 10_000), strings.Repeat("\x00", 5_000),
	} {
		for name, key := range map[string]issuertest.Key{"a stranger": stranger, "the issuer": f.elliptic} {
			attacks = append(attacks, attack{fmt.Sprintf("kid %.40q by %s", kid, name), forge(t, key, `{"alg":"ES256","kid":`+quoted(kid)+`}`, goodPayload), reason.KeyUnknown, fmt.Sprintf("the issuer publishes no usable key with kid %.100q", kid), "main"})
		}
	}
	attacks = append(attacks,
		attack{"an empty kid", forge(t, stranger, `{"alg":"ES256","kid":""}`, goodPayload), reason.SignatureInvalid, "no key of the issuer has made", "main"},
		attack{"null for a kid", forge(t, stranger, `{"alg":"ES256","kid":null}`, goodPayload), reason.SignatureInvalid, "no key of the issuer has made", "main"},
		attack{"a kid of 45000 bytes", forge(t, stranger, `{"alg":"ES256","kid":"`+strings.Repeat("k", 45_000)+`"}`, goodPayload), reason.KeyUnknown, `"` + strings.Repeat("k", 100) + `"`, "main"},
		attack{"a kid of 64 KiB", forge(t, stranger, `{"alg":"ES256","kid":"`+strings.Repeat("k", 64<<10)+`"}`, goodPayload), reason.TokenMalformed, "longer than 65536 bytes", ""},
		attack{"an unknown kid of another algorithm", forge(t, f.rsa, `{"alg":"RS256","kid":"ec"}`, goodPayload), reason.SignatureInvalid, "is not one for RS256", "main"},
	)
	f.refuses(t, attacks)
}

// The API server believes what a webhook says of users. These claims an issuer has
// signed, and nothing in the configuration keeps its names apart from Kubernetes' own.
func TestClaimsThatWouldBeSomebodyElse(t *testing.T) {
	f := newTarget(t)
	var attacks []attack
	refuse := func(name, claim, value string, code reason.Code, text string) {
		attacks = append(attacks, attack{name, forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, with(t, claim, value)), code, text, "main"})
	}
	for _, name := range []string{"system:admin", "system:kube-scheduler", "system:anonymous", "system:node:a", "system:serviceaccount:kube-system:default", "system:apiserver", "system:", "system:masters"} {
		refuse("the user "+name, "sub", quoted(name), reason.ReservedName, `begins with "system:"`)
	}
	refuse("a user in escapes", "sub", `"\u0073ystem\u003amasters"`, reason.ReservedName, `"system:masters" begins with`)
	for _, value := range []string{
		`["system:masters"]`, `"system:masters"`, `["devs","system:masters"]`, `["system:masters","devs"]`, `["","system:masters"]`, `["system\u003amasters"]`, `["system:authenticated"]`, `["system:nodes"]`,
		`["system:serviceaccounts"]`, `["system:serviceaccounts:kube-system"]`, `["system:unauthenticated"]`, `["system:"]`,
	} {
		refuse("groups "+value, "groups", value, reason.ReservedName, `begins with "system:"`)
	}
	refuse("an empty user", "sub", `""`, reason.MappingFailed, `claim "sub" is empty`)
	refuse("a user that is null", "sub", `null`, reason.MappingFailed, `claim "sub" is empty`)
	refuse("no user", "sub", ``, reason.MappingFailed, `claim "sub"`)
	refuse("a user that is a number", "sub", `0`, reason.TokenMalformed, "sub: expected text, got a number")
	refuse("a user that is a list", "sub", `["root"]`, reason.TokenMalformed, "sub: expected text, got a list")
	refuse("groups that are a number", "groups", `5`, reason.MappingFailed, `claim "groups"`)
	refuse("groups that are an object", "groups", `{"system:masters":true}`, reason.MappingFailed, `claim "groups"`)
	refuse("groups in a list in a list", "groups", `[["system:masters"]]`, reason.MappingFailed, `claim "groups"`)
	refuse("a uid that is a number", "uid", `0`, reason.MappingFailed, "claimMappings.uid")
	refuse("a uid that is an object", "uid", `{}`, reason.MappingFailed, "claimMappings.uid")
	refuse("an extra that is an object", "team", `{"authentication.kubernetes.io/pod-name":"x"}`, reason.MappingFailed, "claimMappings.extra")
	f.refuses(t, attacks)

	// What looks like one of Kubernetes' own names to people is another name to it.
	for name, user := range map[string]authenticationv1.UserInfo{
		"System:masters": {Username: "jane", Groups: []string{"System:masters"}}, " system:masters": {Username: "jane", Groups: []string{" system:masters"}},
		"ѕystem:masters": {Username: "jane", Groups: []string{"ѕystem:masters"}},
	} {
		t.Run("another group is "+name, func(t *testing.T) {
			f.accepts(t, forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, with(t, "groups", `[`+quoted(name)+`]`)), user)
		})
	}
	t.Run("a claim with an extra's name is no extra", func(t *testing.T) {
		f.accepts(t, forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, with(t, "authentication.kubernetes.io/pod-name", `"x"`)), jane)
	})
}

// Two names that look the same in a log or a role binding must not be two users.
func TestControlCharactersInNames(t *testing.T) {
	f := newTarget(t)
	var attacks []attack
	for what, character := range map[string]string{
		"NUL": `\u0000`, "a bell": `\u0007`, "a backspace": `\b`, "a tab": `\t`, "a line break": `\n`, "a carriage return": `\r`, "an escape sequence": `\u001b[2K`, "a unit separator": `\u001f`,
		"a delete": `\u007f`, "a next line": `\u0085`, "a control sequence introducer": `\u009b`,
	} {
		for where, text := range map[string]string{"at the end": `jane` + character, "at the beginning": character + `jane`, "inside": `ja` + character + `ne`, "alone": character} {
			for claim, value := range map[string]string{"sub": `"` + text + `"`, "uid": `"` + text + `"`, "groups": `["devs","` + text + `"]`} {
				field := map[string]string{"sub": "username", "uid": "uid", "groups": "group"}[claim]
				attacks = append(attacks, attack{what + " " + where + " of " + field, forge(t, f.rsa, `{"alg":"RS256","kid":"rsa"}`, with(t, claim, value)), reason.MappingFailed, field, "main"})
			}
		}
	}
	f.refuses(t, attacks)
}

// What would make somebody else of every token is a mistake of the configuration.
func TestConfigurationsThatWouldBeSomebodyElse(t *testing.T) {
	const (
		issuer = "https://kubernetes.default.svc.cluster.local"
		github = "https://token.actions.githubusercontent.com"
	)
	document := func(url, mappings string) string {
		return `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: "` + url + `", audiences: [cluster]}
  claimMappings: {` + mappings + "}\n"
	}
	policy := func(url, spec string) string {
		return "---\napiVersion: tokenreview.dev/v1alpha1\nkind: IssuerPolicy\nmetadata: {name: main}\nspec: {issuer: \"" + url + "\", " + spec + "}\n"
	}
	const bySub, ofCluster = `username: {claim: sub, prefix: ""}`, `username: {claim: sub, prefix: "build:"}`
	for _, test := range []struct{ name, configuration, text string }{
		{"the cluster's own issuer", document(issuer, ofCluster) + "---\napiVersion: tokenreview.dev/v1alpha1\nkind: WebhookConfiguration\nspec: {disallowedIssuers: [\"" + issuer + "\"]}\n", `jwt[0].issuer.url: Invalid value: "` + issuer + `": URL must not overlap with disallowed issuers`},
		{"the issuer of legacy tokens", document("kubernetes/serviceaccount", bySub), "URL scheme must be https"},
		{"an issuer over http", document("http://issuer.example", bySub), "URL scheme must be https"},
		{"extras of Kubernetes' own", document("https://issuer.example", bySub+`, extra: [{key: authentication.kubernetes.io/pod-name, valueExpression: claims.sub}]`), "reserved for Kubernetes use"},
		{"extras of Kubernetes' own in other case", document("https://issuer.example", bySub+`, extra: [{key: Authentication.Kubernetes.io/pod-name, valueExpression: claims.sub}]`), "must be lowercase"},
		{"extras below Kubernetes' own", document("https://issuer.example", bySub+`, extra: [{key: x.k8s.io/a, valueExpression: claims.sub}]`), "reserved for Kubernetes use"},
		{"extras without a domain", document("https://issuer.example", bySub+`, extra: [{key: scopes, valueExpression: claims.sub}]`), "must be a domain-prefixed path"},
		{"a rule that adds system:masters", document(github, bySub) + policy(github, `githubActions: {allow: [{repositoryID: "1", groups: ["system:masters"]}]}`), "is Kubernetes' own and would be refused"},
		{"accounts of another cluster by their own names", document(issuer, bySub) + policy(issuer, `kubernetes: {clusterName: build, allow: [{namespace: ci}]}`), "a username that begins with"},
		{"accounts of another cluster with reserved names", document(issuer, ofCluster) + policy(issuer, `reservedNames: Allow, kubernetes: {clusterName: build, allow: [{namespace: ci}]}`), "reservedNames: Forbidden"},
		{"every repository on GitHub", document(github, bySub), "every repository on GitHub"},
		{"HS256", document("https://issuer.example", bySub) + policy("https://issuer.example", "keys: {algorithms: [HS256]}"), `Unsupported value: "HS256"`},
		{"none", document("https://issuer.example", bySub) + policy("https://issuer.example", "keys: {algorithms: [none]}"), `Unsupported value: "none"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := config.Parse("test.yaml", []byte(test.configuration)); err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("expected an error with %q, got %v", test.text, err)
			}
		})
	}
}
