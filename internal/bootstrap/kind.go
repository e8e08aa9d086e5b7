package bootstrap

import (
	"fmt"
	"path/filepath"
)

// kindFile is kind's configuration, in Options.Dir.
const kindFile = "kind.yaml"

// kind writes for a cluster in containers on somebody's own machine.
func kind() Target {
	return Target{
		Name:     "kind",
		Summary:  "configuration of kind, to try the static pod on your own machine",
		node:     true,
		flags:    []string{"image"},
		readable: true,
		files: func(in inputs) ([]File, error) {
			pod, err := in.staticPod()
			if err != nil {
				return nil, err
			}
			// kind takes a relative path from where it is called.
			node, err := filepath.Abs(filepath.Join(in.Dir, nodeDir))
			if err != nil {
				return nil, err
			}
			configuration, err := render(kindFile, struct {
				apiServerOptions
				Node string
			}{in.apiServerOptions(), node})
			if err != nil {
				return nil, err
			}
			return []File{
				nodeFile("/etc/kubernetes/manifests/tokenreview-webhook.yaml", permPrivate, pod),
				{Name: kindFile, Mode: permPrivate, Content: configuration},
			}, nil
		},
		next: func(in inputs) string {
			return fmt.Sprintf(`
     kind create cluster --config %[1]s/kind.yaml
     docker exec kind-control-plane install --directory --owner=65532 --group=0 --mode=0700 /var/lib/tokenreview-webhook
     kind load image-archive bin/tokenreview-webhook.oci.tar
The steps one by one: docs/kind.md
`, in.shellDir())
		},
	}
}
