package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const filesDeprecated = ".machine.files is deprecated; use dedicated configuration documents instead\n"

// Talos' own code is built once: that takes a minute or two.
func TestTalos(t *testing.T) {
	t.Parallel()
	v113, v114 := buildTalos(t, "talos-1.13.mod"), buildTalos(t, "go.mod")
	t.Run("takes what is written for it", func(t *testing.T) { talosTakes(t, v113, v114) })
	t.Run("refuses what is not for it", func(t *testing.T) { talosRefuses(t, v113, v114) })
	t.Run("appends to lists", func(t *testing.T) { talosAppends(t, v113, v114) })
}

// Talos loads, patches and validates: what is left of the patch afterwards is what a node does.
func talosTakes(t *testing.T, v113, v114 talosVersion) {
	t.Helper()
	for _, test := range []struct {
		what, version string
		talos         talosVersion
		contract      string
		warnings      []string
	}{
		{"1.13", "1.13", v113, "v1.13", nil},
		{"1.14 on a node that was upgraded", "1.13", v114, "v1.13", []string{filesDeprecated}},
		{"1.14", "1.14", v114, "v1.13", nil},
		// Of the version that has KubeAuthenticationWebhookConfig there is no module yet. All
		// the other documents are known to the one before.
		{"1.15 but its new document", "1.15", v114, "v1.14", nil},
	} {
		t.Run(test.what, func(t *testing.T) {
			t.Parallel()
			installation, config, patch := patchFor(t, test.talos, test.contract, test.version)
			patched, warnings, err := test.talos.patch(t, config, patch)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(warnings, test.warnings) {
				t.Errorf("warnings %q, want %q", warnings, test.warnings)
			}
			installation.check(t, test.version, patched)
		})
	}
}

// patchFor writes a patch for a machine configuration that Talos makes. Without the document of
// 1.15 that Talos' code here does not know.
func patchFor(t *testing.T, talos talosVersion, contract, version string) (installation talosInstallation, config, patch string) {
	t.Helper()
	installation = newTalosInstallation(t)
	config = talos.generate(t, contract)
	installation.bootstrap(t, "--talos-version="+version, "--machine-config="+config).Must(t)
	patch = installation.patchFile()
	if version == "1.15" {
		patch = withoutWebhookDocument(t, patch)
	}
	return installation, config, patch
}

// If Talos' code took anything, the test above would show nothing.
func talosRefuses(t *testing.T, v113, v114 talosVersion) {
	t.Helper()
	v113Config, v114Config := v113.generate(t, "v1.13"), v114.generate(t, "v1.14")
	onOld, onNew := v114.generate(t, "v1.13"), v114Config
	for _, test := range []struct {
		what, version string
		talos         talosVersion
		config        string
		old, new      string
		want          string
	}{
		{"documents that 1.13 does not know", "1.14", v113, v113Config, "", "", `"KubeStaticPodConfig" "v1alpha1": not registered`},
		{"both forms of configuring kube-apiserver", "1.14", v114, onNew, "", "", "kube-apiserver config is already set in v1alpha1 config (.cluster.apiServer)"},
		{"the form of 1.13 beside KubeAPIServerConfig", "1.13", v114, onNew, "", "", "kube-apiserver config is already set in v1alpha1 config (.cluster.apiServer)"},
		{"a field that there is not", "1.13", v113, v113Config, "extraVolumes:", "extraVolume:", "unknown keys found during decoding"},
		{"a mode that is none", "1.13", v113, v113Config, "permissions: 0o640", "permissions: rw", "cannot construct !!str `rw` into v1alpha1.FileMode"},
		{"a mode that is none", "1.14", v114, onOld, "mode: 0o640", "mode: rw", "cannot construct !!str `rw`"},
		{"a file outside /etc", "1.14", v114, onOld, `name: "tokenreview-webhook/pki/ca.crt"`, `name: "../var/ca.crt"`, `user etc file "../var/ca.crt" must be a local path`},
		{"a static pod without a name", "1.14", v114, onOld, "\nname: tokenreview-webhook\n", "\nname: Webhook_\n", "static pod name is invalid"},
	} {
		t.Run(test.what+", "+test.version, func(t *testing.T) {
			t.Parallel()
			installation := newTalosInstallation(t)
			installation.bootstrap(t, "--talos-version="+test.version, "--machine-config="+onOld).Must(t)
			text := readFile(t, installation.patchFile())
			if !strings.Contains(text, test.old) {
				t.Fatalf("no %q in the patch", test.old)
			}
			patch := filepath.Join(t.TempDir(), "patch.yaml")
			writeFile(t, patch, strings.Replace(text, test.old, test.new, 1))
			if _, _, err := test.talos.patch(t, test.config, patch); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	t.Run("bootstrap says it first", func(t *testing.T) {
		t.Parallel()
		result := newTalosInstallation(t).bootstrap(t, "--talos-version=1.14", "--machine-config="+onNew)
		if result.Err() == nil || !strings.Contains(result.Stderr, "has a document KubeAPIServerConfig") {
			t.Errorf("%v\n%s", result.Err(), result.Stderr)
		}
	})
}

// Why the page has everybody keep the configuration from before, and what bootstrap refuses.
func talosAppends(t *testing.T, v113, v114 talosVersion) {
	t.Helper()
	for _, test := range []struct {
		version  string
		talos    talosVersion
		contract string
		once     bool
	}{
		{"1.13", v113, "v1.13", false},
		{"1.14", v114, "v1.13", false},
		{"1.15", v114, "v1.14", true},
	} {
		t.Run(test.version, func(t *testing.T) {
			t.Parallel()
			installation, config, patch := patchFor(t, test.talos, test.contract, test.version)
			once, _, err := test.talos.patch(t, config, patch)
			if err != nil {
				t.Fatal(err)
			}
			twice, _, err := test.talos.patch(t, config, patch, patch)
			if err != nil {
				t.Fatal(err)
			}
			if same := once == twice; same != test.once {
				t.Errorf("twice is the same as once: %v", same)
			}
			if test.once {
				return
			}
			patched := filepath.Join(t.TempDir(), "patched.yaml")
			writeFile(t, patched, once)
			result := installation.bootstrap(t, "--talos-version="+test.version, "--machine-config="+patched)
			if result.Err() == nil || !strings.Contains(result.Stderr, "has kube-apiserver ask a webhook already") {
				t.Errorf("%v\n%s", result.Err(), result.Stderr)
			}
		})
	}
}
