package bootstrap

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"tokenreview.dev/webhook/internal/certs"
)

// kubernetesDir has the kustomizations, in Options.Dir.
const kubernetesDir = "kubernetes"

// serviceNames are those of the webhook's Service, for people in the cluster who ask by
// hand. kube-apiserver goes by the address.
var serviceNames = []string{
	"tokenreview-webhook.tokenreview-system.svc",
	"tokenreview-webhook.tokenreview-system.svc.cluster.local",
}

// kubernetes writes a Deployment, which depends on the cluster that it guards.
func kubernetes() Target {
	return Target{
		Name:    "kubernetes",
		Summary: "Deployment in the cluster that it guards, for kubectl apply -k",
		pulls:   true,
		flags:   []string{"image", "cluster-ip"},
		options: (*Options).validateClusterIP,
		certs: func(options Options, wanted *certs.Options) {
			wanted.Hosts = append([]string{options.ClusterIP}, serviceNames...)
			wanted.Server = serviceURL(options.ClusterIP)
		},
		apiServer: true,
		files:     inputs.kubernetesFiles,
		next:      inputs.kubernetesNext,
	}
}

func (o *Options) validateClusterIP() error {
	var errs []error
	switch ip, err := netip.ParseAddr(o.ClusterIP); {
	case o.ClusterIP == "":
		errs = append(errs, errors.New("cluster-ip: kube-apiserver finds the webhook at this address: choose a free one of the cluster's service range (kube-apiserver's --service-cluster-ip-range), near its beginning, where the cluster chooses none by itself, such as 10.96.0.43"))
	case err != nil || ip.Zone() != "" || ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() || ip.IsLinkLocalUnicast():
		errs = append(errs, fmt.Errorf("cluster-ip: %q is no address that a Service can have", o.ClusterIP))
	case ip.Is4In6() || ip.String() != o.ClusterIP:
		// The API server wants it written this way, too.
		errs = append(errs, fmt.Errorf("cluster-ip: write %s for %s", ip.Unmap(), o.ClusterIP))
	}
	return errors.Join(errs...)
}

// serviceURL is where kube-apiserver finds the webhook.
func serviceURL(clusterIP string) string {
	host := clusterIP
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return (&url.URL{Scheme: "https", Host: host, Path: "/authenticate"}).String()
}

func (in inputs) kubernetesFiles() ([]File, error) {
	if in.auditFile != "" {
		return nil, fmt.Errorf("WebhookConfiguration: spec.audit.path: %s would be lost with its pod: leave it out, and the log goes to standard output", in.auditFile)
	}
	var files []File
	add := func(name string, mode uint32, content []byte) {
		files = append(files, File{Name: kubernetesDir + "/" + name, Mode: mode, Content: content})
	}
	var errs []error
	size := 0
	for _, file := range in.config {
		size += len(file.Content)
		// What becomes a key of a Secret, which has no folders.
		if len(validation.IsConfigMapKey(file.Name)) > 0 {
			errs = append(errs, fmt.Errorf("%s/%s: a Secret cannot hold a file of this name: letters, digits, '-', '_' and '.' are possible, and no folders", configDir, file.Name))
		}
		add("base/config/"+file.Name, permPrivate, file.Content)
	}
	if size > corev1.MaxSecretSize {
		errs = append(errs, fmt.Errorf("the configuration and the files that it names are %d bytes, and a Secret holds %d", size, corev1.MaxSecretSize))
	}
	for _, manifest := range []struct{ name, template string }{
		{"base/kustomization.yaml", "base-kustomization.yaml"},
		{"base/namespace.yaml", "namespace.yaml"},
		{"base/serviceaccount.yaml", "serviceaccount.yaml"},
		{"base/deployment.yaml", "deployment.yaml"},
		{"base/service.yaml", "service.yaml"},
		{"base/poddisruptionbudget.yaml", "poddisruptionbudget.yaml"},
		{"base/networkpolicy.yaml", "networkpolicy.yaml"},
		{"pki/kustomization.yaml", "pki-kustomization.yaml"},
		{"cert-manager/kustomization.yaml", "cert-manager-kustomization.yaml"},
		{"cert-manager/certificates.yaml", "certificates.yaml"},
	} {
		content, err := render("kubernetes/"+manifest.template, struct {
			Options
			Config       []File
			ServiceNames []string
		}{in.Options, in.config, serviceNames})
		errs = append(errs, err)
		add(manifest.name, permPublic, content)
	}
	add("pki/tls.crt", permPublic, in.serving.certificate)
	add("pki/tls.key", permPrivate, in.serving.key)
	add("pki/ca.crt", permPublic, in.ca)
	return files, errors.Join(errs...)
}

func (in inputs) kubernetesNext() string {
	return fmt.Sprintf(`
The Deployment depends on the cluster that it guards: keep a client certificate to come in with.

1. Apply one of these, where the second wants cert-manager:
     kubectl apply --server-side -k %[1]s/kubernetes/pki
     kubectl apply --server-side -k %[1]s/kubernetes/cert-manager
2. Copy what is in %[1]s/node to / of every control-plane node, for root. (With cert-manager the pair
   and the CA are in the Secret tokenreview-webhook-apiserver.)
     tar -C %[1]s/node --owner=root:0 --group=root:0 -cf - etc | ssh NODE sudo tar -C / --no-overwrite-dir -xpf -
3. Mount /etc/tokenreview-webhook/apiserver into kube-apiserver, read-only, and give it the flags
%[2]s
The steps one by one: docs/kubernetes.md
`, in.shellDir(), in.apiServerFlagLines("     "))
}
