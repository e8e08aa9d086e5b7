package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/yaml"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/manifests/acceptance"
	"tokenreview.dev/webhook/pkg/reason"
)

// Case E with two real clusters: the tokens are what `kubectl create token` gets
// from the one, the keys are where its discovery document says.
func TestServiceAccountsOfAnotherCluster(t *testing.T) {
	t.Parallel()
	other := cluster.Start(t, binaries, cluster.Options{})
	// No controller runs that would make the account.
	cluster.Eventually(t, "the namespace default is there", 30*time.Second, func() error {
		return other.Kubectl(t, cluster.Credential{Token: other.AdminToken}, "get", "namespace", "default").Err()
	})
	other.Admin(t, "create", "serviceaccount", "default")
	other.Admin(t, "run", "jump", "--image=registry.example.com/pause", `--overrides={"spec":{"serviceAccountName":"default"}}`)
	other.Admin(t, "apply", "--filename="+recipe("issuer-discovery"))
	accountUID := other.Admin(t, "get", "serviceaccount", "default", "--output=jsonpath={.metadata.uid}")

	podUID := other.Admin(t, "get", "pod", "jump", "--output=jsonpath={.metadata.uid}")

	webhook := cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, trustCluster(t, other, accountUID)...))
	webhook.Start(t)
	server := cluster.Start(t, binaries, cluster.Options{WebhookKubeconfig: webhook.Kubeconfig, WebhookVersion: "v1"})

	createToken := func(t *testing.T, args ...string) string {
		t.Helper()
		out := other.Admin(t, append([]string{"create", "token", "default"}, args...)...)
		return strings.TrimSpace(out)
	}

	t.Run("the token of a pod is its account of that cluster", func(t *testing.T) {
		token := createToken(t, "--audience=test", "--bound-object-kind=Pod", "--bound-object-name=jump")
		whoami := server.Kubectl(t, cluster.Credential{Token: token}, "auth", "whoami").Must(t)
		t.Logf("kubectl auth whoami\n%s", whoami)
		want := table(&user.DefaultInfo{
			Name:   "build:system:serviceaccount:default:default",
			UID:    accountUID,
			Groups: []string{"build:system:serviceaccounts", "build:system:serviceaccounts:default"},
			Extra: map[string][]string{
				"authentication.kubernetes.io/credential-id": {"JTI=" + tokenID(t, token)},
				"tokenreview.dev/cluster":                    {"build"},
				"tokenreview.dev/pod-name":                   {"jump"},
				"tokenreview.dev/pod-uid":                    {podUID},
				"tokenreview.dev/serviceaccount-uid":         {accountUID},
			},
		})
		if whoami != want {
			t.Errorf("kubectl prints\n%swant\n%s", whoami, want)
		}
	})
	t.Run("the token of another account of its namespace is refused", func(t *testing.T) {
		other.Admin(t, "create", "serviceaccount", "builder")
		token := strings.TrimSpace(other.Admin(t, "create", "token", "builder", "--audience=test"))
		wantRefusal(t, server, token, "build", reason.Refusal{Code: reason.ServiceAccountNotAllowed, Text: "default/builder"})
	})
	t.Run("a token for that cluster itself is refused", func(t *testing.T) {
		wantRefusal(t, server, createToken(t), "build", reason.Refusal{Code: reason.AudienceMismatch})
	})
	t.Run("a token of the cluster's own account, made out to the audience of the other, is refused", func(t *testing.T) {
		server.Admin(t, "create", "serviceaccount", "default")
		token := strings.TrimSpace(server.Admin(t, "create", "token", "default", "--audience=test"))
		wantRefusal(t, server, token, "", reason.Refusal{Code: reason.IssuerUnknown})
	})
}

// trustCluster is the published configuration of case E, with a real cluster in
// the issuer's place, and the uid that its account has.
func trustCluster(t *testing.T, other *cluster.APIServer, accountUID string) []any {
	t.Helper()
	data, err := acceptance.Files.ReadFile("e-other-cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first, second, _ := strings.Cut(string(data), "\n---\n")
	var configuration, policy object
	if err := errors.Join(yaml.Unmarshal([]byte(first), &configuration), yaml.Unmarshal([]byte(second), &policy)); err != nil {
		t.Fatal(err)
	}
	issuer := configuration["jwt"].([]any)[0].(object)["issuer"].(object)
	issuer["url"] = other.URL
	issuer["certificateAuthority"] = string(other.CertificateAuthority)
	delete(issuer, "discoveryURL")
	spec := policy["spec"].(object)
	spec["issuer"] = other.URL
	spec["kubernetes"].(object)["allow"].([]any)[0].(object)["uid"] = accountUID
	return []any{configuration, policy}
}

// tokenID is the jti of a token (RFC 7519 §4.1.7), which the API server chose.
func tokenID(t *testing.T, token string) string {
	t.Helper()
	_, payload, _ := parts(t, token)
	data, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ JTI string }
	if err := json.Unmarshal(data, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.JTI
}
