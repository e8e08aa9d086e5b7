package bootstrap

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what is found to the files in manifests")

// manifests has an example of all that each target writes, for people to review. What
// every target writes for nodes is left out: it holds the secrets.
const manifests = "../../manifests"

type example struct {
	folder  string
	options Options
}

// examples are the folders of manifests/bootstrap.
var examples = []example{
	{"talos-1.13", Options{Target: "talos", TalosVersion: "1.13", Image: "registry.example.com/tokenreview-webhook:v1.0.0"}},
	{"talos-1.14", Options{
		Target: "talos", TalosVersion: "1.14", Image: "registry.example.com/tokenreview-webhook:v1.0.0",
		MachineConfig: "testdata/machineconfig/controlplane.yaml",
	}},
	{"talos-1.15", Options{Target: "talos", TalosVersion: "1.15", Image: "registry.example.com/tokenreview-webhook:v1.0.0"}},
	{"kubeadm", Options{Target: "kubeadm"}},
	{"rke2", Options{Target: "rke2"}},
	{"k3s", Options{Target: "k3s"}},
	{"kind", Options{Target: "kind", Dir: "/home/me/try"}},
	{"systemd", Options{Target: "systemd"}},
	{"kubernetes", Options{Target: "kubernetes", Image: "registry.example.com/tokenreview-webhook:v1.0.0", ClusterIP: "10.96.0.43"}},
}

// exampleInputs are those of an operator whose certificates are not for showing.
func exampleInputs(t *testing.T, options Options) inputs {
	t.Helper()
	if options.Image == "" {
		options.Image = "localhost/tokenreview-webhook:v1.0.0"
	}
	options.CacheTTL = DefaultCacheTTL
	config, err := os.ReadFile(filepath.Join(manifests, "acceptance", "a-github-actions-allow.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return inputs{
		Options: options,
		config:  []File{{Name: "webhook.yaml", Content: config}},
		serving: pair{
			certificate: standsFor("pki/tls.crt"),
			key:         standsFor("pki/tls.key"),
		},
		caller: pair{
			certificate: standsFor("pki/apiserver.crt"),
			key:         standsFor("pki/apiserver.key"),
		},
		ca:         standsFor("pki/ca.crt"),
		kubeconfig: standsFor("pki/webhook.kubeconfig"),
	}
}

// standsFor is in the place of a file that is not for showing. It does not look like one, so
// that nobody who looks for secrets in here finds any.
func standsFor(file string) []byte { return []byte("(what is in " + file + ")\n") }

// shown are the files without those that are just one of the certificates or keys.
func shown(files []File) []File {
	return slices.DeleteFunc(files, func(f File) bool { return bytes.HasPrefix(f.Content, []byte("(what is in ")) })
}

func TestTheExamplesInManifestsAreWhatIsWritten(t *testing.T) {
	for _, example := range examples {
		t.Run(example.folder, func(t *testing.T) {
			target, err := example.options.target()
			if err != nil {
				t.Fatal(err)
			}
			options := example.options
			if target.options != nil {
				if err := target.options(&options); err != nil {
					t.Fatal(err)
				}
			}
			files, err := target.files(exampleInputs(t, options))
			if err != nil {
				t.Fatal(err)
			}
			compareFolder(t, filepath.Join(manifests, "bootstrap", example.folder), shown(files))
		})
	}
	t.Run("static-pod.yaml", func(t *testing.T) {
		pod, err := exampleInputs(t, Options{}).staticPod()
		if err != nil {
			t.Fatal(err)
		}
		compareFile(t, filepath.Join(manifests, "static-pod.yaml"), pod)
	})
}

func TestEveryTargetHasAnExample(t *testing.T) {
	for _, target := range Targets() {
		if !slices.ContainsFunc(examples, func(e example) bool { return e.options.Target == target.Name }) {
			t.Errorf("target %s has none: add it to examples", target.Name)
		}
	}
}

// compareFolder wants just these files in a folder; with -update it gets them.
func compareFolder(t *testing.T, folder string, files []File) {
	t.Helper()
	known := map[string]bool{}
	for _, file := range files {
		path := filepath.Join(folder, filepath.FromSlash(file.Name))
		known[path] = true
		compareFile(t, path, file.Content)
	}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || known[path] {
			return err
		}
		if *update {
			return os.Remove(path)
		}
		t.Errorf("%s is not written any more: run go test ./internal/bootstrap -update", path)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func compareFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if strings.Contains(string(content), "\t") {
		t.Errorf("%s: a tab in what is meant to be YAML", path)
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%v: run go test ./internal/bootstrap -update", err)
		return
	}
	if diff := cmp.Diff(string(have), string(content)); diff != "" {
		t.Errorf("%s is not what is written (-file +written), run go test ./internal/bootstrap -update:\n%s", path, diff)
	}
}
