package bootstrap

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// talosOperator is somebody with nodes of a version of Talos.
func talosOperator(t *testing.T, version string) Options {
	t.Helper()
	options := operator(t)
	options.Target, options.TalosVersion, options.Image = "talos", version, "registry.example.com/webhook:v1"
	if strings.Contains(version, "1.14") {
		options.MachineConfig = "testdata/machineconfig/controlplane.yaml"
	}
	return options
}

// patchDocuments are those of the patch that is written, by their kinds; the first one has none.
func patchDocuments(t *testing.T, options Options) map[string][]map[string]any {
	t.Helper()
	documents := map[string][]map[string]any{}
	for text := range bytes.SplitSeq(readFile(t, filepath.Join(options.Dir, talosPatch)), []byte("\n---\n")) {
		var document map[string]any
		// The line's end belongs to the text before it.
		if err := yaml.UnmarshalStrict(append(bytes.Clone(text), '\n'), &document); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		kind, _ := document["kind"].(string)
		documents[kind] = append(documents[kind], document)
	}
	return documents
}

// at is what a path of names and indices leads to.
func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := value.(map[string]any)
			value = m[step]
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil
			}
			value = list[step]
		}
	}
	return value
}

func TestAVersionOfTalosChoosesTheDocuments(t *testing.T) {
	for _, test := range []struct {
		version string
		// kinds are how many documents there are of each.
		kinds map[string]int
		// dir has the webhook's files.
		dir string
	}{
		{"1.9", map[string]int{"": 1}, "/var/lib/tokenreview-webhook"},
		{"v1.13.4", map[string]int{"": 1}, "/var/lib/tokenreview-webhook"},
		{"1.14.1", map[string]int{"": 1, "KubeStaticPodConfig": 1, "EtcFileConfig": 9}, "/etc/tokenreview-webhook"},
		{"1.15", map[string]int{"KubeAuthenticationWebhookConfig": 1, "KubeStaticPodConfig": 1, "EtcFileConfig": 5}, "/etc/tokenreview-webhook"},
		{"v1.15.0-alpha.1", map[string]int{"KubeAuthenticationWebhookConfig": 1, "KubeStaticPodConfig": 1, "EtcFileConfig": 5}, "/etc/tokenreview-webhook"},
		{"1.20", map[string]int{"KubeAuthenticationWebhookConfig": 1, "KubeStaticPodConfig": 1, "EtcFileConfig": 5}, "/etc/tokenreview-webhook"},
	} {
		t.Run(test.version, func(t *testing.T) {
			options := talosOperator(t, test.version)
			mustWrite(t, options)
			documents := patchDocuments(t, options)
			kinds := map[string]int{}
			for kind, all := range documents {
				kinds[kind] = len(all)
			}
			if diff := cmp.Diff(test.kinds, kinds); diff != "" {
				t.Errorf("documents (-want +have):\n%s", diff)
			}
			var pod any
			if all := documents["KubeStaticPodConfig"]; all != nil {
				pod = all[0]["pod"]
			} else {
				pod = at(documents[""][0], "machine", "pods", 0)
			}
			for i, want := range []map[string]any{
				{"path": test.dir + "/config"}, {"path": test.dir + "/pki"}, {"path": "/var/lib/tokenreview-webhook/state"},
			} {
				if diff := cmp.Diff(want, at(pod, "spec", "volumes", i, "hostPath")); diff != "" {
					t.Errorf("volume %d (-want +have):\n%s", i, diff)
				}
			}
		})
	}
}

func TestTheSecretsOfTalosAreTheOperatorsAlone(t *testing.T) {
	options := talosOperator(t, "1.13")
	mustWrite(t, options)
	info, err := os.Stat(filepath.Join(options.Dir, talosPatch))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("%s has mode %s", talosPatch, info.Mode())
	}
	if authority := readFile(t, filepath.Join(options.Dir, "pki/ca.key")); bytes.Contains(readFile(t, filepath.Join(options.Dir, talosPatch)), bytes.Split(authority, []byte("\n"))[1]) {
		t.Error("the authority's key would be on every node")
	}
	if left := filesBelow(t, filepath.Join(options.Dir, "node")); left != nil {
		t.Errorf("also written, for nobody: %s", left)
	}
}

