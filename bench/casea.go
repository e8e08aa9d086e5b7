package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"

	"tokenreview.dev/webhook/internal/acceptance"
	"tokenreview.dev/webhook/internal/issuertest"
)

// The names of the cases whose issuers are used. Case A is what is measured; the others
// are issuers that have to be started with, too.
const nameOfCaseA = "a-github-actions"

var namesOfStart = []string{nameOfCaseA, "c-authentik", "e-other-cluster"}

// caseA is manifests/acceptance/a-github-actions.yaml, and an issuer on loopback whose
// keys are fetched in the place of GitHub's.
type caseA struct {
	issuers acceptance.Issuers
	issuer  *issuertest.Issuer
	// configuration is the file, but for where the keys are.
	configuration []byte
	// entry is its only entry in document 1.
	entry apiserverv1.JWTAuthenticator
	token acceptance.Token
	// elliptic is another key of the issuer, ES256: it signs faster.
	elliptic issuertest.Key
}

// startCaseA starts the issuer, which has an RS256 key of 2048 bits.
func startCaseA() (*caseA, error) {
	cases, err := casesNamed(nameOfCaseA)
	if err != nil {
		return nil, err
	}
	token := cases[0].Tokens(time.Now())[0]
	if !token.Accepted() {
		return nil, fmt.Errorf("case %s: its first token is refused: put one first that is accepted", nameOfCaseA)
	}
	a := &caseA{issuers: acceptance.StartIssuers(cases), token: token}
	a.issuer, a.elliptic = a.issuers[cases[0].Issuer], issuertest.NewKey("elliptic", jwa.ES256)
	a.issuer.SetKeys(a.elliptic, a.issuer.Key())
	if a.configuration, err = acceptance.Configuration(cases, a.issuers); err != nil {
		a.close()
		return nil, err
	}
	var first apiserverv1.AuthenticationConfiguration
	if err := yaml.UnmarshalStrict(a.configuration, &first); err != nil {
		a.close()
		return nil, err
	}
	a.entry = first.JWT[0]
	return a, nil
}

func (a *caseA) close() { a.issuers.Close() }

// casesNamed returns the acceptance cases of these names.
func casesNamed(names ...string) ([]acceptance.Case, error) {
	all, err := acceptance.Cases()
	if err != nil {
		return nil, err
	}
	cases := slices.DeleteFunc(all, func(c acceptance.Case) bool { return !slices.Contains(names, c.Name) })
	if len(cases) != len(names) {
		return nil, fmt.Errorf("manifests/acceptance: expected the cases %q, found %d of them", names, len(cases))
	}
	return cases, nil
}
