package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/yaml"

	"tokenreview.dev/webhook/e2e/cluster"
)

// The published pod: another cluster takes it, and with the token that a kubelet would get
// for its volume its kubeconfig leads into this one. No kubelet runs.
func TestThePublishedPodOfAnotherCluster(t *testing.T) {
	t.Parallel()
	other := cluster.Start(t, binaries, cluster.Options{})
	other.Admin(t, "create", "namespace", "ci")
	other.Admin(t, "apply", "--filename="+recipe("issuer-discovery"))
	file := signIn("other-cluster-pod.yaml")
	var account corev1.ServiceAccount
	var config corev1.ConfigMap
	var pod corev1.Pod
	documents := strings.Split(readFile(t, file), "\n---\n")
	for i, into := range []any{&account, &config, &pod} {
		if err := yaml.UnmarshalStrict([]byte(documents[i]), into); err != nil {
			t.Fatal(err)
		}
	}
	cluster.Eventually(t, "the namespace takes objects", 30*time.Second, func() error {
		return other.Kubectl(t, cluster.Credential{Token: other.AdminToken}, "apply", "--dry-run=server", "--validate=strict", "--filename="+file).Err()
	})
	other.Admin(t, "label", "namespace", "ci", "pod-security.kubernetes.io/enforce=restricted")
	other.Admin(t, "apply", "--filename="+file)
	accountUID := other.Admin(t, "get", "serviceaccount", account.Name, "--namespace=ci", "--output=jsonpath={.metadata.uid}")
	podUID := other.Admin(t, "get", "pod", pod.Name, "--namespace=ci", "--output=jsonpath={.metadata.uid}")

	example := startExample(t, "kubernetes")
	issuer := example.documents[0].(object)["jwt"].([]any)[0].(object)["issuer"].(object)
	issuer["url"], issuer["certificateAuthority"] = other.URL, string(other.CertificateAuthority)
	delete(issuer, "discoveryURL")
	spec := example.documents[1].(object)["spec"].(object)
	spec["issuer"] = other.URL
	spec["kubernetes"].(object)["allow"].([]any)[0].(object)["uid"] = accountUID
	webhook := cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, example.documents...))
	webhook.Start(t)
	server := cluster.Start(t, binaries, cluster.Options{WebhookKubeconfig: webhook.Kubeconfig, WebhookVersion: "v1"})

	// What a kubelet does with the volume.
	projected, mounted := tokenOf(t, &pod)
	token := strings.TrimSpace(other.Admin(t, "create", "token", account.Name, "--namespace=ci", "--audience="+projected.Audience,
		fmt.Sprintf("--duration=%ds", *projected.ExpirationSeconds), "--bound-object-kind=Pod", "--bound-object-name="+pod.Name, "--bound-object-uid="+podUID))
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "token"), token)
	if pod.Spec.Containers[0].Env[0].Value != "/etc/my-cluster/kubeconfig" || pod.Spec.Containers[0].VolumeMounts[0].MountPath != "/etc/my-cluster" {
		t.Errorf("the container finds no kubeconfig: %+v", pod.Spec.Containers[0])
	}
	kubeconfig := config.Data["kubeconfig"]
	for old, value := range map[string]string{
		"https://cluster.example.com:6443": server.URL,
		placeholderCA:                      base64.StdEncoding.EncodeToString(server.CertificateAuthority),
		mounted:                            filepath.Join(dir, "token"),
	} {
		if strings.Count(kubeconfig, old) != 1 {
			t.Fatalf("expected %q once in\n%s", old, kubeconfig)
		}
		kubeconfig = strings.Replace(kubeconfig, old, value, 1)
	}
	writeFile(t, filepath.Join(dir, "kubeconfig"), kubeconfig)

	command := pod.Spec.Containers[0].Command
	if err := os.Symlink(binaries.Kubectl, filepath.Join(dir, "kubectl")); err != nil {
		t.Fatal(err)
	}
	out, err := shell{Dir: dir, Env: []string{"PATH=" + dir + ":/usr/bin:/bin", "HOME=" + dir, "KUBECONFIG=" + filepath.Join(dir, "kubeconfig")}}.
		run(t, strings.Join(command, " "))
	want := table(&user.DefaultInfo{
		Name:   "build:system:serviceaccount:ci:deployer",
		UID:    accountUID,
		Groups: []string{"build:system:serviceaccounts", "build:system:serviceaccounts:ci"},
		Extra: map[string][]string{
			"authentication.kubernetes.io/credential-id": {"JTI=" + tokenID(t, token)},
			"tokenreview.dev/cluster":                    {"build"},
			"tokenreview.dev/pod-name":                   {pod.Name},
			"tokenreview.dev/pod-uid":                    {podUID},
			"tokenreview.dev/serviceaccount-uid":         {accountUID},
		},
	})
	if err != nil || out != want {
		t.Errorf("%v: kubectl prints\n%swant\n%s", err, out, want)
	}
}

// tokenOf is the token that a pod's volume asks for, and the path at which its container finds it.
func tokenOf(t *testing.T, pod *corev1.Pod) (token *corev1.ServiceAccountTokenProjection, path string) {
	t.Helper()
	for _, volume := range pod.Spec.Volumes {
		if volume.Projected == nil {
			continue
		}
		token := volume.Projected.Sources[0].ServiceAccountToken
		for _, mount := range pod.Spec.Containers[0].VolumeMounts {
			if mount.Name == volume.Name {
				return token, filepath.Join(mount.MountPath, token.Path)
			}
		}
	}
	t.Fatal("the pod mounts no token")
	return nil, ""
}