func TestTalosMakesEveryFileAsItIsHere(t *testing.T) {
	for _, test := range []struct{ version, keys string }{
		{"1.13", "{\"keys\":[]}\n"},
		{"1.14", "{\"keys\":[]}\n"},
		{"1.15", "{\"keys\":[]}\n"},
		{"1.13", `{"keys":[]}`},
		{"1.13", "{\"keys\":[]}\n\n"},
		{"1.13", " {\"keys\":[]}\n"},
		{"1.13", "\n  {\"keys\":[]}\n"},
		{"1.13", "{\"keys\":\r\n[]}\r\n"},
		{"1.15", "\n  {\"keys\":\t[\n\n]}\r\n\n"},
		{"1.13", "{\n\n  \"keys\": [] }\n"},
		{"1.13", "{\"keys\":[],\"a\":\"\u0085\u0080\x7f\ufeff\u2028\U000e0001\"}\n"},
		{"1.15", "\ufeff{\"keys\":[],\"a\":\"\x7f\"}"},
	} {
		t.Run(test.version+" "+test.keys, func(t *testing.T) {
			options := talosOperator(t, test.version)
			dir := filepath.Dir(options.ConfigFile)
			writeFile(t, filepath.Join(dir, "keys.json"), test.keys)
			mustWrite(t, options)
			type file struct {
				mode    float64
				content string
			}
			read := func(name string) string { return string(readFile(t, filepath.Join(options.Dir, "pki", name))) }
			want := map[string]file{
				"config/webhook.yaml": {0o640, string(readFile(t, options.ConfigFile))},
				"config/keys.json":    {0o640, test.keys},
				"pki/tls.crt":         {0o640, read("tls.crt")},
				"pki/tls.key":         {0o640, read("tls.key")},
				"pki/ca.crt":          {0o640, read("ca.crt")},
			}
			// kube-apiserver's, which runs as somebody else than root there.
			if test.version != "1.15" {
				for name, of := range map[string]string{
					"webhook.kubeconfig": "webhook.kubeconfig", "ca.crt": "ca.crt", "apiserver.crt": "apiserver.crt", "apiserver.key": "apiserver.key",
				} {
					want["apiserver/"+name] = file{0o644, read(of)}
				}
			}
			have := map[string]file{}
			documents := patchDocuments(t, options)
			for _, document := range documents["EtcFileConfig"] {
				name, _ := strings.CutPrefix(document["name"].(string), "tokenreview-webhook/")
				have[name] = file{document["mode"].(float64), document["contents"].(string)}
			}
			if test.version == "1.13" {
				for _, entry := range at(documents[""][0], "machine", "files").([]any) {
					name, _ := strings.CutPrefix(at(entry, "path").(string), "/var/lib/tokenreview-webhook/")
					have[name] = file{at(entry, "permissions").(float64), at(entry, "content").(string)}
				}
			}
			if diff := cmp.Diff(want, have, cmp.AllowUnexported(file{})); diff != "" {
				t.Errorf("files (-want +have):\n%s", diff)
			}
		})
	}
}

