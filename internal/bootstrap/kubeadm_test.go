package bootstrap

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheConfigurationOfAClusterIsCompleted(t *testing.T) {
	const head = "apiVersion: kubeadm.k8s.io/v1beta4\nclusterName: mine\nkind: ClusterConfiguration\n"
	const ours = `  - name: authentication-token-webhook-config-file
    value: /etc/tokenreview-webhook/apiserver/webhook.kubeconfig
  - name: authentication-token-webhook-version
    value: v1
  - name: authentication-token-webhook-cache-ttl
    value: 2m
`
	const volume = `  - hostPath: /etc/tokenreview-webhook/apiserver
    mountPath: /etc/tokenreview-webhook/apiserver
    name: tokenreview-webhook
    pathType: Directory
    readOnly: true
`
	for _, test := range []struct{ what, existing, want string }{
		{
			"one that says nothing of the API server", head,
			"apiServer:\n  extraArgs:\n" + ours + "  extraVolumes:\n" + volume + head,
		},
		{
			"one with arguments and volumes of its own",
			head + "apiServer:\n  certSANs: [a]\n  extraArgs: [{name: v, value: \"4\"}]\n  extraVolumes: [{name: audit, hostPath: /a, mountPath: /b}]\n",
			"apiServer:\n  certSANs:\n  - a\n  extraArgs:\n  - name: v\n    value: \"4\"\n" + ours +
				"  extraVolumes:\n  - hostPath: /a\n    mountPath: /b\n    name: audit\n" + volume + head,
		},
		{
			"one that was completed with another time to cache",
			head + "apiServer:\n  extraArgs:\n" + strings.Replace(ours, "2m", "10s", 1) + "  - name: v\n    value: \"4\"\n  extraVolumes:\n" + volume,
			"apiServer:\n  extraArgs:\n  - name: v\n    value: \"4\"\n" + ours + "  extraVolumes:\n" + volume + head,
		},
	} {
		t.Run(test.what, func(t *testing.T) {
			options := operator(t)
			options.KubeadmConfig = filepath.Join(t.TempDir(), "cluster.yaml")
			writeFile(t, options.KubeadmConfig, test.existing)
			mustWrite(t, options)
			have := string(readFile(t, filepath.Join(options.Dir, "kubeadm.yaml")))
			if diff := cmp.Diff(test.want, have); diff != "" {
				t.Errorf("kubeadm.yaml (-want +have):\n%s", diff)
			}
		})
	}
}

func TestWhatIsNoClusterConfigurationIsNotCompleted(t *testing.T) {
	const head = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
	for _, test := range []struct{ what, existing, want string }{
		{"an older version", "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n", "got ClusterConfiguration of kubeadm.k8s.io/v1beta3: of an older version's `kubeadm config migrate` makes one, as one of two documents"},
		{"another kind", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n", "got InitConfiguration of kubeadm.k8s.io/v1beta4"},
		{"the whole ConfigMap", "apiVersion: v1\nkind: ConfigMap\n", "got ConfigMap of v1"},
		{"two documents", head + "---\n" + head, "and there are more documents"},
		{"an API server that is no object", head + "apiServer: [1]\n", "apiServer: expected an object"},
		{"arguments as an object", head + "apiServer: {extraArgs: {v: \"4\"}}\n", "apiServer.extraArgs: expected a list"},
		{"volumes that are no objects", head + "apiServer: {extraVolumes: [1]}\n", "apiServer.extraVolumes: expected a list of objects with names"},
		{"an argument whose name is an object", head + "apiServer: {extraArgs: [{name: {a: b}, value: c}]}\n", "apiServer.extraArgs: expected a list of objects with names"},
		{"two documents with the other mark", head + "...\nkind: InitConfiguration\n", "and there are more documents"},
		{"much in few bytes", head + "a: &a [" + strings.Repeat("x,", 100) + "]\nb: [*a, *a]\n", "line 4: expected a ClusterConfiguration as the ConfigMap kubeadm-config has it, without aliases: write out *a"},
		{"nothing", "", "got <nil> of <nil>"},
		{"a field twice", head + "a: 1\na: 2\n", `key "a" already set`},
	} {
		t.Run(test.what, func(t *testing.T) {
			options := operator(t)
			options.KubeadmConfig = filepath.Join(t.TempDir(), "cluster.yaml")
			writeFile(t, options.KubeadmConfig, test.existing)
			if _, err := Write(options); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if files := filesBelow(t, options.Dir); len(files) > 0 {
				t.Errorf("written: %q", files)
			}
		})
	}
}
