package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/internal/acceptance"
	"tokenreview.dev/webhook/internal/issuertest"
)

// recipe is a file of bindings that the project ships.
func recipe(name string) string { return filepath.Join("..", "manifests", "rbac", name+".yaml") }

// testBindings applies the bindings of the acceptance cases, and checks what their
// tokens are good for then.
func (r acceptanceRun) testBindings(t *testing.T, server *cluster.APIServer) {
	t.Helper()
	fillRole(t, server, "view")
	server.Admin(t, "create", "namespace", "lucca")
	for _, name := range []string{"github-actions", "entra", "auditors"} {
		server.Admin(t, "apply", "--filename="+recipe(name))
	}
	for name, group := range map[string]string{"authentik-tech": "Tech", "pocket-id-kubernetes": "oidc:kubernetes"} {
		server.Admin(t, "create", "clusterrolebinding", name, "--clusterrole=view", "--group="+group)
	}

	for _, test := range []struct {
		name, token string
		// claims are in the place of the token's own.
		claims  issuertest.Claims
		yes, no []string
	}{
		{name: "a-github-actions", token: "a workflow on the branch main",
			yes: []string{"list pods -n lucca", "delete pods -n lucca"},
			no:  []string{"list pods -n default", "delete pods -n default", "list secrets -n lucca", "delete ns", "list clusterroles"}},
		{name: "a-github-actions", token: "a workflow on another branch of the same repository",
			yes: []string{"list pods -n lucca", "get pods -n lucca"},
			no:  []string{"delete pods -n lucca", "create pods -n lucca", "list pods -n default"}},
		{name: "a-github-actions", token: "a workflow on the branch main",
			claims: issuertest.Claims{"repository": "qjoly/another-repo", "sub": "repo:qjoly/another-repo:ref:refs/heads/main"},
			no:     []string{"list pods -n lucca", "get pods -n lucca", "delete pods -n lucca"}},
		{name: "a-github-actions", token: "a workflow on the branch main",
			claims: issuertest.Claims{"environment": "production", "sub": "repo:qjoly/lucca-oidc-poc:environment:production"},
			yes:    []string{"list pods -n lucca"},
			no:     []string{"delete pods -n lucca"}},
		{name: "b-entra-v2", token: "a guest of the tenant, in six groups", yes: []string{"delete ns", "get pods", "create clusterrolebindings"}},
		{name: "b-entra-v2", token: "the same guest, no longer in the administrators' group",
			yes: []string{"get pods", "list clusterrolebindings", "create subjectaccessreviews.authorization.k8s.io"},
			no:  []string{"delete ns", "delete pods", "get secrets", "create clusterrolebindings", "impersonate users"}},
		{name: "c-authentik", token: "a person whose address is verified", yes: []string{"get pods"}, no: []string{"delete pods"}},
		{name: "d-pocket-id", token: "a person, by subject", yes: []string{"get pods"}, no: []string{"delete pods"}},
		{name: "d-pocket-id-email", token: "a person, by verified address", yes: []string{"get pods"}, no: []string{"delete pods"}},
	} {
		c, token := r.token(t, test.name, test.token)
		name := fmt.Sprintf("%s, %s", c.Name, token.Name)
		if test.claims != nil {
			token.Claims = token.Claims.With(test.claims)
			name += fmt.Sprintf(", but %s", test.claims["sub"])
		}
		asks(t, server, name, r.issuers.Sign(c, token), test.yes, test.no)
	}
	for _, test := range []struct{ name, token string }{
		{"a-github-actions", "a stranger's repository that asked for the right audience"},
		{"b-entra-v2", "yesterday's token"},
		{"c-authentik", "a person whose address is not verified"},
		{"d-pocket-id", "a token made out to another service"},
		{"d-pocket-id-email", "a person whose address is not verified"},
	} {
		c, token := r.token(t, test.name, test.token)
		t.Run(fmt.Sprintf("%s, %s, can nothing", c.Name, token.Name), func(t *testing.T) {
			credential := cluster.Credential{Token: r.issuers.Sign(c, token)}
			wantUnauthorized(t, server.Kubectl(t, credential, "auth", "can-i", "list", "pods"))
		})
	}
	r.testAuditors(t, server)
}

// testAuditors has an auditor ask what somebody else may do.
func (r acceptanceRun) testAuditors(t *testing.T, server *cluster.APIServer) {
	t.Helper()
	c, token := r.token(t, "b-entra-v2", "the same guest, no longer in the administrators' group")
	auditor := cluster.Credential{Token: r.issuers.Sign(c, token)}
	for verb, want := range map[string]string{"list": "true", "delete": "false"} {
		t.Run("an auditor is told whether a workflow may "+verb+" pods", func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "review.yaml")
			question := cluster.Documents(t, object{
				"apiVersion": "authorization.k8s.io/v1",
				"kind":       "SubjectAccessReview",
				"spec": object{
					"user":               "somebody",
					"groups":             []string{"qjoly/lucca-oidc-poc"},
					"resourceAttributes": object{"verb": verb, "resource": "pods", "namespace": "lucca"},
				},
			})
			if err := os.WriteFile(file, []byte(question), 0o600); err != nil {
				t.Fatal(err)
			}
			got := server.Kubectl(t, auditor, "create", "--validate=ignore", "--filename="+file, "--output=jsonpath={.status.allowed}").Must(t)
			if got != want {
				t.Errorf("expected %s, got %s", want, got)
			}
		})
	}
}

// asks puts questions to `kubectl auth can-i` with a token.
func asks(t *testing.T, server *cluster.APIServer, who, token string, yes, no []string) {
	t.Helper()
	ask := func(question, answer string) {
		t.Run(fmt.Sprintf("%s, can %s: %s", who, question, answer), func(t *testing.T) {
			cluster.Eventually(t, "the bindings reach the authorizer", 10*time.Second, func() error {
				args := append([]string{"auth", "can-i"}, strings.Fields(question)...)
				return canI(server.Kubectl(t, cluster.Credential{Token: token}, args...), answer)
			})
		})
	}
	// A binding has reached the authorizer by the time of the first yes.
	for _, question := range yes {
		ask(question, "yes")
	}
	for _, question := range no {
		ask(question, "no")
	}
}

// fillRole does what the controller manager does elsewhere: the roles view and edit are
// made up of the rules of others, and empty until somebody copies them.
func fillRole(t *testing.T, server *cluster.APIServer, name string) {
	t.Helper()
	rules := server.Admin(t, "get", "clusterrole", "system:aggregate-to-"+name, "--output=jsonpath={.rules}")
	server.Admin(t, "patch", "clusterrole", name, "--type=merge", `--patch={"rules":`+rules+`}`)
}

// canI checks the answer of `kubectl auth can-i`.
func canI(result cluster.Result, want string) error {
	code := 1
	if want == "yes" {
		code = 0
	}
	if result.ExitCode != code || result.Stdout != want+"\n" {
		return fmt.Errorf("kubectl ends with exit code %d and says %q and %q, want %d and %q",
			result.ExitCode, result.Stdout, result.Stderr, code, want)
	}
	return nil
}

// token finds a case and one of its tokens.
func (r acceptanceRun) token(t *testing.T, caseName, tokenName string) (acceptance.Case, acceptance.Token) {
	t.Helper()
	for _, c := range r.all {
		if token, ok := c.Token(tokenName, time.Now()); ok && c.Name == caseName {
			return c, token
		}
	}
	t.Fatalf("case %s has no token %q", caseName, tokenName)
	return acceptance.Case{}, acceptance.Token{}
}
