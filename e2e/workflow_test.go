package e2e

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/yaml"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/internal/acceptance"
	"tokenreview.dev/webhook/internal/issuertest"
)

// workflow is what the test needs to know of a workflow file.
type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Env      map[string]string
		Defaults struct{ Run struct{ Shell string } }
		Steps    []struct{ Name, Run, Uses string }
	}
}

// The published workflow, its steps run one by one as a runner does: against what stands for
// GitHub's endpoint for tokens, and a real API server.
func TestTheStepsOfThePublishedWorkflow(t *testing.T) {
	t.Parallel()
	cases := startAcceptance(t)
	server := cluster.Start(t, binaries, cluster.Options{WebhookKubeconfig: cases.webhook.Kubeconfig, WebhookVersion: "v1"})
	server.Admin(t, "create", "namespace", "lucca")
	server.Admin(t, "apply", "--filename="+recipe("github-actions"))

	var file workflow
	if err := yaml.Unmarshal([]byte(readFile(t, signIn("github-workflow.yaml"))), &file); err != nil {
		t.Fatal(err)
	}
	job, ok := file.Jobs["whoami"]
	if want := map[string]string{"id-token": "write"}; !ok || job.Defaults.Run.Shell != "bash" || !maps.Equal(file.Permissions, want) {
		t.Fatalf("expected the job whoami, bash and the permissions %v, got %+v", want, file)
	}
	for name, want := range map[string]string{
		"AUDIENCE":              "my-cluster",
		"SERVER":                "https://cluster.example.com:6443",
		"CERTIFICATE_AUTHORITY": "${{ vars.CLUSTER_CERTIFICATE_AUTHORITY }}",
	} {
		if job.Env[name] != want {
			t.Fatalf("expected %s to be %q, got %q", name, want, job.Env[name])
		}
	}

	const mainBranch, otherBranch = "a workflow on the branch main", "a workflow on another branch of the same repository"
	for _, test := range []struct {
		name, token, requestToken string
		// fails is the step that does, empty for none.
		fails string
		// prints is what some step does.
		prints string
	}{
		{name: "a run of main", token: mainBranch, requestToken: requestToken, prints: githubActionsTable},
		{name: "a run of another branch", token: otherBranch, requestToken: requestToken, prints: "No resources found in lucca namespace."},
		{name: "a run of a stranger's repository", token: "a stranger's repository that asked for the right audience",
			requestToken: requestToken, fails: "Who am I", prints: "(Unauthorized)"},
		{name: "a run without id-token: write, whose token GitHub does not know", token: mainBranch, requestToken: "other", fails: "Sign in", prints: "403"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, token := cases.token(t, "a-github-actions", test.token)
			endpoint := startTokenEndpoint(t, cases.issuers, c, token)
			runner := newRunner(t, map[string]string{
				"AUDIENCE":                       fmt.Sprint(token.Claims["aud"]),
				"SERVER":                         server.URL,
				"CERTIFICATE_AUTHORITY":          base64.StdEncoding.EncodeToString(server.CertificateAuthority),
				"ACTIONS_ID_TOKEN_REQUEST_URL":   endpoint.url,
				"ACTIONS_ID_TOKEN_REQUEST_TOKEN": test.requestToken,
			})
			failed := ""
			for _, step := range job.Steps {
				if step.Uses != "" {
					t.Errorf("the step %s uses somebody's action", step.Name)
				}
				if err := runner.step(t, step.Run); err != nil {
					failed = step.Name
					break
				}
			}
			if failed != test.fails || !strings.Contains(runner.log, test.prints) {
				t.Errorf("expected the step %q to fail and to print %q, got %q:\n%s", test.fails, test.prints, failed, runner.log)
			}
			// What a runner masks it has to be told before anything prints it.
			shown := strings.ReplaceAll(runner.log, "::add-mask::"+endpoint.signed()+"\n", "")
			if signed := endpoint.signed(); signed != "" && strings.Contains(shown, signed) {
				t.Error("a step shows the token")
			}
			if masked := shown != runner.log; masked != (test.fails != "Sign in") {
				t.Errorf("masked: %t", masked)
			}
			runner.wantPrivateFiles(t)
		})
	}
}

const requestToken = "the-token-of-this-run"

// tokenEndpoint stands for what is at ACTIONS_ID_TOKEN_REQUEST_URL.
type tokenEndpoint struct {
	url string
	// last is the token that it gave last.
	last atomic.Value
}

// signed is the token that it gave last, empty for none.
func (e *tokenEndpoint) signed() string {
	signed, _ := e.last.Load().(string)
	return signed
}

// startTokenEndpoint answers as GitHub's does: to whoever has the job's own token, a token
// for the audience that is asked for.
func startTokenEndpoint(t *testing.T, issuers acceptance.Issuers, c acceptance.Case, token acceptance.Token) *tokenEndpoint {
	t.Helper()
	endpoint := &tokenEndpoint{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		if r.Header.Get("Authorization") != "Bearer "+requestToken || query.Get("api-version") != "2.0" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		asked := token
		asked.Claims = token.Claims.With(issuertest.Claims{"aud": query.Get("audience")})
		signed := issuers.Sign(c, asked)
		endpoint.last.Store(signed)
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fmt.Fprintf(w, `{"count":%d,"value":%q}`, len(signed), signed)
	}))
	t.Cleanup(server.Close)
	endpoint.url = server.URL + "/idtoken/1/2?api-version=2.0"
	return endpoint
}

// runner runs steps after one another, as GitHub's does.
type runner struct {
	shell

	temp, githubEnv string
	// log is what the steps have printed.
	log string
}

func newRunner(t *testing.T, env map[string]string) *runner {
	t.Helper()
	dir := t.TempDir()
	r := &runner{temp: filepath.Join(dir, "temp"), githubEnv: filepath.Join(dir, "env")}
	programs := filepath.Join(dir, "bin")
	for _, folder := range []string{r.temp, programs} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(binaries.Kubectl, filepath.Join(programs, "kubectl")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, r.githubEnv, "")
	r.Dir = dir
	r.Env = []string{"PATH=" + programs + ":" + os.Getenv("PATH"), "HOME=" + dir, "RUNNER_TEMP=" + r.temp, "GITHUB_ENV=" + r.githubEnv}
	for name, value := range env {
		r.Env = append(r.Env, name+"="+value)
	}
	return r
}

// step runs one, in the environment that those before have left in GITHUB_ENV.
func (r *runner) step(t *testing.T, script string) error {
	t.Helper()
	step := r.shell
	step.Env = append(step.Env[:len(step.Env):len(step.Env)], strings.Fields(readFile(t, r.githubEnv))...)
	out, err := step.run(t, script)
	r.log += out
	return err
}

// wantPrivateFiles checks that nobody else on the machine can read what the steps have
// written.
func (r *runner) wantPrivateFiles(t *testing.T) {
	t.Helper()
	files, err := os.ReadDir(r.temp)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %s", file.Name(), info.Mode())
		}
	}
}
