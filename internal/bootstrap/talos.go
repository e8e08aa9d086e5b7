package bootstrap

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"tokenreview.dev/webhook/internal/certs"
)

// talos writes for clusters of Talos Linux. A node there is what its machine configuration
// says, files, static pods and kube-apiserver included, so that all is one patch for it.
func talos() Target {
	return Target{
		Name:    "talos",
		Summary: "patch for the machine configuration of Talos' control-plane nodes",
		pulls:   true,
		flags:   []string{"image", "talos-version", "machine-config"},
		options: checkTalos,
		// Talos' own document holds a kubeconfig, and kube-apiserver is given no file beside it.
		certs: func(o Options, c *certs.Options) { c.EmbedCerts = o.talosMinor() >= 15 },
		files: talosFiles,
		next:  talosNext,
	}
}

// talosPatch is the one file that is written.
const talosPatch = "talos-patch.yaml"

// talosRelease is a version of Talos: 1.13, v1.13.4 or v1.15.0-alpha.1.
var talosRelease = regexp.MustCompile(`^v?1\.([0-9]{1,3})(?:\.[0-9]+(?:-[0-9A-Za-z.-]+)?)?$`)

// talosMinor is 13 for Talos 1.13.4, and -1 for what is no version of Talos.
func (o Options) talosMinor() int {
	match := talosRelease.FindStringSubmatch(o.TalosVersion)
	if match == nil {
		return -1
	}
	minor, err := strconv.Atoi(match[1])
	if err != nil {
		return -1
	}
	return minor
}

func checkTalos(o *Options) error {
	var errs []error
	minor := o.talosMinor()
	if minor < 0 {
		errs = append(errs, fmt.Errorf("talos-version: expected the version that the nodes run, such as 1.13, got %q: `talosctl version` prints it as the server's tag", o.TalosVersion))
		return errors.Join(errs...)
	}
	switch {
	case o.MachineConfig != "":
		errs = append(errs, checkMachineConfig(o.MachineConfig, minor))
	case minor == 14:
		errs = append(errs, errors.New("machine-config: with Talos 1.14 the webhook can be had by some machine configurations and not by others: name a file with that of a control-plane node"))
	}
	return errors.Join(errs...)
}

// talosPaths are where things are on the host.
type talosPaths struct {
	// dir has the folders config, pki and apiserver.
	dir string
	// state is the webhook's to write, and only below /var.
	state string
}

// paths are those of a version. Up to 1.13 nothing but /var can be written. Since 1.14
// Talos writes to /etc, while it runs and whole files at a time, and would write to /var
// only with the next boot: too late for pods, which are started at once.
func (o Options) paths() talosPaths {
	paths := talosPaths{dir: path.Dir(configDir), state: stateDir + "/state"}
	if o.talosMinor() < 14 {
		paths.dir = stateDir
	}
	return paths
}

// talosValues are what the template is made of.
type talosValues struct {
	Minor int
	Files []talosFile
	// Pod is the static pod, and Flags are those of kube-apiserver.
	Pod   []byte
	Flags []apiServerFlag
	// APIServerDir is the host's folder for APIServerMount in kube-apiserver.
	APIServerDir, APIServerMount string
	Kubeconfig, CacheTTL         string
}

// talosFile is one that Talos makes on the node.
type talosFile struct {
	// Path and Content are YAML.
	Path, Mode, Content string
}

func talosFiles(in inputs) ([]File, error) {
	paths := in.paths()
	values := talosValues{
		Minor:          in.talosMinor(),
		Flags:          in.apiServerFlags(),
		APIServerDir:   path.Join(paths.dir, path.Base(apiServerDir)),
		APIServerMount: apiServerDir,
		Kubeconfig:     yamlText(in.kubeconfig, 4),
		CacheTTL:       duration(in.CacheTTL),
	}
	indented := 6
	if values.Minor >= 14 {
		indented = 4
	}
	var err error
	if values.Pod, err = render("static-pod.yaml", podOptions{
		Image: in.Image,
		// Without a type, which kubelet would look at: it runs in a container and does not
		// see the host's files.
		Mounts: []mount{
			{Name: "config", HostPath: path.Join(paths.dir, path.Base(configDir)), MountPath: configDir},
			{Name: "pki", HostPath: path.Join(paths.dir, path.Base(pkiDir)), MountPath: pkiDir},
		},
		State:     mount{Name: "state", HostPath: paths.state, MountPath: stateDir},
		InitState: true,
	}); err != nil {
		return nil, err
	}
	for _, file := range in.talosNodeFiles() {
		if !utf8.Valid(file.Content) || bytes.ContainsRune(file.Content, 0) {
			return nil, fmt.Errorf("%s is not text, and a machine configuration holds nothing else", strings.TrimPrefix(file.Name, nodeDir))
		}
		name := path.Join(paths.dir, strings.TrimPrefix(file.Name, nodeDir+path.Dir(configDir)))
		if values.Minor >= 14 {
			name = strings.TrimPrefix(name, "/etc/")
		}
		values.Files = append(values.Files, talosFile{
			Path:    yamlText([]byte(name), 0),
			Mode:    fmt.Sprintf("0o%o", file.Mode),
			Content: yamlText(file.Content, indented),
		})
	}
	patch, err := render("talos-patch.yaml", values)
	if err != nil {
		return nil, err
	}
	return []File{{Name: talosPatch, Mode: permPrivate, Content: patch}}, nil
}

// talosNodeFiles are the files of layout.go. Talos gives all to root, and kube-apiserver
// runs as user and group 65534 there: what is its own it can read only if everyone can.
func (in inputs) talosNodeFiles() []File {
	files := in.nodeFiles()
	if in.talosMinor() >= 15 {
		return files
	}
	for _, file := range in.apiServerFiles() {
		file.Mode = permPublic
		files = append(files, file)
	}
	return files
}

// yamlText is a text as a value in YAML: as it stands, indented by so many spaces, where
// it has lines and a block can say it, else in quotes.
func yamlText(text []byte, spaces int) string {
	s := string(text)
	if spaces == 0 || s == "" || !strings.HasSuffix(s, "\n") || strings.HasSuffix(s, "\n\n") || strings.HasPrefix(s, " ") || strings.HasPrefix(s, "\n") ||
		strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		// All that Go escapes YAML has, too, and what is left YAML can read. JSON leaves
		// control characters behind that YAML refuses or takes for a line's end.
		return strconv.Quote(s)
	}
	var out strings.Builder
	out.WriteString("|")
	for line := range strings.Lines(s) {
		out.WriteString("\n")
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			out.WriteString(strings.Repeat(" ", spaces) + line)
		}
	}
	return out.String()
}

func talosNext(in inputs) string {
	patch := shellWord(path.Join(in.Dir, talosPatch))
	var out strings.Builder
	fmt.Fprintf(&out, `
Next, on one control-plane node after the other. controlplane.yaml is the machine configuration
of the node without the webhook; keep that and %s as what they are, secrets.

`, patch)
	if in.talosMinor() < 14 {
		fmt.Fprintf(&out, "  talosctl -n NODE apply-config --mode staged --file controlplane.yaml --config-patch @%s\n  talosctl -n NODE reboot\n", patch)
	} else {
		fmt.Fprintf(&out, "  talosctl -n NODE apply-config --file controlplane.yaml --config-patch @%s\n", patch)
	}
	return out.String()
}
