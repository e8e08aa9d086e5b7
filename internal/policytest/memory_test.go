package policytest_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"tokenreview.dev/webhook/internal/policytest"
	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/trace"
)

// oneCase is a file of one test; CASE stands for its cases.
const oneCase = `apiVersion: tokenreview.dev/v1alpha1
kind: PolicyTest
metadata: {name: test}
spec: {configuration: webhook.yaml, cases: [CASE]}
`

const policyOf = `---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
`

const onlyIssuer = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: https://people.example, audiences: [cluster, second], audienceMatchPolicy: MatchAny}
  claimMappings: {username: {claim: sub, prefix: ""}, groups: {claim: groups, prefix: ""}}
`

// threeIssuers has issuers whose kind somebody could be asked about, and is not.
const threeIssuers = onlyIssuer + `- issuer: {url: https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/v2.0, audiences: [cluster]}
  claimMappings: {username: {claim: sub, prefix: "entra:"}}
- issuer: {url: https://build.example, audiences: [cluster]}
  claimMappings: {username: {claim: sub, prefix: "build:"}}
` + policyOf + `metadata: {name: entra}
spec: {issuer: https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/v2.0, entra: {}}
` + policyOf + `metadata: {name: build}
spec: {issuer: https://build.example, kubernetes: {clusterName: build}}
`

// run runs a file from memory, in the folder /tests.
func run(ctx context.Context, text, configuration string, selected *regexp.Regexp) policytest.FileResult {
	files := map[string]string{"/tests/a.test.yaml": text, "/tests/webhook.yaml": configuration, "/etc/webhook.yaml": configuration}
	return policytest.RunFile(ctx, "/tests/a.test.yaml", func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}, now, selected)
}

func TestACase(t *testing.T) {
	for _, test := range []struct {
		name, configuration, text string
		problem                   string
	}{
		{"of the only issuer", onlyIssuer, `{name: a, claims: {sub: ada}, expect: {user: {username: ada}}}`, ""},
		{"of no issuer there is", onlyIssuer, `{name: a, issuer: other, claims: {sub: ada}, expect: {user: {username: ada}}}`, `the configuration has no issuer "other"`},
		{"that leaves open for which audiences", onlyIssuer, `{name: a, audiences: [second], claims: {sub: ada, aud: [second]}, expect: {user: {username: ada}}}`, ""},
		{"with an aggregated claim", onlyIssuer,
			`{name: a, claims: {sub: ada, _claim_names: {groups: src}, _claim_sources: {src: {JWT: a.b.c}}}, expect: {user: {username: ada}}}`, ""},
		{"of a user with a text", onlyIssuer, `{name: a, claims: {sub: ada}, expect: {user: {username: ada}, text: why}}`, "spec.cases[0].expect.text: Forbidden"},
		{"with Graph, which is not asked", threeIssuers, `{name: a, issuer: entra, graph: {unknown: true}, claims: {sub: ada}, expect: {user: {username: ada}}}`, "spec.cases[0].graph: Forbidden"},
		{"signed by another issuer than its iss", threeIssuers, `{name: a, issuer: build, claims: {sub: ada, iss: https://people.example}, expect: {user: {username: ada}}}`,
			`spec.cases[0].claims.iss: Invalid value: "https://people.example": that is the issuer "people.example", and "build" signs the token`},
		{"of an iss that is no text", threeIssuers, `{name: a, issuer: build, claims: {iss: [https://people.example]}, expect: {reason: TokenMalformed}}`, ""},
		{"with liveness, which is not asked", threeIssuers, `{name: a, issuer: build, liveness: Live, claims: {sub: ada}, expect: {user: {username: ada}}}`, "spec.cases[0].liveness: Forbidden"},
	} {
		t.Run(test.name, func(t *testing.T) {
			result := run(t.Context(), strings.Replace(oneCase, "CASE", test.text, 1), test.configuration, nil)
			switch {
			case test.problem == "" && !result.Passed():
				t.Errorf("expected it to pass, got %v, %+v", result.Err, result.Results)
			case test.problem != "" && (result.Err == nil || !strings.Contains(result.Err.Error(), test.problem)):
				t.Errorf("expected the problem %q, got %v", test.problem, result.Err)
			}
		})
	}
}

// Each issuer has a key of its own here as there. OpenID Connect Core §15.6.2 lets
// Google's iss lack the scheme.
func TestNoIssuerSpeaksForAnother(t *testing.T) {
	const configuration = onlyIssuer + `- issuer: {url: https://accounts.google.com, audiences: [cluster]}
  claimMappings: {username: {claim: sub, prefix: "google:"}}
`
	const cases = `{name: Google, issuer: https://accounts.google.com, claims: {iss: accounts.google.com, sub: ada}, expect: {user: {username: "google:ada"}}},
		{name: in its name, issuer: people.example, claims: {iss: accounts.google.com, aud: cluster, sub: ada}, expect: {user: {username: "google:ada"}}}`
	result := run(t.Context(), strings.Replace(oneCase, "CASE", cases, 1), configuration, nil)
	if result.Err != nil || len(result.Results) != 2 {
		t.Fatalf("expected two results, got %+v", result)
	}
	if google := &result.Results[0]; !google.Passed() {
		t.Errorf("expected Google's own token to be accepted, got %+v", google.Got)
	}
	other := &result.Results[1]
	if other.Passed() || other.Got.Reason != "SignatureInvalid" {
		t.Errorf("expected the signature of another issuer to be refused, got %+v", other.Got)
	}
	last := other.Steps[len(other.Steps)-1]
	if last.Check != "signature" || last.Outcome != trace.Failed || last.Detail == "" {
		t.Errorf("expected the report to say so, got %+v", last)
	}
}

func TestAnIssuerThatDistributesClaimsIsNotAsked(t *testing.T) {
	const one = `{name: a, claims: {sub: ada, _claim_names: {groups: src}, _claim_sources: {src: {endpoint: "https://people.example/claims"}}}, expect: {user: {username: ada}}}`
	result := run(t.Context(), strings.Replace(oneCase, "CASE", one, 1), onlyIssuer, nil)
	if len(result.Results) != 1 || result.Results[0].Got.Reason != "ClaimsUnavailable" || !strings.Contains(result.Results[0].Got.Text, "not an https URL") {
		t.Errorf("expected no claims, got %+v", result)
	}
}

const twoCases = `{name: first, claims: {sub: ada}, expect: {user: {username: ada}}}, {name: second, claims: {sub: ada}, expect: {user: {username: ada}}}`

func TestACaseThatIsNotTheFirstCanBeSelected(t *testing.T) {
	result := run(t.Context(), strings.Replace(oneCase, "CASE", twoCases, 1), onlyIssuer, regexp.MustCompile("second"))
	if len(result.Results) != 1 || result.Results[0].Case != "second" || !result.Passed() {
		t.Errorf("expected the second alone, got %+v", result)
	}
}

func TestATestNeedsAName(t *testing.T) {
	text := strings.NewReplacer("CASE", twoCases, "metadata: {name: test}\n", "").Replace(oneCase)
	if result := run(t.Context(), text, onlyIssuer, nil); result.Err == nil || !strings.Contains(result.Err.Error(), "metadata.name: Required") {
		t.Errorf("expected it to be asked for, got %v", result.Err)
	}
}

func TestTheConfigurationsPathMayBeAbsolute(t *testing.T) {
	text := strings.NewReplacer("CASE", twoCases, "configuration: webhook.yaml", "configuration: /etc/webhook.yaml").Replace(oneCase)
	if result := run(t.Context(), text, onlyIssuer, nil); !result.Passed() {
		t.Errorf("expected it to pass, got %+v", result)
	}
}

func TestARunThatIsBrokenOffHasNotPassed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if result := run(ctx, strings.Replace(oneCase, "CASE", twoCases, 1), onlyIssuer, nil); result.Passed() || !errors.Is(result.Err, context.Canceled) {
		t.Errorf("expected no result, got %+v", result)
	}
}

