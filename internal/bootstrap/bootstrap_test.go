package bootstrap

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// The key set is that of nobody: it has no keys.
const configuration = `
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: "https://issuer.example", audiences: [cluster]}
  claimMappings: {username: {claim: sub, prefix: "example:"}}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: example}
spec:
  issuer: https://issuer.example
  keys: {jwksFile: JWKS}
---
apiVersion: tokenreview.dev/v1alpha1
kind: WebhookConfiguration
spec:
  disallowedIssuers: ["https://kubernetes.default.svc"]
  audit: {path: AUDIT}
`

// operator is somebody with a configuration and a folder for what is written.
func operator(t *testing.T) Options {
	t.Helper()
	dir := t.TempDir()
	options := Options{
		Target:     "kubeadm",
		ConfigFile: filepath.Join(dir, "my.yaml"),
		Dir:        filepath.Join(dir, "out"),
		CacheTTL:   DefaultCacheTTL,
		Version:    "v1.0.0",
	}
	configure(t, options, "/etc/tokenreview-webhook/config/keys.json", "-")
	writeFile(t, filepath.Join(dir, "keys.json"), `{"keys":[]}`)
	return options
}

func configure(t *testing.T, options Options, jwks, audit string) {
	t.Helper()
	writeFile(t, options.ConfigFile, strings.NewReplacer("JWKS", jwks, "AUDIT", audit).Replace(configuration))
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustWrite(t *testing.T, options Options) *Report {
	t.Helper()
	report, err := Write(options)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// done are the actions of a report by the names of files in the folder.
func done(options Options, report *Report) map[string]string {
	actions := map[string]string{}
	for _, result := range report.Files {
		actions[strings.TrimPrefix(result.File, options.Dir+"/")] = result.Action
	}
	for _, result := range report.Certificates {
		actions[strings.TrimPrefix(result.Files[0], options.Dir+"/")] = string(result.Action)
	}
	return actions
}

const (
	manifest   = "node/etc/kubernetes/manifests/tokenreview-webhook.yaml"
	onNode     = "node/etc/tokenreview-webhook/"
	tlsPair    = "pki/tls.crt"
	callerPair = "pki/apiserver.crt"
)

func TestTheNodesGetWhatTheyNeedAndNoMore(t *testing.T) {
	options := operator(t)
	mustWrite(t, options)
	have := map[string]fs.FileMode{}
	node := filepath.Join(options.Dir, "node")
	err := filepath.WalkDir(node, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if rel := strings.TrimPrefix(path, node); strings.HasPrefix(rel, "/etc/tokenreview-webhook/") {
			have[rel] = info.Mode()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{
		"/etc/tokenreview-webhook/config/webhook.yaml":          0o640,
		"/etc/tokenreview-webhook/config/keys.json":             0o640,
		"/etc/tokenreview-webhook/pki/tls.crt":                  0o640,
		"/etc/tokenreview-webhook/pki/tls.key":                  0o640,
		"/etc/tokenreview-webhook/pki/ca.crt":                   0o640,
		"/etc/tokenreview-webhook/apiserver/webhook.kubeconfig": 0o600,
		"/etc/tokenreview-webhook/apiserver/ca.crt":             0o600,
		"/etc/tokenreview-webhook/apiserver/apiserver.crt":      0o600,
		"/etc/tokenreview-webhook/apiserver/apiserver.key":      0o600,
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("files of the node (-want +have):\n%s", diff)
	}
	for place, source := range map[string]string{
		"config/webhook.yaml":          options.ConfigFile,
		"config/keys.json":             filepath.Join(filepath.Dir(options.ConfigFile), "keys.json"),
		"pki/tls.crt":                  filepath.Join(options.Dir, "pki/tls.crt"),
		"pki/tls.key":                  filepath.Join(options.Dir, "pki/tls.key"),
		"pki/ca.crt":                   filepath.Join(options.Dir, "pki/ca.crt"),
		"apiserver/webhook.kubeconfig": filepath.Join(options.Dir, "pki/webhook.kubeconfig"),
		"apiserver/ca.crt":             filepath.Join(options.Dir, "pki/ca.crt"),
		"apiserver/apiserver.crt":      filepath.Join(options.Dir, "pki/apiserver.crt"),
		"apiserver/apiserver.key":      filepath.Join(options.Dir, "pki/apiserver.key"),
	} {
		if !bytes.Equal(readFile(t, filepath.Join(options.Dir, onNode, place)), readFile(t, source)) {
			t.Errorf("%s is not %s", place, source)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestAFileThatIsNamedTwiceIsWrittenOnce(t *testing.T) {
	options := operator(t)
	configuration := string(readFile(t, options.ConfigFile))
	writeFile(t, options.ConfigFile, strings.Replace(configuration, `audit: {path: -}`,
		`audit: {fingerprintKeyFile: /etc/tokenreview-webhook/config/keys.json}`, 1))
	written := 0
	for _, result := range mustWrite(t, options).Files {
		if strings.HasSuffix(result.File, "/keys.json") {
			written++
		}
	}
	if written != 1 {
		t.Errorf("it was written %d times", written)
	}
}

func TestWritingAgainChangesOnlyWhatHasChanged(t *testing.T) {
	for _, test := range []struct {
		what   string
		change func(*testing.T, *Options)
		// replaced and created are all that is not kept.
		replaced, created []string
	}{
		{what: "nothing", change: func(*testing.T, *Options) {}},
		{
			what: "a file that the configuration names",
			change: func(t *testing.T, o *Options) {
				writeFile(t, filepath.Join(filepath.Dir(o.ConfigFile), "keys.json"), `{"keys": []}`)
			},
			replaced: []string{onNode + "config/keys.json"},
		},
		{
			what: "the audit log's file", change: func(t *testing.T, o *Options) {
				configure(t, *o, "/etc/tokenreview-webhook/config/keys.json", "/var/lib/tokenreview-webhook/audit/audit.log")
			},
			replaced: []string{onNode + "config/webhook.yaml"},
		},
		{
			what: "the image", change: func(_ *testing.T, o *Options) { o.Image = "localhost/another:v2" },
			replaced: []string{manifest},
		},
		{
			what: "a file was edited", change: func(t *testing.T, o *Options) { writeFile(t, filepath.Join(o.Dir, manifest), "edited") },
			replaced: []string{manifest},
		},
		{
			what: "a mode was widened", change: func(t *testing.T, o *Options) {
				if err := os.Chmod(filepath.Join(o.Dir, onNode+"pki/tls.key"), 0o644); err != nil {
					t.Fatal(err)
				}
			},
			replaced: []string{onNode + "pki/tls.key"},
		},
		{
			what: "a file was removed", change: func(t *testing.T, o *Options) {
				if err := os.Remove(filepath.Join(o.Dir, onNode+"pki/ca.crt")); err != nil {
					t.Fatal(err)
				}
			},
			created: []string{onNode + "pki/ca.crt"},
		},
		{
			what: "the pairs are to be renewed", change: func(_ *testing.T, o *Options) { o.Renew = true },
			replaced: []string{
				// The kubeconfig names the same files.
				tlsPair, callerPair, "pki/auditor.crt", "pki/webhook.kubeconfig",
				onNode + "pki/tls.crt", onNode + "pki/tls.key", onNode + "apiserver/apiserver.crt", onNode + "apiserver/apiserver.key",
			},
		},
	} {
		t.Run(test.what, func(t *testing.T) {
			options := operator(t)
			for name, action := range done(options, mustWrite(t, options)) {
				if action != "created" {
					t.Errorf("%s was %s the first time", name, action)
				}
			}
			test.change(t, &options)
			for name, action := range done(options, mustWrite(t, options)) {
				want := "kept"
				switch {
				case slices.Contains(test.replaced, name):
					want = "replaced"
				case slices.Contains(test.created, name):
					want = "created"
				}
				if action != want {
					t.Errorf("%s was %s, want %s", name, action, want)
				}
			}
		})
	}
}

func TestWhatIsWrongIsSaidAndNothingIsWritten(t *testing.T) {
	for _, test := range []struct {
		what   string
		change func(*testing.T, *Options)
		want   string
	}{
		{"a target that there is not", func(_ *testing.T, o *Options) { o.Target = "kops" }, `no target "kops": choose one of talos, kubeadm, rke2`},
		{"no time to cache", func(_ *testing.T, o *Options) { o.CacheTTL = 0 }, "cache-ttl: expected at least a second and whole ones, got 0s"},
		{"parts of a second", func(_ *testing.T, o *Options) { o.CacheTTL = 1500 * time.Millisecond }, "cache-ttl: expected at least a second and whole ones, got 1.5s"},
		{"an image that would end the line", func(_ *testing.T, o *Options) { o.Image = "a\nb: c" }, `image: "a\nb: c" is no image's name`},
		{"an image that would be an alias in YAML", func(_ *testing.T, o *Options) { o.Image = "*a" }, `image: "*a" is no image's name`},
		{"an image that would end with a comment", func(_ *testing.T, o *Options) { o.Image = "a #b" }, `image: "a #b" is no image's name`},
		{"a pipe as the configuration", func(t *testing.T, o *Options) {
			o.ConfigFile += ".pipe"
			if err := syscall.Mkfifo(o.ConfigFile, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "read configuration: "},
		{"a flag of another target", func(_ *testing.T, o *Options) { o.TalosVersion = "1.13" }, "target kubeadm has no --talos-version"},
		{"an invalid configuration", func(t *testing.T, o *Options) { writeFile(t, o.ConfigFile, "kind: Pod\n") }, `my.yaml:1`},
		{"no configuration", func(_ *testing.T, o *Options) { o.ConfigFile += "s" }, "read configuration: open"},
		{
			"a file that would not be in the pod", func(t *testing.T, o *Options) { configure(t, *o, "/root/keys.json", "-") },
			"IssuerPolicy example: spec.keys.jwksFile: /root/keys.json is not where the webhook can read it: write /etc/tokenreview-webhook/config/keys.json, and have the file beside ",
		},
		{
			"a file that only seems to be in the pod",
			func(t *testing.T, o *Options) { configure(t, *o, "/etc/tokenreview-webhook/config/../../shadow", "-") },
			"spec.keys.jwksFile: /etc/tokenreview-webhook/config/../../shadow is not where the webhook can read it",
		},
		{
			"a file that is not beside the configuration",
			func(t *testing.T, o *Options) {
				configure(t, *o, "/etc/tokenreview-webhook/config/more/keys.json", "-")
			},
			"spec.keys.jwksFile: /etc/tokenreview-webhook/config/more/keys.json is taken from beside ",
		},
		{
			"a log that the pod could not write", func(t *testing.T, o *Options) {
				configure(t, *o, "/etc/tokenreview-webhook/config/keys.json", "/var/log/audit.log")
			},
			"spec.audit.path: /var/log/audit.log is not where the webhook can write: choose a file in /var/lib/tokenreview-webhook, or leave it out",
		},
		{
			"a file that would come along to the nodes",
			func(t *testing.T, o *Options) { writeFile(t, filepath.Join(o.Dir, "node/etc/passwd"), "") },
			"node/etc/passwd would be copied to the nodes with the rest, and is not of this target and configuration: remove it",
		},
		{
			"three of them",
			func(t *testing.T, o *Options) {
				for _, name := range []string{"a", "b", "c"} {
					writeFile(t, filepath.Join(o.Dir, "node/etc", name), "")
				}
			},
			"node/etc/a (and 2 more) would be copied to the nodes with the rest",
		},
		{
			"a link in the place of a file", func(t *testing.T, o *Options) {
				link := filepath.Join(o.Dir, onNode+"pki/tls.key")
				if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink("/dev/null", link); err != nil {
					t.Fatal(err)
				}
			},
			"pki/tls.key: is not a regular file: remove it",
		},
		{
			"a file in the place of a folder",
			func(t *testing.T, o *Options) {
				o.Target, o.Image, o.ClusterIP = "kubernetes", "registry.example.com/webhook:v1", "10.96.0.43"
				writeFile(t, filepath.Join(o.Dir, "kubernetes"), "")
			},
			"kubernetes: is not a folder: remove it",
		},
		{
			"a link in the place of a folder", func(t *testing.T, o *Options) {
				o.Target, o.Image, o.ClusterIP = "kubernetes", "registry.example.com/webhook:v1", "10.96.0.43"
				if err := os.MkdirAll(o.Dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(t.TempDir(), filepath.Join(o.Dir, "kubernetes")); err != nil {
					t.Fatal(err)
				}
			},
			"kubernetes: is not a folder: remove it",
		},
		{
			"a folder that everyone can write", func(t *testing.T, o *Options) {
				if err := os.Mkdir(o.Dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(o.Dir, 0o777); err != nil {
					t.Fatal(err)
				}
			},
			"has mode 0777, everyone can replace its files: chmod it to 0700",
		},
	} {
		t.Run(test.what, func(t *testing.T) {
			options := operator(t)
			test.change(t, &options)
			before := filesBelow(t, options.Dir)
			_, err := Write(options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if diff := cmp.Diff(before, filesBelow(t, options.Dir)); diff != "" {
				t.Errorf("files changed (-before +after):\n%s", diff)
			}
		})
	}
}

func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEveryTargetThatRunsAnImageRunsTheOneThatIsGiven(t *testing.T) {
	for target, file := range map[string]string{
		"talos":      "talos-patch.yaml",
		"kubeadm":    manifest,
		"kind":       manifest,
		"rke2":       "node/var/lib/rancher/rke2/agent/pod-manifests/tokenreview-webhook.yaml",
		"k3s":        "node/var/lib/rancher/k3s/agent/pod-manifests/tokenreview-webhook.yaml",
		"kubernetes": "kubernetes/base/deployment.yaml",
	} {
		options := operator(t)
		options.Target, options.Image = target, "registry.example.com/a/webhook:v1.2.3"
		switch target {
		case "talos":
			options.TalosVersion = "1.13"
		case "kubernetes":
			options.ClusterIP = "10.96.0.43"
		}
		mustWrite(t, options)
		if content := string(readFile(t, filepath.Join(options.Dir, file))); !strings.Contains(content, "image: \""+options.Image+"\"\n") {
			t.Errorf("%s has no such image:\n%s", target, content)
		}
	}
}

func TestTheImageIsThatOfThisVersion(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3":                         "localhost/tokenreview-webhook:v1.2.3",
		"v1.2.3-4-gabcdef0-dirty":        "localhost/tokenreview-webhook:v1.2.3-4-gabcdef0-dirty",
		"v0.0.0-20261126000000-ab+dirty": "localhost/tokenreview-webhook:v0.0.0-20261126000000-ab-dirty",
		"(devel)":                        "localhost/tokenreview-webhook:devel",
	} {
		options := operator(t)
		options.Version = version
		mustWrite(t, options)
		if pod := string(readFile(t, filepath.Join(options.Dir, manifest))); !strings.Contains(pod, "image: \""+want+"\"\n") {
			t.Errorf("version %s: no image %s in\n%s", version, want, pod)
		}
	}
}

func TestCommandsThatAreToBeCopiedHaveTheFolderAsOneWord(t *testing.T) {
	for word, want := range map[string]string{
		"out":            "out",
		"/home/me/out-1": "/home/me/out-1",
		"my out":         "'my out'",
		"it's":           `'it'\''s'`,
		"$(reboot)":      "'$(reboot)'",
		"":               "''",
	} {
		if have := shellWord(word); have != want {
			t.Errorf("%s: got %s, want %s", word, have, want)
		}
	}
}

// kubelet's shutdown manager reads the number alone, and nobody but the manifest gives it to a
// static pod (kubernetes/kubernetes#113940).
func TestKubeletEndsTheStaticPodWithTheCriticalOnes(t *testing.T) {
	options := operator(t)
	options.Target = "kubeadm"
	mustWrite(t, options)
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict(readFile(t, filepath.Join(options.Dir, "node/etc/kubernetes/manifests/tokenreview-webhook.yaml")), &pod); err != nil {
		t.Fatal(err)
	}
	// SystemCriticalPriority + 1000, which is what the class has.
	if got := pod.Spec.Priority; got == nil || *got != 2000001000 || pod.Spec.PriorityClassName != "system-node-critical" {
		t.Errorf("got the priority %v of class %q", got, pod.Spec.PriorityClassName)
	}
}

// What is being written is not below node, where the next run would refuse what is left of
// it. There it had a name that is longer than the file's, which then was too long.
func TestAFileIsNotWrittenWhereNodesGetIt(t *testing.T) {
	options := operator(t)
	name := strings.Repeat("k", 250) + ".json"
	configure(t, options, "/etc/tokenreview-webhook/config/"+name, "-")
	writeFile(t, filepath.Join(filepath.Dir(options.ConfigFile), name), `{"keys":[]}`)
	mustWrite(t, options)
	writeFile(t, filepath.Join(options.Dir, ".bootstrap-1"), "left by a run that was killed")
	mustWrite(t, options)
}

func TestWhatToDoNextNamesAFolderWithSpacesAsOneWord(t *testing.T) {
	for _, example := range examples {
		t.Run(example.folder, func(t *testing.T) {
			options := example.options
			options.Dir = "/tmp/my cluster"
			target, err := options.target()
			if err != nil {
				t.Fatal(err)
			}
			next := target.next(exampleInputs(t, options))
			if rest := strings.ReplaceAll(next, "'/tmp/my cluster", ""); rest == next || strings.Contains(rest, "/tmp/my cluster") {
				t.Errorf("not quoted in:\n%s", next)
			}
		})
	}
}
