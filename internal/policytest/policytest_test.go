package policytest_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/policytest"
	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/trace"
)

var update = flag.Bool("update", false, "write what is found to the golden files")

// The fraction is not to be seen: tokens have none.
var now = time.Date(2026, 7, 28, 12, 0, 0, 987654321, time.UTC)

func runFile(t *testing.T, file string, selected *regexp.Regexp) policytest.FileResult {
	t.Helper()
	return policytest.RunFile(t.Context(), file, os.ReadFile, now, selected)
}

// golden compares with a file, or writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("expected -, got +:\n%s", diff)
	}
}

// inTestdata makes testdata the working directory, so that the golden files have
// short names.
func inTestdata(t *testing.T) { t.Chdir("testdata") }

func TestEverythingThatATestCanSayIsDecidedAsWritten(t *testing.T) {
	inTestdata(t)
	result := runFile(t, "passing.test.yaml", nil)
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	if len(result.Results) != 32 {
		t.Errorf("expected 32 cases, got %d", len(result.Results))
	}
	for _, one := range result.Results {
		if !one.Passed() {
			t.Errorf("%s: %s: %s", one.Test, one.Case, cmp.Diff(one.Expected, one.Got))
		}
	}
}

// A test that passes whatever is decided is worth nothing.
func TestWhatIsNotAsExpectedFails(t *testing.T) {
	inTestdata(t)
	result := runFile(t, "failing.test.yaml", nil)
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	for _, one := range result.Results {
		if one.Passed() != (one.Case == "as expected") {
			t.Errorf("%s: %+v", one.Case, one.Got)
		}
		if one.Expected.Reason != one.Got.Reason && one.Expected.Text != "" {
			t.Errorf("%s: nobody expected the text %q", one.Case, one.Expected.Text)
		}
	}
	if result.Passed() {
		t.Error("the file has passed")
	}
}

func TestOnlySelectedCasesRun(t *testing.T) {
	inTestdata(t)
	var names []string
	for _, one := range runFile(t, "passing.test.yaml", regexp.MustCompile("^what others would answer: Graph knows")).Results {
		names = append(names, one.Test+": "+one.Case)
	}
	expected := []string{"what others would answer: Graph knows the groups", "what others would answer: Graph knows of no groups"}
	if diff := cmp.Diff(expected, names); diff != "" {
		t.Errorf("expected -, got +:\n%s", diff)
	}
}

// The key of the tests says nothing of the issuer's.
func TestWhatTheKeyDecidesIsNotTested(t *testing.T) {
	inTestdata(t)
	results := runFile(t, "passing.test.yaml", regexp.MustCompile("^deployments: a run of main$")).Results
	if len(results) != 1 {
		t.Fatalf("expected one case, got %d", len(results))
	}
	var got []trace.Step
	for _, step := range results[0].Steps {
		if step.Outcome == policytest.NotTested {
			got = append(got, step)
		}
	}
	expected := []trace.Step{{Check: "alg", Outcome: policytest.NotTested}, {Check: "signature", Outcome: policytest.NotTested}}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("expected -, got +:\n%s", diff)
	}
}

