package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
)

const (
	documentOne = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: https://idp.example.com
    audiences: [kubernetes]
  claimMappings:
    username: {claim: sub, prefix: "idp:"}
`
	policyOfIt = `apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: idp}
spec: {issuer: https://idp.example.com}
`
	documentOneJSON = `{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": [
		{"issuer": {"url": "https://idp.example.com", "audiences": ["kubernetes"]},
		 "claimMappings": {"username": {"claim": "sub", "prefix": "idp:"}}}]}
`
)

// upstream decodes a file as kube-apiserver does (loadAuthenticationConfig in
// k8s.io/kubernetes/pkg/kubeapiserver/options): the whole of it, strictly.
func upstream(data []byte) (*apiserver.AuthenticationConfiguration, error) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	object, err := runtime.Decode(serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(), data)
	authentication, _ := object.(*apiserver.AuthenticationConfiguration)
	return authentication, err
}

func TestDocumentOneIsWhatKubeAPIServerReads(t *testing.T) {
	other := strings.ReplaceAll(documentOne, "idp.example.com", "other.example.com")
	for name, test := range map[string]struct {
		text string
		// names are the names of the issuers; refused is a part of the error.
		names   []string
		refused string
		// upstreamRefuses says that kube-apiserver would not start with the file.
		upstreamRefuses bool
	}{
		"alone":                           {text: documentOne, names: []string{"idp.example.com"}},
		"without a final line break":      {text: strings.TrimSuffix(documentOne, "\n"), names: []string{"idp.example.com"}},
		"a policy follows":                {text: documentOne + "---\n" + policyOfIt, names: []string{"idp"}},
		"a policy without line break":     {text: documentOne + "---\n" + strings.TrimSuffix(policyOfIt, "\n"), names: []string{"idp"}},
		"comments and blanks before":      {text: "# a\n\n  # b\n" + documentOne + "---\n" + policyOfIt, names: []string{"idp"}},
		"comments before the marker":      {text: "\n# a\n---\n" + documentOne + "---\n" + policyOfIt, names: []string{"idp"}},
		"a marker with a comment":         {text: "--- # a\n" + documentOne + "---\t# b\n" + policyOfIt + "---", names: []string{"idp"}},
		"a directive before the marker":   {text: "%YAML 1.1\n---\n" + documentOne + "---\n" + policyOfIt, names: []string{"idp"}},
		"document ends":                   {text: documentOne + "...\n---\n" + policyOfIt + "...\n# end\n", names: []string{"idp"}},
		"CRLF":                            {text: strings.ReplaceAll("---\n"+documentOne+"---\n"+policyOfIt, "\n", "\r\n"), names: []string{"idp"}},
		"BOM":                             {text: "\ufeff" + documentOne + "---\n" + policyOfIt, names: []string{"idp"}},
		"BOM and marker":                  {text: "\ufeff---\n" + documentOne + "---\n" + policyOfIt, names: []string{"idp"}},
		"JSON":                            {text: documentOneJSON, names: []string{"idp.example.com"}},
		"JSON after blanks":               {text: "\n \t" + documentOneJSON, names: []string{"idp.example.com"}},
		"JSON that is no YAML":            {text: strings.Replace(documentOneJSON, `"idp:"`, `"\ud83d\ude00:"`, 1), names: []string{"idp.example.com"}},
		"JSON that is neither":            {text: "{\n\t\"kind\": \"\\x\"}", refused: "invalid character 'x' in string escape", upstreamRefuses: true},
		"JSON that is no YAML, and wrong": {text: strings.NewReplacer(`"idp:"`, `"\ud83d\ude00:"`, "https:", "http:").Replace(documentOneJSON), refused: "file:1: document 1: jwt[0].issuer.url: "},
		"JSON in a YAML file":             {text: "---\n" + documentOneJSON + "---\n" + policyOfIt, names: []string{"idp"}},
		"JSON on the marker's line":       {text: "--- " + documentOneJSON + "--- {}\n", refused: "after the first must be"},
		"empty documents between":         {text: documentOne + "---\n---\n# nothing\n--- ~\n---\n" + policyOfIt, names: []string{"idp"}},
		"a marker inside a text":          {text: strings.Replace(documentOne, `"idp:"`, `"idp ---\n:"`, 1) + "---\n" + policyOfIt, names: []string{"idp"}},
		"a marker inside a block":         {text: strings.Replace(documentOne, `{claim: sub, prefix: "idp:"}`, "\n      claim: sub\n      prefix: |\n        idp\n        ---\n", 1) + "---\n" + policyOfIt, names: []string{"idp"}},
		"a longer dash":                   {text: documentOne + "----\n" + policyOfIt, refused: "not valid YAML", upstreamRefuses: true},
		"JSON with documents":             {text: documentOneJSON + "---\n" + policyOfIt, refused: "is JSON", upstreamRefuses: true},
		"a flow mapping first":            {text: "{apiVersion: apiserver.config.k8s.io/v1, kind: AuthenticationConfiguration, jwt: []}\n", refused: "is JSON", upstreamRefuses: true},
		"an empty first document":         {text: "---\n---\n" + documentOne, refused: "document 1: the document is empty", upstreamRefuses: true},
		"the policy first":                {text: policyOfIt + "---\n" + documentOne, refused: "document 1 must be", upstreamRefuses: true},
		"nothing":                         {text: "", refused: "the document is empty", upstreamRefuses: true},
		"a second one, which is ignored":  {text: documentOne + "---\n" + other, refused: "only document 1 may be"},
		"a second one after the end":      {text: documentOne + "...\n" + other, refused: "expected <document start>"},
		"a second one after a CR":         {text: documentOne + "# \r---\r" + other, refused: "another document begins"},
		"a second one after a NEL":        {text: documentOne + "# \u0085---\u0085" + other, refused: "another document begins"},
		"a second one after a separator":  {text: documentOne + "# \u2028---\u2028" + other, refused: "another document begins"},
		"a policy hidden after another":   {text: documentOne + "---\n" + policyOfIt + "# \r---\r" + policyOfIt, refused: "another document begins"},
		"a policy after the end":          {text: documentOne + "---\n" + policyOfIt + "...\n" + policyOfIt, refused: "expected <document start>"},
		"a hidden one before, after a CR": {text: "# \r---\r" + other + "---\n" + documentOne, refused: "only document 1 may be"},
		"UTF-16":                          {text: string(utf16(documentOne)), refused: "not UTF-8"},
		"a zero byte":                     {text: documentOne + "---\n\x00" + policyOfIt, refused: "not UTF-8", upstreamRefuses: true},
	} {
		t.Run(name, func(t *testing.T) {
			want, upstreamErr := upstream([]byte(test.text))
			if (upstreamErr != nil) != test.upstreamRefuses {
				t.Fatalf("upstream: %v, want refusal: %t", upstreamErr, test.upstreamRefuses)
			}
			got, err := Parse("file", []byte(test.text))
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Fatalf("got error %v, want one with %q", err, test.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.names, names(got)); diff != "" {
				t.Errorf("names (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(want.JWT, authenticators(got)); diff != "" {
				t.Errorf("document 1 (-kube-apiserver +webhook)\n%s", diff)
			}
		})
	}
}

func TestLinesCountFromTheBeginningOfTheFile(t *testing.T) {
	text := "# 1\n---\n" + documentOne + "---\n# 12\n---\n" + policyOfIt + "bad: true\n"
	_, err := Parse("file", []byte(text))
	want := "file:18: document 2: bad: unknown field: known here: apiVersion, kind, metadata, spec"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestNamesInPathsStayOnOneLine(t *testing.T) {
	_, err := Parse("file", []byte(documentOne+"\"a\\n\\e[31m\": 1\n? [b]\n: 2\n"))
	want := `file:9: document 1: ["a\n\x1b[31m"]: unknown field`
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s…", err, want)
	}
}

func TestFileThatIsTooLarge(t *testing.T) {
	text := documentOne + "#" + strings.Repeat("x", MaxFileSize-len(documentOne)-2) + "\n"
	if _, err := Parse("file", []byte(text)); err != nil {
		t.Errorf("%d bytes: %v", len(text), err)
	}
	if _, err := Parse("file", []byte(text+"\n")); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("%d bytes: got error %v", len(text)+1, err)
	}
}

func names(config *Config) []string {
	var names []string
	for _, issuer := range config.Issuers {
		names = append(names, issuer.Name)
	}
	return names
}

func authenticators(config *Config) []apiserver.JWTAuthenticator {
	var authenticators []apiserver.JWTAuthenticator
	for _, issuer := range config.Issuers {
		authenticators = append(authenticators, issuer.JWT)
	}
	return authenticators
}

func utf16(text string) []byte {
	out := []byte{0xff, 0xfe}
	for i := range len(text) {
		out = append(out, text[i], 0)
	}
	return out
}
