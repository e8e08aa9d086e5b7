package bootstrap

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// inCluster is an operator who wants the webhook as pods.
func inCluster(t *testing.T) Options {
	t.Helper()
	options := operator(t)
	options.Target = "kubernetes"
	options.Image = "registry.example.com/tokenreview-webhook:v1.0.0"
	options.ClusterIP = "10.96.0.43"
	return options
}

func TestWhatCannotRunInTheClusterIsSaid(t *testing.T) {
	for _, test := range []struct {
		what   string
		change func(*testing.T, *Options)
		want   string
	}{
		{"no address", func(_ *testing.T, o *Options) { o.ClusterIP = "" }, "cluster-ip: kube-apiserver finds the webhook at this address: choose a free one"},
		{"a name", func(_ *testing.T, o *Options) { o.ClusterIP = "webhook.example" }, `cluster-ip: "webhook.example" is no address that a Service can have`},
		{"a range", func(_ *testing.T, o *Options) { o.ClusterIP = "10.96.0.0/12" }, `cluster-ip: "10.96.0.0/12" is no address`},
		{"the machine itself", func(_ *testing.T, o *Options) { o.ClusterIP = "127.0.0.1" }, `cluster-ip: "127.0.0.1" is no address`},
		{"every machine", func(_ *testing.T, o *Options) { o.ClusterIP = "::" }, `cluster-ip: "::" is no address`},
		{"an address with a zone", func(_ *testing.T, o *Options) { o.ClusterIP = "fd00::1%eth0" }, `is no address`},
		{"IPv4 as IPv6", func(_ *testing.T, o *Options) { o.ClusterIP = "::ffff:10.96.0.43" }, "cluster-ip: write 10.96.0.43 for ::ffff:10.96.0.43"},
		{"IPv6 at its longest", func(_ *testing.T, o *Options) { o.ClusterIP = "fd00:0:0:0:0:0:0:2B" }, "cluster-ip: write fd00::2b for fd00:0:0:0:0:0:0:2B"},
		{"no image", func(_ *testing.T, o *Options) { o.Image = "" }, "image: nodes pull it, so target kubernetes has no default"},
		{"a version of Talos", func(_ *testing.T, o *Options) { o.TalosVersion = "1.13" }, "target kubernetes has no --talos-version"},
		{
			"a log that ends with its pod", func(t *testing.T, o *Options) {
				configure(t, *o, "/etc/tokenreview-webhook/config/keys.json", "/var/lib/tokenreview-webhook/audit.log")
			},
			"spec.audit.path: /var/lib/tokenreview-webhook/audit.log would be lost with its pod",
		},
		{
			"a file in a folder", func(t *testing.T, o *Options) {
				configure(t, *o, "/etc/tokenreview-webhook/config/more/keys.json", "-")
				writeFile(t, filepath.Join(filepath.Dir(o.ConfigFile), "more/keys.json"), `{"keys":[]}`)
			},
			"/etc/tokenreview-webhook/config/more/keys.json: a Secret cannot hold a file of this name",
		},
		{
			"more than a Secret holds", func(t *testing.T, o *Options) {
				writeFile(t, filepath.Join(filepath.Dir(o.ConfigFile), "keys.json"), `{"keys":[]}`+strings.Repeat(" ", 1<<20))
			},
			"bytes, and a Secret holds 1048576",
		},
	} {
		t.Run(test.what, func(t *testing.T) {
			options := inCluster(t)
			test.change(t, &options)
			_, err := Write(options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if files := filesBelow(t, options.Dir); len(files) > 0 {
				t.Errorf("written: %q", files)
			}
		})
	}
}

func TestTheServiceIsWhatTheCertificateIsFor(t *testing.T) {
	for address, url := range map[string]string{
		"10.96.0.43": "https://10.96.0.43/authenticate",
		"fd00::2b":   "https://[fd00::2b]/authenticate",
	} {
		options := inCluster(t)
		options.ClusterIP = address
		mustWrite(t, options)
		read := func(name string) []byte { return readFile(t, filepath.Join(options.Dir, name)) }
		block, _ := pem.Decode(read("kubernetes/pki/tls.crt"))
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range append([]string{address}, serviceNames...) {
			// As kube-apiserver does, which has an address in brackets.
			if certificate.VerifyHostname(host) != nil {
				t.Errorf("the serving certificate is not for %s", host)
			}
			if !bytes.Contains(read("kubernetes/cert-manager/certificates.yaml"), []byte(host)) {
				t.Errorf("cert-manager's is not for %s", host)
			}
		}
		if certificate.VerifyHostname("127.0.0.1") == nil {
			t.Error("the serving certificate is for loopback, too")
		}
		for name, want := range map[string]string{
			"node/etc/tokenreview-webhook/apiserver/webhook.kubeconfig": "server: " + url + "\n",
			"kubernetes/base/service.yaml":                              `clusterIP: "` + address + `"`,
		} {
			if have := string(read(name)); !strings.Contains(have, want) {
				t.Errorf("%s: no %q in\n%s", name, want, have)
			}
		}
	}
}

func TestWhatIsSecretInTheKustomizationsIsTheOperatorsAlone(t *testing.T) {
	options := inCluster(t)
	mustWrite(t, options)
	for _, name := range []string{"pki/tls.key", "base/config/webhook.yaml", "base/config/keys.json"} {
		info, err := os.Stat(filepath.Join(options.Dir, kubernetesDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if perm := info.Mode().Perm(); perm != 0o600 {
			t.Errorf("%s: mode %04o", name, perm)
		}
	}
}

// The webhook's own files go into the cluster, and only kube-apiserver's to the nodes.
func TestNodesGetNothingOfAWebhookInTheCluster(t *testing.T) {
	options := inCluster(t)
	mustWrite(t, options)
	var have []string
	for _, path := range filesBelow(t, filepath.Join(options.Dir, "node")) {
		have = append(have, strings.TrimPrefix(path, options.Dir+"/node/etc/tokenreview-webhook/"))
	}
	want := []string{"apiserver/apiserver.crt", "apiserver/apiserver.key", "apiserver/ca.crt", "apiserver/webhook.kubeconfig"}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("files of the node (-want +have):\n%s", diff)
	}
	// With cert-manager the pair is another, and the kubeconfig the same.
	if kubeconfig := readFile(t, filepath.Join(options.Dir, onNode, "apiserver/webhook.kubeconfig")); !bytes.Contains(kubeconfig, []byte("client-certificate: apiserver.crt\n")) {
		t.Errorf("the kubeconfig does not name the pair beside it:\n%s", kubeconfig)
	}
	if config := readFile(t, filepath.Join(options.Dir, "kubernetes/base/kustomization.yaml")); !bytes.Contains(config, []byte("\n  - config/keys.json\n")) {
		t.Errorf("the file that the configuration names is not in the Secret:\n%s", config)
	}
}

func TestPodsGoToControlPlaneNodesWhateverTheirLabelSays(t *testing.T) {
	options := inCluster(t)
	mustWrite(t, options)
	var deployment appsv1.Deployment
	if err := yaml.UnmarshalStrict(readFile(t, filepath.Join(options.Dir, "kubernetes/base/deployment.yaml")), &deployment); err != nil {
		t.Fatal(err)
	}
	pod := deployment.Spec.Template.Spec
	if pod.NodeSelector != nil {
		t.Errorf("got the node selector %v: RKE2 and K3s label nodes with \"true\", kubeadm with nothing", pod.NodeSelector)
	}
	want := &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
		{Key: "node-role.kubernetes.io/control-plane", Operator: corev1.NodeSelectorOpExists},
	}}}}
	if pod.Affinity == nil || pod.Affinity.NodeAffinity == nil {
		t.Fatal("nothing says which nodes")
	}
	if diff := cmp.Diff(want, pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution); diff != "" {
		t.Error(diff)
	}
}