// reported are results of every kind.
func reported() []policytest.FileResult {
	ada := func(name string, groups ...string) v1alpha1.PolicyTestExpectation {
		return v1alpha1.PolicyTestExpectation{User: &authenticationv1.UserInfo{
			Username: name, Groups: groups, Extra: map[string]authenticationv1.ExtraValue{"example.com/team": {"red"}},
		}}
	}
	refused := v1alpha1.PolicyTestExpectation{Reason: "ClaimRuleFailed", Text: "only branches: rule \"claims.ref == 'main'\" did not hold"}
	asked := ada("ada")
	asked.Audiences = []string{"cluster"}
	spared := ada("ada")
	spared.WouldRefuse = "EmailNotVerified"
	steps := []trace.Step{{Check: "iss", Outcome: trace.Passed, Detail: "https://id.example.com"}, {Check: "signature", Outcome: policytest.NotTested}}
	failing := func(name string, expected, got v1alpha1.PolicyTestExpectation, last trace.Step) policytest.Result {
		return policytest.Result{Test: "people", Case: name, Expected: expected, Got: got, Steps: append(steps[:2:2], last)}
	}
	return []policytest.FileResult{
		{File: "failing.test.yaml", Results: []policytest.Result{
			failing("another group", ada("ada", "dev", "admins"), ada("ada", "dev", "ops"), trace.Step{Check: "groups", Outcome: trace.Passed, Detail: `["dev" "ops"]`}),
			failing("a refusal in the place of a user", ada("ada"), refused, trace.Step{Check: "claimValidationRules", Outcome: trace.Failed, Detail: refused.Text}),
			failing("a refusal that was spared", ada("ada"), spared, trace.Step{Check: "emailVerified", Outcome: trace.WouldFail, Detail: "it is not verified (EmailNotVerified)"}),
			failing("control characters, \x1b[2J even here", ada("ada"), ada("\x1b[2Ja\nb\u202ec"), trace.Step{Check: "username", Outcome: trace.Passed, Detail: "\x1b[2Ja\nb"}),
			failing("text that YAML writes with escapes", ada("a b"), ada("a\u0085b\u009f\u007f\ufffe"), trace.Step{Check: "username", Outcome: trace.Passed, Detail: "a\u0085b"}),
			failing("a user in the place of a refusal", refused, ada("ada"), trace.Step{Check: "username", Outcome: trace.Passed, Detail: "ada"}),
			failing("another audience", asked, ada("ada"), trace.Step{Check: "username", Outcome: trace.Passed, Detail: "ada"}),
			failing("another reason", v1alpha1.PolicyTestExpectation{Reason: "RepositoryNotAllowed"}, refused, trace.Step{Check: "claimValidationRules", Outcome: trace.Failed, Detail: refused.Text}),
			{Test: "people", Case: "as expected", Expected: ada("ada"), Got: ada("ada"), Steps: steps},
		}},
		{File: "broken.test.yaml", Err: errors.New("webhook.yaml:5: document 1: jwt[0].issuer.urll: unknown field\nwebhook.yaml:9: a second one <&>")},
		{File: "passing.test.yaml", Results: []policytest.Result{{Test: "people", Case: "a refusal", Expected: refused, Got: refused, Steps: steps}}},
	}
}

func TestReports(t *testing.T) {
	files := reported()
	var text, verbose, passing, junit bytes.Buffer
	for _, err := range []error{
		policytest.WriteText(&text, files, false),
		policytest.WriteText(&verbose, files, true),
		policytest.WriteText(&passing, files[2:], false),
		policytest.WriteJUnit(&junit, files),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	golden(t, "testdata/report.txt", text.String())
	golden(t, "testdata/report.xml", junit.String())
	if expected := strings.Count(text.String(), "\n") + 2; strings.Count(verbose.String(), "\n") != expected {
		t.Errorf("expected a line more for each of the two passed cases, got\n%s", verbose.String())
	}
	if expected := "ok  passing.test.yaml  1 case\n1 case in 1 file, all as expected\n"; passing.String() != expected {
		t.Errorf("expected %q, got %q", expected, passing.String())
	}
	if strings.ContainsAny(text.String(), "\x1b\u202e") || strings.Contains(junit.String(), "\x1b") {
		t.Error("a report has control characters")
	}
	decoder := xml.NewDecoder(&junit)
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the junit report is no XML: %v", err)
		}
	}
}

// Each file is one kind of mistake; the .txt beside it says what is wrong.
func TestInvalid(t *testing.T) {
	inTestdata(t)
	files, err := filepath.Glob("invalid/*.test.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %d files", err, len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			result := runFile(t, file, nil)
			if result.Err == nil || result.Passed() {
				t.Fatal("expected an error")
			}
			golden(t, strings.TrimSuffix(file, ".test.yaml")+".txt", result.Err.Error()+"\n")
		})
	}
}

func TestAMissingFile(t *testing.T) {
	if result := runFile(t, "missing.test.yaml", nil); result.Passed() || !errors.Is(result.Err, fs.ErrNotExist) {
		t.Errorf("expected the file to be missing, got %v", result.Err)
	}
}

func TestTheConfigurationItselfIsLeftAsItIs(t *testing.T) {
	inTestdata(t)
	tests, err := policytest.Load("passing.test.yaml", os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		if _, err := test.Run(t.Context(), now, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, issuer := range tests[0].Config.Issuers {
		if issuer.Policy.Keys.JWKS != "" || (issuer.Name == "github") != (issuer.Policy.Keys.JWKSFile != "") || (issuer.Name == "people") != (issuer.JWT.Issuer.DiscoveryURL != "") {
			t.Errorf("%s: its keys come from elsewhere now: %+v", issuer.Name, issuer.Policy.Keys)
		}
	}
	if endpoint := tests[1].Spec.Claims["_claim_sources"].(map[string]any)["src1"].(map[string]any)["endpoint"]; endpoint != "https://graph.windows.net/x" {
		t.Errorf("the test's own claims have changed: %q", endpoint)
	}
}
