package bootstrap

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"tokenreview.dev/webhook/internal/regularfile"
)

const (
	// kubeadmFile is kubeadm's configuration, in Options.Dir.
	kubeadmFile = "kubeadm.yaml"
	// kubeadmVersion is that of kubeadm's configuration since 1.31.
	kubeadmVersion = "kubeadm.k8s.io/v1beta4"
	// volumeName is that of apiServerDir in kube-apiserver's pod.
	volumeName = "tokenreview-webhook"

	maxKubeadmConfig = 1 << 20
)

// kubeadm writes for clusters that kubeadm makes.
func kubeadm() Target {
	return Target{
		Name:    "kubeadm",
		Summary: "static pod for clusters of kubeadm, and kubeadm's configuration",
		node:    true,
		flags:   []string{"image", "kubeadm-config"},
		files:   inputs.kubeadmFiles,
		next:    inputs.kubeadmNext,
	}
}

func (in inputs) kubeadmFiles() ([]File, error) {
	pod, err := in.staticPod()
	if err != nil {
		return nil, err
	}
	configuration, err := in.kubeadmConfiguration()
	if err != nil {
		return nil, err
	}
	return []File{
		nodeFile("/etc/kubernetes/manifests/tokenreview-webhook.yaml", permPrivate, pod),
		{Name: kubeadmFile, Mode: permPrivate, Content: configuration},
	}, nil
}

// kubeadmConfiguration tells kubeadm how to start kube-apiserver: in a configuration of
// its own, or in that of a cluster that there is.
func (in inputs) kubeadmConfiguration() ([]byte, error) {
	if in.KubeadmConfig == "" {
		return render(kubeadmFile, in.apiServerOptions())
	}
	existing, err := regularfile.Read(in.KubeadmConfig, maxKubeadmConfig)
	if err != nil {
		return nil, fmt.Errorf("kubeadm-config: %w", err)
	}
	completed, err := in.completeKubeadm(existing)
	if err != nil {
		return nil, fmt.Errorf("kubeadm-config: %s: %w", in.KubeadmConfig, err)
	}
	return completed, nil
}

// completeKubeadm adds to a ClusterConfiguration what kube-apiserver needs, in the place
// of what was added before. Everything else stays as it is.
func (in inputs) completeKubeadm(existing []byte) ([]byte, error) {
	if err := checkOneDocument(existing); err != nil {
		return nil, err
	}
	var config map[string]any
	if err := yaml.UnmarshalStrict(existing, &config); err != nil {
		return nil, err
	}
	if config["kind"] != "ClusterConfiguration" || config["apiVersion"] != kubeadmVersion {
		return nil, fmt.Errorf("expected a ClusterConfiguration of %s, got %v of %v: of an older version's `kubeadm config migrate` makes one, as one of two documents", kubeadmVersion, config["kind"], config["apiVersion"])
	}
	apiServer, err := child(config, "apiServer")
	if err != nil {
		return nil, err
	}
	args, volumes := []any{}, []any{}
	for _, flag := range in.apiServerFlags() {
		args = append(args, map[string]any{"name": flag.Name, "value": flag.Value})
	}
	volumes = append(volumes, map[string]any{
		"name": volumeName, "hostPath": apiServerDir, "mountPath": apiServerDir, "readOnly": true, "pathType": "Directory",
	})
	if apiServer["extraArgs"], err = replaceNamed(apiServer["extraArgs"], args); err != nil {
		return nil, fmt.Errorf("apiServer.extraArgs: %w", err)
	}
	if apiServer["extraVolumes"], err = replaceNamed(apiServer["extraVolumes"], volumes); err != nil {
		return nil, fmt.Errorf("apiServer.extraVolumes: %w", err)
	}
	return yaml.Marshal(config)
}

// checkOneDocument refuses more than one, of which the others would be lost, and aliases:
// kubeadm writes none, and few bytes with them can be gigabytes when written out.
func checkOneDocument(text []byte) error {
	decoder := yamlv3.NewDecoder(bytes.NewReader(text))
	var first, second yamlv3.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil // what is missing is said elsewhere
	case err != nil:
		return err
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return errors.New("expected the ClusterConfiguration alone, as the ConfigMap kubeadm-config has it, and there are more documents")
	}
	if alias := findAlias(&first); alias != nil {
		return fmt.Errorf("line %d: expected a ClusterConfiguration as the ConfigMap kubeadm-config has it, without aliases: write out *%s", alias.Line, alias.Value)
	}
	return nil
}

func findAlias(node *yamlv3.Node) *yamlv3.Node {
	if node.Kind == yamlv3.AliasNode {
		return node
	}
	for _, child := range node.Content {
		if alias := findAlias(child); alias != nil {
			return alias
		}
	}
	return nil
}

// child returns the object at a key, made if it is missing.
func child(parent map[string]any, key string) (map[string]any, error) {
	switch value := parent[key].(type) {
	case nil:
		made := map[string]any{}
		parent[key] = made
		return made, nil
	case map[string]any:
		return value, nil
	default:
		return nil, fmt.Errorf("%s: expected an object", key)
	}
}

// replaceNamed appends objects to a list, without those that go by one of their names.
func replaceNamed(list any, additions []any) ([]any, error) {
	names := map[string]bool{}
	for _, addition := range additions {
		names[addition.(map[string]any)["name"].(string)] = true
	}
	var result []any
	switch list := list.(type) {
	case nil:
	case []any:
		for _, item := range list {
			object, ok := item.(map[string]any)
			name, named := object["name"].(string)
			if !ok || !named {
				return nil, errors.New("expected a list of objects with names")
			}
			if !names[name] {
				result = append(result, object)
			}
		}
	default:
		return nil, errors.New("expected a list")
	}
	return append(result, additions...), nil
}

// apiServerOptions are what templates tell kube-apiserver.
type apiServerOptions struct {
	Flags  []apiServerFlag
	Volume string
	// Dir is apiServerDir.
	Dir string
}

func (in inputs) apiServerOptions() apiServerOptions {
	return apiServerOptions{Flags: in.apiServerFlags(), Volume: volumeName, Dir: apiServerDir}
}

func (in inputs) kubeadmNext() string {
	return fmt.Sprintf(`
1. Import the image of `+"`make image`"+` on every control-plane node:
     ctr --namespace k8s.io images import tokenreview-webhook.oci.tar
2. Make the folder for saved keys there:
     install --directory --owner=65532 --group=0 --mode=0700 /var/lib/tokenreview-webhook
3. Copy what is in %[1]s/node to / of every control-plane node, for root, one node after the other:
     tar -C %[1]s/node --owner=root:0 --group=root:0 -cf - etc | ssh NODE sudo tar -C / --no-overwrite-dir -xpf -
4. A new cluster: kubeadm init --config with a copy of %[1]s/kubeadm.yaml, completed as you need it.
   One that there is: see docs/kubeadm.md.
`, in.shellDir())
}
