package bootstrap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"tokenreview.dev/webhook/internal/regularfile"
)

// maxMachineConfig is above what Talos takes: 4 MiB is all that its API receives at once.
const maxMachineConfig = 8 << 20

// machineConfig is what matters here of a machine configuration.
type machineConfig struct {
	// machineType is controlplane, worker or, of old, init.
	machineType string
	// documents are the kinds of those that have taken over parts of the first one.
	documents []string
	// args are the names of arguments for kube-apiserver.
	args []string
}

// checkMachineConfig says why the patch for Talos 1.MINOR must not be applied to a machine
// configuration. That file holds the cluster's secrets: none gets into an error.
func checkMachineConfig(name string, minor int) error {
	text, err := regularfile.Read(name, maxMachineConfig)
	if err != nil {
		return fmt.Errorf("machine-config: %w", err)
	}
	config, err := readMachineConfig(text)
	if err != nil {
		return fmt.Errorf("machine-config: %s: %w", name, err)
	}
	var errs []error
	switch config.machineType {
	case "controlplane", "init":
	case "":
		errs = append(errs, errors.New("is no machine configuration: it has no .machine.type"))
	default:
		errs = append(errs, errors.New("is not that of a control-plane node: its .machine.type is another"))
	}
	if minor == 14 && slices.Contains(config.documents, "KubeAPIServerConfig") {
		errs = append(errs, errors.New("has a document KubeAPIServerConfig. Into a kube-apiserver that is configured by it Talos 1.14 mounts nothing, so it could not read how to reach the webhook. "+
			"Either upgrade to Talos 1.15 and use --talos-version 1.15, or say in .cluster.apiServer what the document says: 1.14 still takes that, and for a new cluster `talosctl gen config --talos-version 1.13` writes it"))
	}
	webhook := func(arg string) bool { return strings.HasPrefix(arg, "authentication-token-webhook-") }
	if slices.ContainsFunc(config.args, webhook) || slices.Contains(config.documents, "KubeAuthenticationWebhookConfig") {
		errs = append(errs, errors.New("has kube-apiserver ask a webhook already. Give the configuration from before: Talos appends a patch to the lists that are there, and with its volumes twice kube-apiserver would not start"))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("machine-config: %s: %w", name, err)
	}
	return nil
}

func readMachineConfig(text []byte) (machineConfig, error) {
	var config machineConfig
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return config, nil
		}
		if err == nil {
			err = config.read(&node)
		}
		var wrongType *yaml.TypeError
		switch {
		case errors.As(err, &wrongType):
			// Its text quotes values.
			return config, errors.New("is no machine configuration: a part of it has the wrong type")
		case err != nil:
			// So does that of a value that its tag does not fit, or of an alias of nothing.
			return config, errors.New("is no machine configuration: it is not valid YAML")
		}
	}
}

// read looks at one document.
func (c *machineConfig) read(node *yaml.Node) error {
	var document struct {
		Kind string `yaml:"kind"`
	}
	if err := node.Decode(&document); err != nil {
		return err
	}
	if document.Kind != "" {
		c.documents = append(c.documents, document.Kind)
		return nil
	}
	var first struct {
		Machine struct {
			Type string `yaml:"type"`
		} `yaml:"machine"`
		Cluster struct {
			APIServer struct {
				ExtraArgs map[string]any `yaml:"extraArgs"`
			} `yaml:"apiServer"`
		} `yaml:"cluster"`
	}
	if err := node.Decode(&first); err != nil {
		return err
	}
	if first.Machine.Type != "" {
		c.machineType = first.Machine.Type
	}
	c.args = slices.AppendSeq(c.args, maps.Keys(first.Cluster.APIServer.ExtraArgs))
	return nil
}
