package tokenreview

import (
	"encoding/json"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/pkg/reason"
)

// The answer is what Kubernetes' own type would be as JSON.
func TestAnAnswerIsWrittenAsItsTypeIs(t *testing.T) {
	escaped := "\"\\\n\x00<&>\u2028é"
	refusal := reason.Refusal{Code: "Expired", Text: "the token expired"}
	for _, test := range []struct {
		name        string
		answer      Answer
		annotations map[string]string
	}{
		{"nothing", Answer{}, nil},
		{"a token of none of ours", Answer{Refusal: refusal}, map[string]string{}},
		{"a refused token", Answer{Issuer: "main", Refusal: refusal}, nil},
		{"a refused token without a reason", Answer{Issuer: "main", Audiences: []string{"a"}}, nil},
		{"a user", Answer{Issuer: "main", User: &user.DefaultInfo{
			Name: "jane", UID: "1", Groups: []string{"a", "b"}, Extra: map[string][]string{"x/b": {"1", ""}, "x/a": {"2"}, "x/c": {}}}, Audiences: []string{"c", "d"}}, nil},
		{"a user without anything", Answer{Issuer: "main", User: &user.DefaultInfo{}}, nil},
		{"a user with what is empty", Answer{User: &user.DefaultInfo{Name: "jane", Groups: []string{}, Extra: map[string][]string{}}, Audiences: []string{}}, nil},
		{"text that must be escaped", Answer{User: &user.DefaultInfo{Name: escaped, UID: escaped, Groups: []string{escaped}, Extra: map[string][]string{escaped: {escaped}}}}, map[string]string{escaped: escaped}},
		{"a refusal that must be escaped", Answer{Issuer: "main", Refusal: reason.Refusal{Code: "X", Text: escaped}}, nil},
		{"text that is not UTF-8", Answer{User: &user.DefaultInfo{Name: "a\xff", Groups: []string{"\xc0\x80"}}}, nil},
		{"annotations", Answer{Issuer: "main", Refusal: refusal}, map[string]string{"tokenreview.dev/b": "2", "tokenreview.dev/a": "", "tokenreview.dev/c": `["x"]`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			const version = "authentication.k8s.io/v1beta1"
			typed := test.answer.TokenReview(version)
			typed.Annotations = test.annotations
			data, err := json.Marshal(typed)
			if err != nil {
				t.Fatal(err)
			}
			written := test.answer.tokenReviewJSON(version, test.annotations)
			if diff := cmp.Diff(canonical(t, string(data)), canonical(t, string(written))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// canonical is JSON without what makes no difference, such as what is escaped.
func canonical(t *testing.T, data string) string {
	t.Helper()
	value := jsontext.Value(data)
	if err := value.Canonicalize(); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return string(value)
}
