package e2e

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/internal/acceptance"
	"tokenreview.dev/webhook/pkg/reason"
)

// githubActionsTable is case A word for word, so that one table here owes nothing
// to the code that prints the others.
const githubActionsTable = `ATTRIBUTE                                           VALUE
Username                                            github-actions:repo:qjoly/lucca-oidc-poc:ref:refs/heads/main
UID                                                 repo:qjoly/lucca-oidc-poc:ref:refs/heads/main
Groups                                              [qjoly/lucca-oidc-poc system:authenticated]
Extra: authentication.kubernetes.io/credential-id   [JTI=72b5e0be-16a1-46d2-930a-6a184407f2fc]
Extra: github.com/ref                               [refs/heads/main]
Extra: github.com/repository                        [qjoly/lucca-oidc-poc]
Extra: github.com/repository_owner                  [qjoly]
`

func TestAcceptanceCases(t *testing.T) {
	t.Parallel()
	cases := startAcceptance(t)
	for _, version := range []string{"v1", "v1beta1"} {
		t.Run("asked in "+version, func(t *testing.T) {
			t.Parallel()
			server := cluster.Start(t, binaries, cluster.Options{
				WebhookKubeconfig: cases.webhook.Kubeconfig,
				WebhookVersion:    version,
			})
			for _, c := range cases.all {
				for _, token := range c.Tokens(time.Now()) {
					t.Run(fmt.Sprintf("%s, %s", c.Name, token.Name), func(t *testing.T) {
						signed := cases.issuers.Sign(c, token)
						if token.Accepted() {
							cases.wantUser(t, server, c, token, signed)
						} else {
							wantRefusal(t, server, signed, c.IssuerName, token.Refusal)
							cases.wantReviewRefused(t, signed, c.IssuerName, token.Refusal)
						}
					})
				}
			}
			cases.testBindings(t, server)
		})
	}
}

// acceptanceRun is the webhook with all acceptance configurations in one, and the
// issuers of their tokens.
type acceptanceRun struct {
	all     []acceptance.Case
	issuers acceptance.Issuers
	webhook *cluster.Webhook
}

func startAcceptance(t *testing.T) acceptanceRun {
	t.Helper()
	cases, err := acceptance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	issuers := acceptance.StartIssuers(cases)
	t.Cleanup(issuers.Close)
	configuration, err := acceptance.Configuration(cases, issuers)
	if err != nil {
		t.Fatal(err)
	}
	webhook := cluster.InstallWebhook(t, webhookBinary, string(configuration))
	webhook.Start(t)
	return acceptanceRun{all: cases, issuers: issuers, webhook: webhook}
}

// wantUser checks what `kubectl auth whoami` prints, and that `webhook review`
// prints the same.
func (r acceptanceRun) wantUser(t *testing.T, server *cluster.APIServer, c acceptance.Case, token acceptance.Token, signed string) {
	t.Helper()
	want := table(token.User)
	if c.Name == "a-github-actions" && token.Name == "a workflow on the branch main" {
		want = githubActionsTable
	}
	whoami := server.Kubectl(t, cluster.Credential{Token: signed}, "auth", "whoami").Must(t)
	t.Logf("kubectl auth whoami\n%s", whoami)
	if whoami != want {
		t.Errorf("kubectl prints\n%swant\n%s", whoami, want)
	}
	review := r.review(t, signed).Must(t)
	if review != whoami {
		t.Errorf("webhook review prints\n%swhat kubectl prints is\n%s", review, whoami)
	}
}

// wantReviewRefused checks that `webhook review` refuses a token, for the reason
// that is wanted.
func (r acceptanceRun) wantReviewRefused(t *testing.T, signed, issuer string, want reason.Refusal) {
	t.Helper()
	if notOurs(want.Code) {
		issuer = "not ours"
	}
	pattern := regexp.MustCompile(`^` + refusalPattern(issuer, want) + `\n$`)
	result := r.review(t, signed)
	if result.ExitCode != 1 || result.Stdout != "" || !pattern.MatchString(result.Stderr) {
		t.Errorf("webhook review ends with exit code %d and says\n%s%swant 1 and what matches %s",
			result.ExitCode, result.Stdout, result.Stderr, pattern)
	}
}

