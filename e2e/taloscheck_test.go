package e2e

import (
	"encoding/base64"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// machineConfig are the parts of a machine configuration that a patch is about.
type machineConfig struct {
	Machine struct {
		Files []struct {
			Path, Content, Op string
			Permissions       int
		}
		Pods []map[string]any
	}
	Cluster struct {
		APIServer struct {
			ExtraArgs    map[string]string
			ExtraVolumes []map[string]any
		}
	}
	// Those of documents.
	Kind, Name, Contents string
	Mode                 int
	Pod                  map[string]any
}

// check looks at a patched machine configuration.
func (i talosInstallation) check(t *testing.T, version, patched string) {
	t.Helper()
	type file struct {
		content string
		mode    int
	}
	files := map[string]file{}
	var pods []map[string]any
	var args map[string]string
	var volumes []map[string]any
	for text := range strings.SplitSeq(patched, "\n---\n") {
		var document machineConfig
		if err := yaml.Unmarshal([]byte(text+"\n"), &document); err != nil {
			t.Fatal(err)
		}
		switch document.Kind {
		case "":
			for _, f := range document.Machine.Files {
				if f.Op != "create" {
					t.Errorf("%s: op %q", f.Path, f.Op)
				}
				files[f.Path] = file{f.Content, f.Permissions}
			}
			pods = append(pods, document.Machine.Pods...)
			args, volumes = document.Cluster.APIServer.ExtraArgs, document.Cluster.APIServer.ExtraVolumes
		case "EtcFileConfig":
			files["/etc/"+document.Name] = file{document.Contents, document.Mode}
		case "KubeStaticPodConfig":
			pods = append(pods, document.Pod)
		}
	}
	dir := "/etc/tokenreview-webhook"
	if version == "1.13" {
		dir = "/var/lib/tokenreview-webhook"
	}
	pki := func(name string) string { return readFile(t, i.dir, "pki", name) }
	want := map[string]file{
		dir + "/config/webhook.yaml": {readFile(t, i.webhook.ConfigFile), 0o640},
		dir + "/pki/tls.crt":         {pki("tls.crt"), 0o640},
		dir + "/pki/tls.key":         {pki("tls.key"), 0o640},
		dir + "/pki/ca.crt":          {pki("ca.crt"), 0o640},
	}
	if version != "1.15" {
		for _, name := range []string{"webhook.kubeconfig", "ca.crt", "apiserver.crt", "apiserver.key"} {
			want[dir+"/apiserver/"+name] = file{pki(name), 0o644}
		}
		if args["authentication-token-webhook-config-file"] != "/etc/tokenreview-webhook/apiserver/webhook.kubeconfig" ||
			args["authentication-token-webhook-version"] != "v1" || args["authentication-token-webhook-cache-ttl"] != "2m" {
			t.Errorf("kube-apiserver is given %v", args)
		}
		if len(volumes) != 1 || !reflect.DeepEqual(volumes[0], map[string]any{
			"hostPath": dir + "/apiserver", "mountPath": "/etc/tokenreview-webhook/apiserver", "readonly": true,
		}) {
			t.Errorf("into kube-apiserver is mounted %v", volumes)
		}
	}
	for name, f := range want {
		if files[name] != f {
			t.Errorf("%s: mode %#o and content\n%s\nwant %#o and\n%s", name, files[name].mode, files[name].content, f.mode, f.content)
		}
	}
	for name := range files {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is more than is needed", name)
		}
	}
	if len(pods) != 1 {
		t.Fatalf("%d static pods", len(pods))
	}
	checkTalosPod(t, pods[0], dir)
}

// checkTalosPod says whether a pod is one to Kubernetes, which Talos does not look at, and
// whether it finds its files.
func checkTalosPod(t *testing.T, document map[string]any, dir string) {
	t.Helper()
	text, err := yaml.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict(text, &pod); err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{}
	for _, volume := range pod.Spec.Volumes {
		// kubelet would look where it does not see the host's files.
		if volume.HostPath == nil || volume.HostPath.Type != nil {
			t.Errorf("volume %s: %v", volume.Name, volume.VolumeSource)
			continue
		}
		paths[volume.Name] = volume.HostPath.Path
	}
	mounts := map[string]string{}
	for _, mount := range pod.Spec.Containers[0].VolumeMounts {
		mounts[mount.MountPath] = paths[mount.Name]
	}
	want := map[string]string{
		"/etc/tokenreview-webhook/config": dir + "/config",
		"/etc/tokenreview-webhook/pki":    dir + "/pki",
		"/var/lib/tokenreview-webhook":    "/var/lib/tokenreview-webhook/state",
	}
	if !reflect.DeepEqual(mounts, want) {
		t.Errorf("mounts %v, want %v", mounts, want)
	}
}

// withoutWebhookDocument is a patch without what Talos' code does not know yet, which is
// compared with its documentation instead: the fields, and what they may say.
// https://docs.siderolabs.com/talos/v1.15/reference/configuration/kubernetes/kubeauthenticationwebhookconfig
func withoutWebhookDocument(t *testing.T, patch string) string {
	t.Helper()
	first, rest, _ := strings.Cut(readFile(t, patch), "\n---\n")
	var document struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Kubeconfig string `json:"kubeconfig"`
		Version    string `json:"version"`
		CacheTTL   string `json:"cacheTTL"`
	}
	if err := yaml.UnmarshalStrict([]byte(first), &document); err != nil {
		t.Fatal(err)
	}
	if document.APIVersion != "v1alpha1" || document.Kind != "KubeAuthenticationWebhookConfig" || document.Version != "v1" {
		t.Errorf("got %s %s for TokenReviews %s", document.APIVersion, document.Kind, document.Version)
	}
	if ttl, err := time.ParseDuration(document.CacheTTL); err != nil || ttl != 2*time.Minute {
		t.Errorf("cacheTTL is %q", document.CacheTTL)
	}
	var kubeconfig struct {
		Users []struct {
			User map[string]string `json:"user"`
		} `json:"users"`
	}
	if err := yaml.Unmarshal([]byte(document.Kubeconfig), &kubeconfig); err != nil {
		t.Fatal(err)
	}
	for _, user := range kubeconfig.Users {
		for field, value := range user.User {
			if _, err := base64.StdEncoding.DecodeString(value); err != nil || !strings.HasSuffix(field, "-data") {
				t.Errorf("Talos does not support %s in the kubeconfig", field)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "patch.yaml")
	writeFile(t, file, rest)
	return file
}