// Either of what can be wrong is enough for the last line not to say that all is well.
func TestTheLastLineSumsUp(t *testing.T) {
	spared := v1alpha1.PolicyTestExpectation{Reason: "Expired", WouldRefuse: "EmailNotVerified"}
	failed := policytest.FileResult{File: "failed", Results: []policytest.Result{{Case: "a", Expected: spared, Got: v1alpha1.PolicyTestExpectation{Reason: "Expired"}}}}
	unusable := policytest.FileResult{File: "unusable", Err: errors.New("a\x1b[2Jb")}
	for _, test := range []struct {
		file policytest.FileResult
		last string
		has  string
	}{
		{failed, "1 case in 1 file: 1 not as expected, 0 files not usable\n", "- wouldRefuse: EmailNotVerified\n"},
		{unusable, "0 cases in 1 file: 0 not as expected, 1 file not usable\n", "unusable"},
	} {
		var text bytes.Buffer
		if err := policytest.WriteText(&text, []policytest.FileResult{test.file}, false); err != nil {
			t.Fatal(err)
		}
		if got := text.String(); !strings.HasSuffix(got, test.last) || !strings.Contains(got, test.has) || strings.Contains(got, "\x1b") {
			t.Errorf("%s: expected %q and at the end %q, got\n%s", test.file.File, test.has, test.last, got)
		}
	}
}