// review gives a token to the webhook's own command.
func (r acceptanceRun) review(t *testing.T, signed string) cluster.Result {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(signed), 0o600); err != nil {
		t.Fatal(err)
	}
	return r.webhook.Run(t, "review", "--config="+r.webhook.ConfigFile, "--token-file="+file)
}

// table is what kubectl prints for a user whom the API server knows.
func table(u user.Info) string {
	rows := [][2]string{{"ATTRIBUTE", "VALUE"}, {"Username", u.GetName()}}
	if uid := u.GetUID(); uid != "" {
		rows = append(rows, [2]string{"UID", uid})
	}
	groups := append(append([]string{}, u.GetGroups()...), user.AllAuthenticated)
	rows = append(rows, [2]string{"Groups", fmt.Sprint(groups)})
	extra := u.GetExtra()
	for _, key := range slices.Sorted(maps.Keys(extra)) {
		rows = append(rows, [2]string{"Extra: " + key, fmt.Sprint(extra[key])})
	}
	width := 0
	for _, row := range rows {
		width = max(width, len(row[0]))
	}
	var out strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&out, "%-*s   %s\n", width, row[0], row[1])
	}
	return out.String()
}

// wantUnauthorized checks that the API server refused kubectl's credential.
func wantUnauthorized(t *testing.T, result cluster.Result) {
	t.Helper()
	const want = "error: You must be logged in to the server (Unauthorized)\n"
	if result.ExitCode != 1 || result.Stdout != "" || result.Stderr != want {
		t.Errorf("kubectl ended with exit code %d and said\n%s%swant 1 and\n%s", result.ExitCode, result.Stdout, result.Stderr, want)
	}
}

// wantRefusal checks that a token gets nobody in, and that the log of the API
// server has the reason where the token is one of ours.
func wantRefusal(t *testing.T, server *cluster.APIServer, signed, issuer string, want reason.Refusal) {
	t.Helper()
	mark := server.LogSize()
	wantUnauthorized(t, server.Kubectl(t, cluster.Credential{Token: signed}, "auth", "whoami"))
	logged := authenticationError(t, server, mark)
	if notOurs(want.Code) {
		for _, code := range reason.Codes() {
			if strings.Contains(logged, "("+string(code)+")") {
				t.Errorf("the API server logs %q: of a token that is not ours nothing is to be said", logged)
			}
		}
		return
	}
	// What the API server finds by itself, and then what the webhook answered.
	pattern := regexp.MustCompile(`^\[invalid bearer token, ` + refusalPattern(issuer, want) + `\]$`)
	if !pattern.MatchString(logged) {
		t.Errorf("the API server logs %q, which does not match %s", logged, pattern)
	}
	t.Logf("the API server logs: %s", logged)
}

// refusalPattern matches "NAME: text (Code)".
func refusalPattern(issuer string, want reason.Refusal) string {
	return fmt.Sprintf(`%s: .*%s.* \(%s\)`, regexp.QuoteMeta(issuer), regexp.QuoteMeta(want.Text), want.Code)
}

// notOurs are the refusals that leave the token to other authenticators.
func notOurs(code reason.Code) bool {
	return code == reason.IssuerUnknown || code == reason.TokenMalformed
}

// authenticationLine is how kube-apiserver logs that it accepted no credential.
var authenticationLine = regexp.MustCompile(`"Unable to authenticate the request" err=("(?:[^"\\]|\\.)*")`)

// authenticationError waits for the API server to log that it refused a request
// after the offset mark, and returns why.
func authenticationError(t *testing.T, server *cluster.APIServer, mark int64) (logged string) {
	t.Helper()
	cluster.Eventually(t, "the API server logs the refusal", 10*time.Second, func() error {
		lines := authenticationLine.FindAllStringSubmatch(server.Log(mark), -1)
		if len(lines) == 0 {
			return errors.New("no such line yet")
		}
		var err error
		logged, err = strconv.Unquote(lines[0][1])
		return err
	})
	return logged
}
