package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
)

// The recipes for accounts of another cluster, with tokens of a real one.
func TestAccountsOfAnotherClusterMayDoWhatTheyAreBoundTo(t *testing.T) {
	t.Parallel()
	other := cluster.Start(t, binaries, cluster.Options{})
	for _, namespace := range []string{"ci", "monitoring"} {
		other.Admin(t, "create", "namespace", namespace)
	}
	for _, account := range [][2]string{{"ci", "deployer"}, {"ci", "tester"}, {"monitoring", "prometheus"}} {
		other.Admin(t, "create", "serviceaccount", account[1], "--namespace="+account[0])
	}
	readKeys := func(want int) error {
		code, body, err := other.Anonymously(t.Context(), "/openid/v1/jwks")
		if err == nil && code != want {
			err = fmt.Errorf("expected %d, got %d: %s", want, code, body)
		}
		return err
	}
	t.Run("strangers may not read the other cluster's keys", func(t *testing.T) {
		if err := readKeys(http.StatusForbidden); err != nil {
			t.Error(err)
		}
	})
	other.Admin(t, "apply", "--filename="+recipe("issuer-discovery"))
	cluster.Eventually(t, "strangers may read them after the recipe", 10*time.Second, func() error { return readKeys(http.StatusOK) })

	webhook := cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, authentication(object{
		"issuer":        object{"url": other.URL, "certificateAuthority": string(other.CertificateAuthority), "audiences": []string{"my-cluster"}},
		"claimMappings": object{"username": object{"claim": "sub", "prefix": "build:"}},
	}), object{
		"apiVersion": "tokenreview.dev/v1alpha1",
		"kind":       "IssuerPolicy",
		"metadata":   object{"name": "build"},
		"spec":       object{"issuer": other.URL, "kubernetes": object{"clusterName": "build"}},
	}))
	webhook.Start(t)
	server := cluster.Start(t, binaries, cluster.Options{WebhookKubeconfig: webhook.Kubeconfig, WebhookVersion: "v1"})
	for _, role := range []string{"view", "edit"} {
		fillRole(t, server, role)
	}
	server.Admin(t, "create", "namespace", "shop")
	for _, name := range []string{"other-cluster", "metrics"} {
		server.Admin(t, "apply", "--filename="+recipe(name))
	}
	token := func(namespace, account string) string {
		t.Helper()
		return strings.TrimSpace(other.Admin(t, "create", "token", account, "--namespace="+namespace, "--audience=my-cluster"))
	}
	asks(t, server, "the account that deploys", token("ci", "deployer"),
		[]string{"create deployments.apps -n shop", "delete pods -n shop", "list pods -n shop"},
		[]string{"create rolebindings -n shop", "create deployments.apps -n default", "list pods -n default", "get /metrics"})
	asks(t, server, "another account of its namespace", token("ci", "tester"),
		[]string{"list pods -n shop"},
		[]string{"create deployments.apps -n shop", "delete pods -n shop", "get secrets -n shop", "list pods -n default"})
	asks(t, server, "the account that reads metrics", token("monitoring", "prometheus"),
		[]string{"get /metrics"},
		[]string{"list pods -n shop", "get /logs/"})

	t.Run("the account that reads metrics is served some", func(t *testing.T) {
		metrics := server.Kubectl(t, cluster.Credential{Token: token("monitoring", "prometheus")}, "get", "--raw", "/metrics").Must(t)
		if !strings.Contains(metrics, "\nauthentication_attempts{") {
			t.Errorf("expected the API server's, got %.200s", metrics)
		}
	})
	t.Run("the account of the same name in this cluster may nothing", func(t *testing.T) {
		server.Admin(t, "create", "namespace", "ci")
		server.Admin(t, "create", "serviceaccount", "deployer", "--namespace=ci")
		own := strings.TrimSpace(server.Admin(t, "create", "token", "deployer", "--namespace=ci"))
		asks(t, server, "it", own, nil, []string{"list pods -n shop", "create deployments.apps -n shop"})
	})
}
