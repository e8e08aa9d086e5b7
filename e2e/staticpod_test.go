package e2e

import (
	"strings"
	"testing"

	"tokenreview.dev/webhook/e2e/cluster"
)

// kubelet asks nobody about a static pod, so a mistake in it shows on the node alone, where
// the field in question is just missing.
func TestTheAPIServerFindsNothingWrongWithTheStaticPod(t *testing.T) {
	t.Parallel()
	server := cluster.Start(t, binaries, cluster.Options{})
	server.Admin(t, "get", "namespace", "kube-system")
	result := server.Kubectl(t, cluster.Credential{Token: server.AdminToken},
		"apply", "--dry-run=server", "--validate=strict", "--filename=../manifests/static-pod.yaml")
	if out := result.Must(t); !strings.Contains(out, "pod/tokenreview-webhook created (server dry run)") || result.Stderr != "" {
		t.Errorf("kubectl prints\n%s%s", out, result.Stderr)
	}
}
