package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/yaml"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/internal/policytest"
	"tokenreview.dev/webhook/manifests/examples"
)

// signIn is a file of those with which clients sign in.
func signIn(name string) string { return filepath.Join("..", "manifests", "sign-in", name) }

// exampleCase is what an example's policy test says of the first token that comes in.
type exampleCase struct {
	// documents are the example, with an issuer on loopback in the place of its own.
	documents []any
	issuer    *issuertest.Issuer
	// clientID is the first audience.
	clientID string
	claims   issuertest.Claims
	user     *user.DefaultInfo
}

func startExample(t *testing.T, name string) exampleCase {
	t.Helper()
	tests, err := policytest.Load(name+".test.yaml", examples.Files.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	test := tests[0]
	published := test.Config.Issuers[0].JWT.Issuer
	example := exampleCase{issuer: issuertest.Start(published.URL), clientID: published.Audiences[0]}
	t.Cleanup(example.issuer.Close)

	data, err := examples.Files.ReadFile(name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(data), "\n---\n") {
		var decoded object
		if err := yaml.Unmarshal([]byte(document), &decoded); err != nil {
			t.Fatal(err)
		}
		example.documents = append(example.documents, decoded)
	}
	issuer := example.documents[0].(object)["jwt"].([]any)[0].(object)["issuer"].(object)
	issuer["discoveryURL"] = example.issuer.DiscoveryURL()
	issuer["certificateAuthority"] = example.issuer.CertificateAuthority()

	for i := range test.Spec.Cases {
		one := &test.Spec.Cases[i]
		if expected := one.Expect.User; expected != nil {
			example.claims = test.Claims(one, time.Now())
			example.user = &user.DefaultInfo{Name: expected.Username, UID: expected.UID, Groups: expected.Groups, Extra: map[string][]string{}}
			for key, values := range expected.Extra {
				example.user.Extra[key] = values
			}
			return example
		}
	}
	t.Fatalf("%s.test.yaml lets nobody in", name)
	return exampleCase{}
}

// plugin stands for kubelogin: it notes what it is asked for, and has a token.
const plugin = `#!/bin/sh
printf '%s\n' "$@" >"$PLUGIN_DIR/args"
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$(cat "$PLUGIN_DIR/token")"
`

// Each context of the kubeconfig for people is that of an example configuration. kubectl runs
// the plugin that it names, as people's kubectl does, with arguments that ask for a token of that
// configuration's issuer and client.
func TestPeopleSignInWithThePublishedKubeconfig(t *testing.T) {
	t.Parallel()
	webhook := cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, startExample(t, "keycloak").documents...))
	running := webhook.Start(t)
	server := cluster.Start(t, binaries, cluster.Options{WebhookKubeconfig: webhook.Kubeconfig, WebhookVersion: "v1"})
	kubeconfig := replaced(t, signIn("kubeconfig.yaml"), map[string]string{
		"https://cluster.example.com:6443": server.URL,
		placeholderCA:                      base64.StdEncoding.EncodeToString(server.CertificateAuthority),
	})
	dir := t.TempDir()
	for _, name := range []string{"kubectl-oidc_login", "kubelogin"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(plugin), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(binaries.Kubectl, filepath.Join(dir, "kubectl")); err != nil {
		t.Fatal(err)
	}
	var contexts struct{ Contexts []struct{ Name string } }
	if err := yaml.Unmarshal([]byte(kubeconfig), &contexts); err != nil || len(contexts.Contexts) < 5 {
		t.Fatalf("%v, contexts %v", err, contexts)
	}
	file := filepath.Join(dir, "kubeconfig")
	writeFile(t, file, kubeconfig)

	for _, context := range contexts.Contexts {
		t.Run(context.Name, func(t *testing.T) {
			example := startExample(t, context.Name)
			webhook.Configure(t, cluster.Documents(t, example.documents...))
			cluster.Eventually(t, "the configuration is in force", time.Minute, func() error {
				if checks := running.Readyz(t); !strings.Contains(checks, "[+]issuer/"+context.Name+" ") {
					return fmt.Errorf("/readyz answers\n%s", checks)
				}
				return nil
			})
			writeFile(t, filepath.Join(dir, "token"), example.issuer.Sign(example.claims))
			shell := shell{Dir: dir, Env: []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir, "KUBECONFIG=" + file, "PLUGIN_DIR=" + dir}}
			out, err := shell.run(t, "kubectl --context "+context.Name+" auth whoami")
			if want := table(example.user); err != nil || out != want {
				t.Fatalf("%v: kubectl prints\n%swant\n%s", err, out, want)
			}
			asked := strings.Split(strings.TrimSpace(readFile(t, filepath.Join(dir, "args"))), "\n")
			want := []string{"get-token", "--oidc-issuer-url=" + example.issuer.URL, "--oidc-client-id=" + example.clientID}
			if context.Name == "entra-v1" {
				tenant := strings.Split(example.issuer.URL, "/")[3]
				want = []string{"get-token", "--tenant-id=" + tenant, "--server-id=" + example.clientID, "--client-id=" + fmt.Sprint(example.claims["appid"])}
			}
			for _, arg := range want {
				if !slices.Contains(asked, arg) {
					t.Errorf("the plugin is not asked for %s, only for %q", arg, asked)
				}
			}
		})
	}
}
