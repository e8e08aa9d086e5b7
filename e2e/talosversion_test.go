package e2e

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tokenreview.dev/webhook/e2e/cluster"
)

// talosVersion is Talos' own code of one version: the program of e2e/talos.
type talosVersion struct{ binary string }

// buildTalos builds it with one of the module files there.
func buildTalos(t *testing.T, moduleFile string) talosVersion {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "talos")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-C", "talos", "-modfile", moduleFile, "-buildvcs=false", "-o", binary, ".")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build Talos' code with %s: %v\n%s", moduleFile, err, out)
	}
	return talosVersion{binary}
}

func (v talosVersion) run(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var errText strings.Builder
	cmd := exec.CommandContext(t.Context(), v.binary, args...)
	cmd.Stderr = &errText
	out, err := cmd.Output()
	if err != nil {
		return "", talosError(errText.String())
	}
	return string(out), nil
}

// talosError is what Talos says of a mistake.
type talosError string

func (e talosError) Error() string { return string(e) }

// generate writes the machine configuration of a control-plane node, as a version of
// talosctl makes it for a version of Talos.
func (v talosVersion) generate(t *testing.T, contract string) (file string) {
	t.Helper()
	text, err := v.run(t, "gen", contract)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "controlplane.yaml")
	writeFile(t, file, text)
	return file
}

// patch is a machine configuration with patches, as a node keeps it, if it is one that a
// node would take, and what Talos warns of.
func (v talosVersion) patch(t *testing.T, file string, patches ...string) (patched string, warnings []string, err error) {
	t.Helper()
	patched, err = v.run(t, append([]string{"patch", file}, patches...)...)
	if err != nil {
		return "", nil, err
	}
	file = filepath.Join(t.TempDir(), "patched.yaml")
	writeFile(t, file, patched)
	warned, err := v.run(t, "validate", file)
	return patched, slices.Collect(strings.Lines(warned)), err
}

// talosInstallation is what an operator has written for nodes of Talos.
type talosInstallation struct {
	webhook *cluster.Webhook
	dir     string
}

func (i talosInstallation) patchFile() string { return filepath.Join(i.dir, "talos-patch.yaml") }

func (i talosInstallation) bootstrap(t *testing.T, flags ...string) cluster.Result {
	t.Helper()
	return i.webhook.Run(t, append([]string{"bootstrap", "talos", "--config=" + i.webhook.ConfigFile, "--dir=" + i.dir,
		"--image=registry.example.com/tokenreview-webhook:v1"}, flags...)...)
}

func newTalosInstallation(t *testing.T) talosInstallation {
	t.Helper()
	return talosInstallation{
		webhook: cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, authentication(trust(startIssuer(t), "e2e:")))),
		dir:     t.TempDir(),
	}
}
