package bootstrap

import "fmt"

// rke2 writes for clusters of RKE2, whose kube-apiserver is a static pod.
func rke2() Target {
	return Target{
		Name:    "rke2",
		Summary: "static pod for clusters of RKE2, and a part of its configuration",
		node:    true,
		flags:   []string{"image"},
		files:   func(in inputs) ([]File, error) { return in.rancherFiles("rke2") },
		next:    func(in inputs) string { return in.rancherNext("rke2", "rke2-server") },
	}
}

// k3s writes for clusters of K3s, whose kube-apiserver is a part of its own process.
func k3s() Target {
	return Target{
		Name:    "k3s",
		Summary: "static pod for clusters of K3s, and a part of its configuration",
		node:    true,
		flags:   []string{"image"},
		files:   func(in inputs) ([]File, error) { return in.rancherFiles("k3s") },
		next:    func(in inputs) string { return in.rancherNext("k3s", "k3s") },
	}
}

func (in inputs) rancherFiles(distribution string) ([]File, error) {
	pod, err := in.staticPod()
	if err != nil {
		return nil, err
	}
	part, err := render(distribution+".yaml", in.apiServerOptions())
	if err != nil {
		return nil, err
	}
	return []File{
		// K3s and RKE2 both read all files of config.yaml.d after config.yaml.
		nodeFile("/etc/rancher/"+distribution+"/config.yaml.d/50-tokenreview-webhook.yaml", permPrivate, part),
		nodeFile("/var/lib/rancher/"+distribution+"/agent/pod-manifests/tokenreview-webhook.yaml", permPrivate, pod),
	}, nil
}

func (in inputs) rancherNext(distribution, service string) string {
	return fmt.Sprintf(`
On every server node, one after the other:

1. Put the archive of `+"`make image`"+` where images are imported from:
     install -D -m 0600 tokenreview-webhook.oci.tar /var/lib/rancher/%[2]s/agent/images/tokenreview-webhook-%[4]s.tar
2. Make the folder for saved keys:
     install --directory --owner=65532 --group=0 --mode=0700 /var/lib/tokenreview-webhook
3. Copy what is in %[1]s/node to /, for root:
     tar -C %[1]s/node --owner=root:0 --group=root:0 -cf - etc var | ssh NODE sudo tar -C / --no-overwrite-dir -xpf -
4. Restart it, and see that the webhook is ready:
     systemctl restart %[3]s
     curl --fail http://127.0.0.1:8081/readyz
The steps one by one: docs/rke2-k3s.md
`, in.shellDir(), distribution, service, imageTag(in.Version))
}
