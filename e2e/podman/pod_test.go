//go:build linux

package podman

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/internal/issuertest"
)

// Where `webhook bootstrap kubeadm` has a node's files.
const (
	podFile    = "/etc/kubernetes/manifests/tokenreview-webhook.yaml"
	kubeconfig = "/etc/tokenreview-webhook/apiserver/webhook.kubeconfig"
	stateDir   = "/var/lib/tokenreview-webhook"
)

// The pod's container, as podman calls it.
const webhookContainer = "tokenreview-webhook-webhook"

// The user that the pod has the webhook run as.
const webhookUser = 65532

const audience = "e2e"

// patience is for what takes seconds, on machines that are busy with something else.
const patience = time.Minute

func TestTheStaticPodServesARealAPIServerAndHeals(t *testing.T) {
	needPodman(t)
	if enterSandbox(t) {
		return
	}
	binaries, err := cluster.BuildBinaries(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	issuer := issuertest.Start("")
	t.Cleanup(issuer.Close)
	issuer.Rotate(jwa.ES256)
	bootstrap(t, issuer)
	play(t)
	server := cluster.Start(t, binaries, cluster.Options{WebhookKubeconfig: kubeconfig, WebhookVersion: "v1"})

	comesUp := t.Run("kubectl tells who a token speaks for", func(t *testing.T) {
		token := issuer.Sign(claims("alice"))
		cluster.Eventually(t, "the pod is ready", patience, func() error {
			return server.Kubectl(t, cluster.Credential{Token: token}, "auth", "whoami").Err()
		})
		if table := server.Kubectl(t, cluster.Credential{Token: token}, "auth", "whoami").Must(t); !strings.Contains(table, "pod:alice") {
			t.Errorf("kubectl prints\n%s", table)
		}
	})
	if !comesUp {
		return
	}
	t.Run("the webhook can do nothing but serve", wantConfined)
	t.Run("the probe passes", func(t *testing.T) {
		run(t, "podman", "exec", webhookContainer, "/webhook", "probe", "http://127.0.0.1:8081/livez")
		// Old versions, such as 4.3, run a probe by a shell, which the image does not have.
		if inspect(t, webhookContainer).Config.Healthcheck.Test[0] == "CMD" {
			run(t, "podman", "healthcheck", "run", webhookContainer)
		}
	})
	heals := t.Run("killed under load, it comes back", func(t *testing.T) {
		load := startLoad(t, server, issuer)
		load.carriesOn(t)
		load.heals(t)
		load.carriesOn(t)
		load.stop(t)
	})
	if !heals {
		return
	}
	t.Run("killed while the issuer is away, it comes back with the keys that it saved", func(t *testing.T) {
		issuer.Close()
		load := startLoad(t, server, issuer)
		load.carriesOn(t)
		load.heals(t)
		load.carriesOn(t)
		load.stop(t)
	})
}

// bootstrap makes this machine a control-plane node, as the operator would.
func bootstrap(t *testing.T, issuer *issuertest.Issuer) {
	t.Helper()
	type object = map[string]any
	dir := t.TempDir()
	config := filepath.Join(dir, "webhook.yaml")
	documents := cluster.Documents(t, object{
		"apiVersion": "apiserver.config.k8s.io/v1",
		"kind":       "AuthenticationConfiguration",
		"jwt": []object{{
			"issuer": object{
				"url":                  issuer.URL,
				"certificateAuthority": issuer.CertificateAuthority(),
				"audiences":            []string{audience},
			},
			"claimMappings": object{"username": object{"claim": "sub", "prefix": "pod:"}},
		}},
	})
	if err := os.WriteFile(config, []byte(documents), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	run(t, binary(), "bootstrap", "kubeadm", "--config", config, "--dir", out)
	run(t, "cp", "-a", out+"/node/.", "/")
	run(t, "install", "--directory", "--owner="+strconv.Itoa(webhookUser), "--group=0", "--mode=0700", stateDir)
}

// play has podman start the pod from the very file that kubelet would.
func play(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { run(t, "podman", "kube", "down", podFile) })
	run(t, "podman", "kube", "play", podFile)
}

// wantConfined looks at the process as the kernel sees it, whatever podman says.
func wantConfined(t *testing.T) {
	found := inspect(t, webhookContainer)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", found.State.Pid))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		got[name] = strings.Join(strings.Fields(value), " ")
	}
	const none = "0000000000000000"
	for name, want := range map[string]string{
		"Uid":        "65532 65532 65532 65532",
		"Gid":        "0 0 0 0",
		"CapEff":     none,
		"CapPrm":     none,
		"CapInh":     none,
		"CapBnd":     none,
		"CapAmb":     none,
		"NoNewPrivs": "1",
		// It is filtered.
		"Seccomp": "2",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if !found.HostConfig.ReadonlyRootfs {
		t.Error("its root can be written")
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", found.State.Pid))
	if err != nil {
		t.Fatal(err)
	}
	writable := map[string]bool{}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if place := fields[4]; strings.HasPrefix(fields[5]+",", "rw,") {
			writable[place] = true
		}
	}
	for _, place := range []string{"/", "/etc/tokenreview-webhook/config", "/etc/tokenreview-webhook/pki"} {
		if writable[place] {
			t.Errorf("%s can be written", place)
		}
	}
	if !writable[stateDir] {
		t.Errorf("%s cannot be written", stateDir)
	}
}
