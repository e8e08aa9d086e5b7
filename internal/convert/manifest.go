package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const kubeAPIServer = "kube-apiserver"

// pod is what matters here of a pod's spec.
type pod struct {
	Containers []container `json:"containers"`
	Volumes    []volume    `json:"volumes"`
}

type container struct {
	Name         string   `json:"name"`
	Command      []string `json:"command"`
	Args         []string `json:"args"`
	WorkingDir   string   `json:"workingDir"`
	VolumeMounts []struct {
		Name        string `json:"name"`
		MountPath   string `json:"mountPath"`
		SubPath     string `json:"subPath"`
		SubPathExpr string `json:"subPathExpr"`
	} `json:"volumeMounts"`
}

type volume struct {
	Name     string `json:"name"`
	HostPath *struct {
		Path string `json:"path"`
	} `json:"hostPath"`
}

// ReadManifest finds kube-apiserver's flags in a manifest, and where its files are
// on the node. The manifest is YAML or JSON, of one or several documents or a List,
// and of a Pod or of what makes pods. Several API servers must have the same flags.
func ReadManifest(data []byte) (Flags, Files, error) {
	var pods []pod
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for number := 1; ; number++ {
		var object json.RawMessage
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			break
		}
		var found []pod
		if err == nil {
			found, err = podsOf(object)
		}
		if err != nil {
			return nil, Files{}, fmt.Errorf("document %d: %w", number, err)
		}
		pods = append(pods, found...)
	}
	var flags Flags
	var files Files
	anyNamed := slices.ContainsFunc(pods, func(p pod) bool { return slices.ContainsFunc(p.Containers, container.isNamed) })
	for _, pod := range pods {
		for _, container := range pod.Containers {
			if anyNamed && !container.isNamed() && !container.isProgram() {
				continue // What it has to do with kube-apiserver is something else.
			}
			words, err := container.arguments()
			if err != nil {
				return nil, Files{}, fmt.Errorf("container %q: %w", container.Name, err)
			}
			if words == nil {
				continue
			}
			found, err := parse(words)
			switch {
			case err != nil:
				return nil, Files{}, fmt.Errorf("container %q: %w", container.Name, err)
			case flags != nil && !flags.equal(found):
				return nil, Files{}, errors.New("several API servers in it have different flags: give the manifest of one")
			case flags == nil:
				flags, files = found, container.files(pod.Volumes)
			}
		}
	}
	if flags == nil {
		return nil, Files{}, errors.New("no container in it runs kube-apiserver: give the manifest of the API server's pod, such as /etc/kubernetes/manifests/kube-apiserver.yaml, or its --oidc-* flags one by one (what kubeadm and Talos call apiServer.extraArgs, k3s and RKE2 kube-apiserver-arg)")
	}
	return flags, files, nil
}

// podsOf returns the pods that an object is, lists or makes; none for others.
func podsOf(data json.RawMessage) ([]pod, error) {
	if len(data) == 0 || bytes.Equal(data, []byte("null")) {
		return nil, nil // Comments alone.
	}
	var kind metav1.TypeMeta
	if err := json.Unmarshal(data, &kind); err != nil {
		return nil, fmt.Errorf("it is no Kubernetes object: %w", err)
	}
	var object struct {
		Items []json.RawMessage `json:"items"`
		Spec  struct {
			pod
			Template struct {
				Spec pod `json:"spec"`
			} `json:"template"`
		} `json:"spec"`
	}
	switch kind.Kind {
	case "Pod", "PodList", "List", "Deployment", "DaemonSet", "StatefulSet", "ReplicaSet":
	default:
		return nil, nil
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, fmt.Errorf("it is no %s: %w", kind.Kind, err)
	}
	pods := []pod{object.Spec.pod, object.Spec.Template.Spec}
	for i, item := range object.Items {
		found, err := podsOf(item)
		if err != nil {
			return nil, fmt.Errorf("items[%d]: %w", i, err)
		}
		pods = append(pods, found...)
	}
	return pods, nil
}

// isNamed reports whether the container is called what everybody calls that of the API
// server.
func (c container) isNamed() bool { return c.Name == kubeAPIServer }

// isProgram reports whether kube-apiserver is the program that the container runs.
func (c container) isProgram() bool {
	return len(c.Command) > 0 && path.Base(c.Command[0]) == kubeAPIServer || len(c.Command) == 0 && len(c.Args) > 0 && path.Base(c.Args[0]) == kubeAPIServer
}

// arguments are the words after kube-apiserver in the container's command line, not
// nil if it runs that. Something else may start it, such as go-runner.
func (c container) arguments() ([]string, error) {
	words := append(append([]string{}, c.Command...), c.Args...)
	for i, word := range words {
		switch {
		case strings.HasPrefix(word, "-"):
		case strings.ContainsAny(word, " \t\n") && strings.Contains(word, kubeAPIServer):
			return nil, errors.New("it runs kube-apiserver by a shell script: give its --oidc-* flags on the command line instead")
		case path.Base(word) == kubeAPIServer:
			return words[i+1:], nil
		}
	}
	if c.isNamed() && len(c.Command) == 0 {
		return words, nil // The image runs it.
	}
	return nil, nil
}

// files says where on the node the container's files are.
func (c container) files(volumes []volume) Files {
	files := Files{ofContainer: true, workingDir: c.WorkingDir}
	for _, mounted := range c.VolumeMounts {
		m := mount{path: path.Clean(mounted.MountPath), volume: mounted.Name}
		for _, volume := range volumes {
			if volume.Name == mounted.Name && volume.HostPath != nil && mounted.SubPathExpr == "" {
				m.hostPath = path.Join(volume.HostPath.Path, mounted.SubPath)
			}
		}
		files.mounts = append(files.mounts, m)
	}
	return files
}