func TestTalosHasKubeAPIServerAskTheWebhook(t *testing.T) {
	for _, version := range []string{"1.13", "1.14"} {
		t.Run(version, func(t *testing.T) {
			options := talosOperator(t, version)
			mustWrite(t, options)
			apiServer := at(patchDocuments(t, options)[""][0], "cluster", "apiServer")
			dir := map[string]string{"1.13": "/var/lib/tokenreview-webhook/apiserver", "1.14": "/etc/tokenreview-webhook/apiserver"}[version]
			want := map[string]any{
				"extraArgs": map[string]any{
					"authentication-token-webhook-config-file": "/etc/tokenreview-webhook/apiserver/webhook.kubeconfig",
					"authentication-token-webhook-version":     "v1",
					"authentication-token-webhook-cache-ttl":   "2m",
				},
				"extraVolumes": []any{map[string]any{
					"hostPath": dir, "mountPath": "/etc/tokenreview-webhook/apiserver", "readonly": true,
				}},
			}
			if diff := cmp.Diff(want, apiServer); diff != "" {
				t.Errorf("kube-apiserver (-want +have):\n%s", diff)
			}
		})
	}
	t.Run("1.15", func(t *testing.T) {
		options := talosOperator(t, "1.15")
		mustWrite(t, options)
		document := patchDocuments(t, options)["KubeAuthenticationWebhookConfig"][0]
		text, _ := document["kubeconfig"].(string)
		delete(document, "kubeconfig")
		want := map[string]any{"apiVersion": "v1alpha1", "kind": "KubeAuthenticationWebhookConfig", "version": "v1", "cacheTTL": "2m"}
		if diff := cmp.Diff(want, document); diff != "" {
			t.Errorf("document (-want +have):\n%s", diff)
		}
		kubeconfig, err := clientcmd.Load([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		// Talos mounts no file beside it.
		if err := clientcmd.ConfirmUsable(*kubeconfig, kubeconfig.CurrentContext); err != nil {
			t.Error(err)
		}
		for name, user := range kubeconfig.AuthInfos {
			if user.ClientCertificate != "" || user.ClientKey != "" || len(user.ClientKeyData) == 0 {
				t.Errorf("user %s needs a file", name)
			}
		}
		for name, cluster := range kubeconfig.Clusters {
			if cluster.CertificateAuthority != "" || len(cluster.CertificateAuthorityData) == 0 {
				t.Errorf("cluster %s needs a file", name)
			}
		}
	})
}

func TestWhatTalosCannotDoIsSaid(t *testing.T) {
	machineConfig := func(name string) func(*Options) {
		return func(o *Options) { o.MachineConfig = filepath.Join("testdata/machineconfig", name) }
	}
	for _, test := range []struct {
		what, version string
		change        func(*Options)
		want          string
	}{
		{"no version", "", func(*Options) {}, `talos-version: expected the version that the nodes run, such as 1.13, got ""`},
		{"no version of Talos", "2.0", func(*Options) {}, `got "2.0"`},
		{"a version and more", "1.13 ", func(*Options) {}, `got "1.13 "`},
		{"a version that is no number", "1.99999999999999999999", func(*Options) {}, `got "1.99999999999999999999"`},
		{"no image", "1.13", func(o *Options) { o.Image = "" }, "image: nodes pull it, so target talos has no default"},
		{"a flag of another target", "1.13", func(o *Options) { o.ClusterIP = "10.0.0.1" }, "target talos has no --cluster-ip"},
		{
			"1.14 and nobody looked at the machine configuration", "1.14", func(o *Options) { o.MachineConfig = "" },
			"machine-config: with Talos 1.14 the webhook can be had by some machine configurations and not by others: name a file with that of a control-plane node",
		},
		{
			"1.14 with KubeAPIServerConfig", "1.14.1", machineConfig("apiserverconfig.yaml"),
			"apiserverconfig.yaml: has a document KubeAPIServerConfig. Into a kube-apiserver that is configured by it Talos 1.14 mounts nothing, so it could not read how to reach the webhook. Either upgrade to Talos 1.15 and use --talos-version 1.15, or say in .cluster.apiServer",
		},
		{"the machine configuration of a worker", "1.13", machineConfig("worker.yaml"), "worker.yaml: is not that of a control-plane node"},
		{"a webhook already", "1.13", machineConfig("asks-already.yaml"), "asks-already.yaml: has kube-apiserver ask a webhook already. Give the configuration from before"},
		{"flags of before 1.15", "1.15", machineConfig("asks-already.yaml"), "has kube-apiserver ask a webhook already"},
		{"Talos' own document already", "1.15", machineConfig("asks-already-1.15.yaml"), "has kube-apiserver ask a webhook already"},
		{"no machine configuration", "1.13", func(o *Options) { o.MachineConfig = o.ConfigFile }, "my.yaml: is no machine configuration: it has no .machine.type"},
		{"a machine configuration with a part of another type", "1.13", machineConfig("wrong-type.yaml"), "wrong-type.yaml: is no machine configuration: a part of it has the wrong type"},
		{"a machine configuration with a wrong tag", "1.13", machineConfig("wrong-tag.yaml"), "wrong-tag.yaml: is no machine configuration: it is not valid YAML"},
		{"a machine configuration with an alias of nothing", "1.13", machineConfig("no-anchor.yaml"), "no-anchor.yaml: is no machine configuration: it is not valid YAML"},
		{"no file", "1.13", machineConfig("none.yaml"), "machine-config: open testdata/machineconfig/none.yaml: no such file"},
	} {
		t.Run(test.what, func(t *testing.T) {
			options := talosOperator(t, test.version)
			test.change(&options)
			_, err := Write(options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "aaaaaa") {
				t.Errorf("a secret of the cluster is in: %v", err)
			}
			if files := filesBelow(t, options.Dir); files != nil {
				t.Errorf("written all the same: %s", files)
			}
		})
	}
}

func TestAFileThatIsNoTextCannotBeInAMachineConfiguration(t *testing.T) {
	for what, keys := range map[string]string{"not UTF-8": "\xff\xfe", "a zero": "{}\x00"} {
		t.Run(what, func(t *testing.T) {
			options := talosOperator(t, "1.13")
			writeFile(t, filepath.Join(filepath.Dir(options.ConfigFile), "keys.json"), keys)
			if _, err := Write(options); err == nil || !strings.Contains(err.Error(), "config/keys.json is not text, and a machine configuration holds nothing else") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// 1.15 takes KubeAPIServerConfig, which new clusters have.
func TestAMachineConfigurationThatFitsIsTaken(t *testing.T) {
	for version, name := range map[string]string{"1.13": "controlplane.yaml", "1.14": "controlplane.yaml", "1.15": "apiserverconfig.yaml"} {
		options := talosOperator(t, version)
		options.MachineConfig = filepath.Join("testdata/machineconfig", name)
		if report := mustWrite(t, options); !strings.Contains(report.Next, "--config-patch @"+options.Dir+"/talos-patch.yaml") {
			t.Errorf("%s: no next step in %q", version, report.Next)
		}
	}
}
