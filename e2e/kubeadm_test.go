package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"tokenreview.dev/webhook/e2e/cluster"
)

// The steps of docs/kubeadm.md for a cluster that there is, as far as they go without a node:
// kubeadm keeps its configuration in a ConfigMap, from which it makes the manifest of every
// control-plane node, now, at upgrades and for new nodes.
func TestTheConfigurationThatKubeadmKeepsIsCompletedAndPutBack(t *testing.T) {
	t.Parallel()
	server := cluster.Start(t, binaries, cluster.Options{})
	kubeconfig := server.Kubeconfig(t, cluster.Credential{Token: server.AdminToken})
	dir := t.TempDir()
	upload := func(configuration string) {
		t.Helper()
		runKubeadm(t, dir, "init", "phase", "upload-config", "kubeadm", "--config="+configuration, "--kubeconfig="+kubeconfig)
	}
	kept := func() string {
		t.Helper()
		return server.Admin(t, "--namespace=kube-system", "get", "configmap", "kubeadm-config", "--output=jsonpath={.data.ClusterConfiguration}")
	}
	upload(clusterConfiguration(t))
	before := kept()
	saved := filepath.Join(dir, "cluster.yaml")
	if err := os.WriteFile(saved, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}

	issuer := startIssuer(t)
	webhook := cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, authentication(trust(issuer, "e2e:"))))
	out := filepath.Join(dir, "out")
	webhook.Run(t, "bootstrap", "kubeadm", "--config="+webhook.ConfigFile, "--dir="+out, "--kubeadm-config="+saved).Must(t)
	completed := filepath.Join(out, "kubeadm.yaml")
	written, err := os.ReadFile(completed)
	if err != nil {
		t.Fatal(err)
	}
	upload(completed)
	// So the difference that the operator has looked at is all there is.
	if have := kept(); have != string(written) {
		t.Errorf("kubeadm keeps\n%s\nof\n%s", have, written)
	}
	got := startedByKubeadm(t, out)
	want := []string{
		"--authentication-token-webhook-config-file=/etc/tokenreview-webhook/apiserver/webhook.kubeconfig",
		"--authentication-token-webhook-version=v1",
		"--authentication-token-webhook-cache-ttl=2m",
	}
	if !slices.Equal(got.flags, want) || !slices.Equal(got.mounts, []string{"/etc/tokenreview-webhook/apiserver"}) {
		t.Errorf("kube-apiserver is started with %q and sees %q", got.flags, got.mounts)
	}

	upload(saved)
	if have := kept(); have != before {
		t.Errorf("put back is\n%s\nand was\n%s", have, before)
	}
}
