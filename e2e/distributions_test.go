package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	kindv1alpha4 "sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/yaml"

	"tokenreview.dev/webhook/e2e/cluster"
)

// started is how a distribution starts kube-apiserver, as far as we have a part in it.
type started struct {
	// flags are ours, with their dashes.
	flags []string
	// mounts are the host's folders in it, read-only.
	mounts []string
}

// What each distribution is told of kube-apiserver is read the way it reads that, and a real
// kube-apiserver then runs with it, beside the webhook that the static pod starts.
func TestEveryDistributionStartsAnAPIServerThatAsks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		target string
		// pod is where the node's kubelet finds static pods.
		pod  string
		read func(t *testing.T, dir string) started
		// args are of `webhook bootstrap`.
		args []string
	}{
		{target: "kubeadm", pod: "etc/kubernetes/manifests", read: startedByKubeadm, args: []string{"--kubeadm-config=" + clusterConfiguration(t)}},
		{target: "kind", pod: "etc/kubernetes/manifests", read: startedByKind},
		{target: "rke2", pod: "var/lib/rancher/rke2/agent/pod-manifests", read: startedByRKE2},
		{target: "k3s", pod: "var/lib/rancher/k3s/agent/pod-manifests", read: startedByK3s},
	} {
		t.Run(test.target, func(t *testing.T) {
			t.Parallel()
			issuer := startIssuer(t)
			webhook := cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, authentication(trust(issuer, "e2e:"))))
			dir := t.TempDir()
			webhook.Run(t, append([]string{"bootstrap", test.target, "--config=" + webhook.ConfigFile, "--dir=" + dir}, test.args...)...).Must(t)
			node := filepath.Join(dir, "node")

			pod := readPod(t, filepath.Join(node, test.pod, "tokenreview-webhook.yaml"))
			serve := pod.Spec.Containers[0].Command
			if len(serve) < 3 || serve[0] != "/webhook" || serve[1] != "serve" {
				t.Fatalf("the pod starts %q", serve)
			}
			webhook.Launch(t, cluster.Launch{Flags: here(t, serve[2:], node, map[string]string{
				"--bind-address": "127.0.0.1", "--secure-port": "8443", "--health-bind-address": "127.0.0.1:8081",
			})})

			const apiServer = "/etc/tokenreview-webhook/apiserver"
			kubeconfig := filepath.Join(node, apiServer, "webhook.kubeconfig")
			leadTo(t, kubeconfig, webhook.Address(), "127.0.0.1", ":8443")
			got := test.read(t, dir)
			// K3s' kube-apiserver is on the host itself.
			if test.target != "k3s" && !slices.Equal(got.mounts, []string{apiServer}) {
				t.Errorf("it sees %q of the host, want %s", got.mounts, apiServer)
			}
			if len(got.flags) != 3 {
				t.Errorf("its flags are %q", got.flags)
			}
			server := cluster.Start(t, binaries, cluster.Options{Flags: here(t, got.flags, node, nil)})
			wantWhoami(t, server, issuer.Sign(claims("alice", 1)), "e2e:alice-1")
		})
	}
}

// clusterConfiguration is that of a cluster that there is. It names the version, which kubeadm
// would look for in the internet.
func clusterConfiguration(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cluster.yaml")
	const configuration = `apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.36.0
apiServer:
  extraArgs: [{name: v, value: "4"}]
`
	if err := os.WriteFile(path, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startedByKubeadm has kubeadm make kube-apiserver's static pod of its configuration.
func startedByKubeadm(t *testing.T, dir string) started {
	t.Helper()
	pod := apiServerByKubeadm(t, filepath.Join(dir, "kubeadm.yaml"))
	if command := pod.Spec.Containers[0].Command; !slices.Contains(command, "--v=4") {
		t.Errorf("what the cluster had before is not among %q", command)
	}
	return ourPart(pod)
}

// apiServerByKubeadm is the static pod that kubeadm would put on a node.
func apiServerByKubeadm(t *testing.T, configuration string) corev1.Pod {
	t.Helper()
	made := t.TempDir()
	runKubeadm(t, made, "config", "validate", "--config="+configuration)
	runKubeadm(t, made, "init", "phase", "control-plane", "apiserver", "--dry-run", "--config="+configuration)
	return readPod(t, filepath.Join(made, "kube-apiserver.yaml"))
}

// ourPart is what of kube-apiserver's static pod is about the webhook.
func ourPart(pod corev1.Pod) started {
	container := pod.Spec.Containers[0]
	var result started
	for _, arg := range container.Command {
		if strings.HasPrefix(arg, "--authentication-token-webhook-") {
			result.flags = append(result.flags, arg)
		}
	}
	for _, volume := range pod.Spec.Volumes {
		i := slices.IndexFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume.Name })
		if volume.Name == "tokenreview-webhook" && i >= 0 && container.VolumeMounts[i].ReadOnly && container.VolumeMounts[i].MountPath == volume.HostPath.Path {
			result.mounts = append(result.mounts, volume.HostPath.Path)
		}
	}
	return result
}

