package bootstrap

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"strings"
	"text/template"
)

//go:embed templates
var templates embed.FS

// podOptions are what static pods differ in.
type podOptions struct {
	Image string
	// Mounts are read-only.
	Mounts []mount
	// State is the host's folder for stateDir. It has to be the webhook's own; otherwise
	// keys are not saved.
	State mount
	// InitState has an init container give it to the webhook. podman before 4.6 would run
	// that again and again, so it is for where there is no other way.
	InitState bool
}

// mount is a path of the host in the container.
type mount struct {
	Name, HostPath, MountPath string
	// Type is that of the hostPath volume; empty means that kubelet does not look.
	Type string
}

// staticPod is the pod on every node whose kubelet sees the host's own files.
func (in inputs) staticPod() ([]byte, error) {
	return render("static-pod.yaml", podOptions{
		Image: in.Image,
		Mounts: []mount{
			{Name: "config", HostPath: configDir, MountPath: configDir, Type: "Directory"},
			{Name: "pki", HostPath: pkiDir, MountPath: pkiDir, Type: "Directory"},
		},
		State: mount{Name: "state", HostPath: stateDir, MountPath: stateDir, Type: "DirectoryOrCreate"},
	})
}

// render executes the template NAME.tmpl.
func render(name string, data any) ([]byte, error) {
	parsed, err := template.New(path.Base(name)+".tmpl").Option("missingkey=error").
		Funcs(template.FuncMap{"indent": indent, "duration": duration}).ParseFS(templates, "templates/"+name+".tmpl")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// indent puts n spaces before each line of a text that has a line to itself.
func indent(n int, text any) string {
	var s string
	switch text := text.(type) {
	case []byte:
		s = string(text)
	default:
		s = fmt.Sprint(text)
	}
	prefix := strings.Repeat(" ", n)
	return prefix + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+prefix)
}
