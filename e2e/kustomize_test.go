package e2e

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"tokenreview.dev/webhook/e2e/cluster"
)

// serviceIP is one of the API server's range for Services.
const serviceIP = "10.0.0.10"

// inCluster is a webhook that is to run as pods of the cluster that it guards.
type inCluster struct {
	webhook *cluster.Webhook
	token   string
	// dir is what was written.
	dir    string
	server *cluster.APIServer
}

func installInCluster(t *testing.T) inCluster {
	t.Helper()
	issuer := startIssuer(t)
	c := inCluster{
		webhook: cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, authentication(trust(issuer, "e2e:")))),
		token:   issuer.Sign(claims("alice", 1)),
		dir:     filepath.Join(t.TempDir(), "out"),
	}
	c.webhook.Run(t, "bootstrap", "kubernetes", "--config="+c.webhook.ConfigFile, "--dir="+c.dir,
		"--image=registry.example.com/tokenreview-webhook:v1", "--cluster-ip="+serviceIP).Must(t)
	kubeconfig := filepath.Join(c.dir, "node/etc/tokenreview-webhook/apiserver/webhook.kubeconfig")
	leadTo(t, kubeconfig, c.webhook.Address(), serviceIP, "")
	c.server = cluster.Start(t, binaries, cluster.Options{WebhookKubeconfig: kubeconfig, WebhookVersion: "v1"})
	return c
}

func (c inCluster) folder(name string) string { return filepath.Join(c.dir, "kubernetes", name) }

// quietly runs kubectl as an administrator, who must not be warned of anything.
func (c inCluster) quietly(t *testing.T, args ...string) string {
	t.Helper()
	result := c.server.Kubectl(t, cluster.Credential{Token: c.server.AdminToken}, args...)
	out := result.Must(t)
	if result.Stderr != "" {
		t.Errorf("kubectl %s says\n%s", strings.Join(args, " "), result.Stderr)
	}
	return out
}

// deployment and the Secrets, by name, of a kustomization.
func (c inCluster) objects(t *testing.T, folder string) (deployment appsv1.Deployment, secrets map[string]corev1.Secret) {
	t.Helper()
	secrets = map[string]corev1.Secret{}
	for _, document := range strings.Split(c.quietly(t, "kustomize", folder), "\n---\n") {
		var kind struct{ Kind string }
		var secret corev1.Secret
		var err error
		if err = yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatal(err)
		}
		switch kind.Kind {
		case "Deployment":
			err = yaml.UnmarshalStrict([]byte(document), &deployment)
		case "Secret":
			err = yaml.UnmarshalStrict([]byte(document), &secret)
			secrets[secret.Name] = secret
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return deployment, secrets
}

func TestARealAPIServerTakesTheKustomizations(t *testing.T) {
	t.Parallel()
	c := installInCluster(t)
	c.server.InstallCertManagerTypes(t)
	// What is only tried does not exist for what is tried next: the namespace has to be there.
	c.quietly(t, "apply", "--server-side", "--filename="+c.folder("base/namespace.yaml"))
	for folder, certificates := range map[string]int{"pki": 0, "cert-manager": 4} {
		t.Run(folder, func(t *testing.T) {
			names := strings.Fields(c.quietly(t, "apply", "--server-side", "--dry-run=server", "--output=name", "--kustomize="+c.folder(folder)))
			for _, want := range []string{
				"namespace/tokenreview-system", "serviceaccount/tokenreview-webhook", "deployment.apps/tokenreview-webhook",
				"service/tokenreview-webhook", "poddisruptionbudget.policy/tokenreview-webhook",
				"networkpolicy.networking.k8s.io/tokenreview-webhook",
			} {
				if !slices.Contains(names, want) {
					t.Errorf("no %s among %q", want, names)
				}
			}
			is := func(name string) bool { return strings.HasPrefix(name, "certificate.cert-manager.io/") }
			if have := len(slices.DeleteFunc(names, func(name string) bool { return !is(name) })); have != certificates {
				t.Errorf("%d certificates of cert-manager, want %d", have, certificates)
			}
		})
	}
	t.Run("the one of the page", func(t *testing.T) {
		own := filepath.Dir(c.dir)
		if err := os.WriteFile(filepath.Join(own, "kustomization.yaml"), []byte(ownKustomization(t)), 0o600); err != nil {
			t.Fatal(err)
		}
		c.quietly(t, "apply", "--server-side", "--dry-run=server", "--kustomize="+own)
		changed := c.quietly(t, "kustomize", own)
		for _, want := range []string{"replicas: 3\n", "port: 8443\n      protocol: TCP\n  ingress:", "kubernetes.io/metadata.name: observability\n"} {
			if !strings.Contains(changed, want) {
				t.Errorf("no %q in\n%s", want, changed)
			}
		}
	})
	t.Run("a pod of the Deployment", func(t *testing.T) {
		deployment, _ := c.objects(t, c.folder("pki"))
		pod := corev1.Pod{ObjectMeta: deployment.Spec.Template.ObjectMeta, Spec: deployment.Spec.Template.Spec}
		pod.APIVersion, pod.Kind, pod.Name, pod.Namespace = "v1", "Pod", "tokenreview-webhook-0", deployment.Namespace
		data, err := json.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "pod.json")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c.quietly(t, "create", "--dry-run=server", "--filename="+file)
	})
}

func TestThePodsOfTheDeploymentServeARealAPIServer(t *testing.T) {
	t.Parallel()
	c := installInCluster(t)
	deployment, secrets := c.objects(t, c.folder("pki"))
	spec := deployment.Spec.Template.Spec
	root := t.TempDir()
	for _, mount := range spec.Containers[0].VolumeMounts {
		i := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		place := filepath.Join(root, mount.MountPath)
		if spec.Volumes[i].EmptyDir != nil {
			makeEmptyDir(t, place)
			continue
		}
		name := spec.Volumes[i].Secret.SecretName
		secret, ok := secrets[name]
		if !ok || len(secret.Data) == 0 {
			t.Fatalf("no Secret %q, which the volume %s is", name, mount.Name)
		}
		if err := os.MkdirAll(place, 0o700); err != nil {
			t.Fatal(err)
		}
		for key, content := range secret.Data {
			if err := os.WriteFile(filepath.Join(place, key), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	command := spec.Containers[0].Command
	if command[0] != "/webhook" || command[1] != "serve" {
		t.Fatalf("the container runs %q", command)
	}
	// Until each check passes, saved keys included.
	c.webhook.Launch(t, cluster.Launch{Flags: here(t, command[2:], root, map[string]string{
		"--bind-address": "", "--secure-port": "8443", "--health-bind-address": ":8081",
	})})
	wantWhoami(t, c.server, c.token, "e2e:alice-1")
}

// ownKustomization is the example of docs/kubernetes.md.
func ownKustomization(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(page), "```yaml\n# kustomization.yaml\n")
	example, _, _ = strings.Cut(example, "```\n")
	if !found {
		t.Fatal("the page has no kustomization.yaml")
	}
	return example
}

// makeEmptyDir is what kubelet does for a volume emptyDir: a folder for everyone.
func makeEmptyDir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, fs.ModeSetgid|0o777); err != nil {
		t.Fatal(err)
	}
}