// runKubeadm has kubeadm write what it would put on a node into a folder.
func runKubeadm(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binaries.Kubeadm, args...)
	cmd.Env = []string{"KUBEADM_INIT_DRYRUN_DIR=" + dir, "HOME=" + dir}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kubeadm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// startedByKind reads kind's configuration by kind's own types, and has kubeadm make of the patched
// configuration what it would in a node of kind.
func startedByKind(t *testing.T, dir string) started {
	t.Helper()
	var config kindv1alpha4.Cluster
	readYAML(t, filepath.Join(dir, "kind.yaml"), &config)
	if config.APIVersion != "kind.x-k8s.io/v1alpha4" || config.Kind != "Cluster" || len(config.Nodes) != 1 || config.Nodes[0].Role != kindv1alpha4.ControlPlaneRole {
		t.Fatalf("kind.yaml is %+v", config)
	}
	for _, mount := range config.Nodes[0].ExtraMounts {
		// Each is in its place in the mirror.
		if mount.HostPath != filepath.Join(dir, "node", mount.ContainerPath) || !mount.Readonly {
			t.Errorf("the node has %s as %s", mount.HostPath, mount.ContainerPath)
		}
		if _, err := os.Stat(mount.HostPath); err != nil {
			t.Error(err)
		}
	}
	if len(config.Nodes[0].KubeadmConfigPatches) != 1 {
		t.Fatalf("kubeadm's patches are %q", config.Nodes[0].KubeadmConfigPatches)
	}
	configuration := filepath.Join(t.TempDir(), "kubeadm.yaml")
	if err := os.WriteFile(configuration, patchedByKind(t, config.Nodes[0].KubeadmConfigPatches[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	return ourPart(apiServerByKubeadm(t, configuration))
}

// patchedByKind is what kind's patch makes of kubeadm's configuration since Kubernetes 1.36. kind
// finds the document by its kind. If the patch has no apiVersion, its arguments are an object,
// which kind turns into the list that this version of the configuration has (mergeExtraArgs in
// kind's pkg/internal/patch, which cannot be imported). The rest is merged as it is.
func patchedByKind(t *testing.T, patch string) []byte {
	t.Helper()
	var config map[string]any
	if err := yaml.UnmarshalStrict([]byte(patch), &config); err != nil {
		t.Fatal(err)
	}
	if version, ok := config["apiVersion"]; ok || config["kind"] != "ClusterConfiguration" {
		t.Fatalf("kind patches a %v of %v", config["kind"], version)
	}
	apiServer, _ := config["apiServer"].(map[string]any)
	args, ok := apiServer["extraArgs"].(map[string]any)
	if !ok {
		t.Fatalf("the arguments are %v", apiServer["extraArgs"])
	}
	var list []any
	for name, value := range args {
		list = append(list, map[string]any{"name": name, "value": value})
	}
	apiServer["extraArgs"] = list
	config["apiVersion"], config["kubernetesVersion"] = "kubeadm.k8s.io/v1beta4", "v1.36.0"
	patched, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return patched
}

// rancherPart is a file of config.yaml.d. A + adds to what other files say.
type rancherPart struct {
	Args   []string `json:"kube-apiserver-arg+"`
	Mounts []string `json:"kube-apiserver-extra-mount+"`
}

func startedByRKE2(t *testing.T, dir string) started { return startedByRancher(t, dir, "rke2") }
func startedByK3s(t *testing.T, dir string) started  { return startedByRancher(t, dir, "k3s") }

// startedByRancher reads RKE2's and K3s' configuration. There are no types of theirs that
// could be imported.
func startedByRancher(t *testing.T, dir, distribution string) started {
	t.Helper()
	var part rancherPart
	readYAML(t, filepath.Join(dir, "node/etc/rancher", distribution, "config.yaml.d/50-tokenreview-webhook.yaml"), &part)
	var result started
	for _, arg := range part.Args {
		result.flags = append(result.flags, "--"+arg)
	}
	for _, mount := range part.Mounts {
		host, rest, _ := strings.Cut(mount, ":")
		if rest == host+":ro" {
			result.mounts = append(result.mounts, host)
		}
	}
	return result
}

func readPod(t *testing.T, path string) corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	readYAML(t, path, &pod)
	if pod.Kind != "Pod" || len(pod.Spec.Containers) != 1 {
		t.Fatalf("%s is no pod of one container", path)
	}
	return pod
}

// readYAML reads a file in which nothing is unknown.
func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(bytes.TrimSpace(data), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
