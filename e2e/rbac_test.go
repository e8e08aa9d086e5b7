package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/internal/acceptance"
)

// testBindings binds users and groups of the acceptance cases to roles, and checks
// what their tokens are good for then.
func (r acceptanceRun) testBindings(t *testing.T, server *cluster.APIServer) {
	t.Helper()
	server.Admin(t, "create", "clusterrole", "pod-lister", "--verb=list", "--resource=pods")
	server.Admin(t, "create", "clusterrole", "pod-keeper", "--verb=*", "--resource=pods")
	fillViewRole(t, server)
	for name, binding := range map[string][]string{
		"lucca-repository":     {"--clusterrole=pod-lister", "--group=qjoly/lucca-oidc-poc"},
		"lucca-main":           {"--clusterrole=pod-keeper", "--user=github-actions:repo:qjoly/lucca-oidc-poc:ref:refs/heads/main"},
		"entra-administrators": {"--clusterrole=cluster-admin", "--group=entra:921b8d0f-a256-4a59-8baa-65c90ec581ac"},
		"entra-readers":        {"--clusterrole=view", "--group=entra:c23b7510-9d24-4c94-882c-2afff5be1562"},
		"authentik-tech":       {"--clusterrole=view", "--group=Tech"},
		"pocket-id-kubernetes": {"--clusterrole=view", "--group=oidc:kubernetes"},
	} {
		server.Admin(t, append([]string{"create", "clusterrolebinding", name}, binding...)...)
	}

	for _, test := range []struct {
		name, token string
		yes, no     []string
	}{
		{name: "a-github-actions", token: "a workflow on the branch main", yes: []string{"list pods", "delete pods"}, no: []string{"delete ns"}},
		{name: "a-github-actions", token: "a workflow on another branch of the same repository", yes: []string{"list pods"}, no: []string{"delete pods"}},
		{name: "b-entra-v2", token: "a guest of the tenant, in six groups", yes: []string{"delete ns", "get pods"}},
		{name: "b-entra-v2", token: "the same guest, no longer in the administrators' group", yes: []string{"get pods"}, no: []string{"delete ns"}},
		{name: "c-authentik", token: "a person whose address is verified", yes: []string{"get pods"}, no: []string{"delete pods"}},
		{name: "d-pocket-id", token: "a person, by subject", yes: []string{"get pods"}, no: []string{"delete pods"}},
		{name: "d-pocket-id-email", token: "a person, by verified address", yes: []string{"get pods"}, no: []string{"delete pods"}},
	} {
		c, token := r.token(t, test.name, test.token)
		credential := cluster.Credential{Token: r.issuers.Sign(c, token)}
		ask := func(question, answer string) {
			t.Run(fmt.Sprintf("%s, %s, can %s: %s", c.Name, token.Name, question, answer), func(t *testing.T) {
				cluster.Eventually(t, "the bindings reach the authorizer", 10*time.Second, func() error {
					return canI(server.Kubectl(t, credential, append([]string{"auth", "can-i"}, strings.Fields(question)...)...), answer)
				})
			})
		}
		// A binding has reached the authorizer by the time of the first yes.
		for _, question := range test.yes {
			ask(question, "yes")
		}
		for _, question := range test.no {
			ask(question, "no")
		}
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
}

// fillViewRole does what the controller manager does elsewhere: the role view is
// made up of the rules of another, and empty until somebody copies them.
func fillViewRole(t *testing.T, server *cluster.APIServer) {
	t.Helper()
	rules := server.Admin(t, "get", "clusterrole", "system:aggregate-to-view", "--output=jsonpath={.rules}")
	server.Admin(t, "patch", "clusterrole", "view", "--type=merge", `--patch={"rules":`+rules+`}`)
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
