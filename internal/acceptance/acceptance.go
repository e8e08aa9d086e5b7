// Package acceptance turns the policy tests of manifests/acceptance into tokens for
// those who put them to a running webhook: tests, the demonstration and the run
// against a real API server. The product does not use it.
//
// Whoever uses the claims signs them with the key of a loopback issuer.
package acceptance

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/internal/policytest"
	"tokenreview.dev/webhook/manifests/acceptance"
	"tokenreview.dev/webhook/pkg/reason"
)

// Case is one PolicyTest: a configuration with the tokens that are tried on it.
type Case struct {
	// Name is the test's, such as a-github-actions.
	Name string
	// Configuration is a file name in manifests/acceptance.
	Configuration string
	// Issuer is the URL of the only issuer in that configuration, whose key signs the
	// tokens, and IssuerName its short name.
	Issuer, IssuerName string

	test policytest.Test
}

// Token is one token to sign and the answer it must get: a user or a refusal.
type Token struct {
	// Name is one clause for people, unique within the case.
	Name   string
	Claims issuertest.Claims
	// User is who the token proves, before the API server adds
	// system:authenticated. Nil when the token must be refused.
	User *user.DefaultInfo
	// Refusal is empty when the token must be accepted. Its Text is a fragment of
	// the text that must be given, or empty where any will do.
	Refusal reason.Refusal
	// WouldRefuse is what must be recorded and not enforced, empty for nothing.
	WouldRefuse reason.Code
}

// Accepted reports whether the token must be accepted.
func (t Token) Accepted() bool { return t.User != nil }

// FileName is the token's name in a form that is fit for a file's.
func (t Token) FileName() string {
	return strings.Trim(notForFileNames.ReplaceAllString(strings.ToLower(t.Name), "-"), "-")
}

var notForFileNames = regexp.MustCompile(`[^a-z0-9]+`)

// Cases returns the cases that a webhook can decide on its own, in the order of
// their names. Those that say what Microsoft Graph or another cluster would answer
// are left out: a running webhook would ask. Their configurations can be combined
// into one, see Configuration.
func Cases() ([]Case, error) {
	files, err := fs.Glob(acceptance.Files, "*.test.yaml")
	if err != nil {
		return nil, err
	}
	var cases []Case
	for _, file := range files {
		tests, err := policytest.Load(file, acceptance.Files.ReadFile)
		if err != nil {
			return nil, err
		}
		for _, test := range tests {
			if len(test.Config.Issuers) != 1 {
				return nil, fmt.Errorf("%s: expected a configuration with one issuer, got %d", file, len(test.Config.Issuers))
			}
			if asksOthers(&test) {
				continue
			}
			issuer := &test.Config.Issuers[0]
			cases = append(cases, Case{
				Name:          test.Name,
				Configuration: test.Spec.Configuration,
				Issuer:        issuer.JWT.Issuer.URL,
				IssuerName:    issuer.Name,
				test:          test,
			})
		}
	}
	slices.SortStableFunc(cases, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
	return cases, nil
}

func asksOthers(test *policytest.Test) bool {
	for i := range test.Spec.Cases {
		if c := &test.Spec.Cases[i]; c.Graph != nil || c.Liveness != "" {
			return true
		}
	}
	return false
}

// Tokens returns what is tried at the time now.
func (c Case) Tokens(now time.Time) []Token {
	tokens := make([]Token, len(c.test.Spec.Cases))
	for i := range tokens {
		one := &c.test.Spec.Cases[i]
		tokens[i] = Token{
			Name:        one.Name,
			Claims:      c.test.Claims(one, now),
			User:        newUser(one.Expect.User),
			Refusal:     reason.Refusal{Code: reason.Code(one.Expect.Reason), Text: one.Expect.Text},
			WouldRefuse: reason.Code(one.Expect.WouldRefuse),
		}
	}
	return tokens
}

// Token returns the token of the name at the time now, and whether there is one.
func (c Case) Token(name string, now time.Time) (Token, bool) {
	for _, token := range c.Tokens(now) {
		if token.Name == name {
			return token, true
		}
	}
	return Token{}, false
}

// newUser is a user as authenticators return it, nil for none.
func newUser(info *authenticationv1.UserInfo) *user.DefaultInfo {
	if info == nil {
		return nil
	}
	u := &user.DefaultInfo{Name: info.Username, UID: info.UID, Groups: info.Groups}
	if len(info.Extra) > 0 {
		u.Extra = make(map[string][]string, len(info.Extra))
		for key, values := range info.Extra {
			u.Extra[key] = values
		}
	}
	return u
}
