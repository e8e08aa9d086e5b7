package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tokenreview.dev/webhook/e2e/cluster"
)

// systemdExposure is how much of a machine a service may reach, in tenths of systemd's own
// measure, in which ten is everything. What is left is that it listens, asks and sees the
// host's files.
const systemdExposure = "12"

// installSystemd writes what nodes with systemd get. The folder node has their files.
func installSystemd(t *testing.T) (webhook *cluster.Webhook, token, node string) {
	t.Helper()
	issuer := startIssuer(t)
	webhook = cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, authentication(trust(issuer, "e2e:"))))
	dir := t.TempDir()
	webhook.Run(t, "bootstrap", "systemd", "--config="+webhook.ConfigFile, "--dir="+dir).Must(t)
	return webhook, issuer.Sign(claims("alice", 1)), filepath.Join(dir, "node")
}

func readUnit(t *testing.T, node string) string {
	t.Helper()
	unit, err := os.ReadFile(filepath.Join(node, "etc/systemd/system/tokenreview-webhook.service"))
	if err != nil {
		t.Fatal(err)
	}
	return string(unit)
}

func TestSystemdFindsNothingWrongWithTheUnit(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd is not here to say so: nothing was looked at (Debian, Ubuntu: apt-get install systemd)")
		return
	}
	_, _, node := installSystemd(t)
	// It looks whether the program is there.
	unit := strings.Replace(readUnit(t, node), "ExecStart=/usr/local/bin/webhook ", "ExecStart="+webhookBinary+" ", 1)
	path := filepath.Join(t.TempDir(), "tokenreview-webhook.service")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"verify", "--man=no"},
		{"security", "--no-pager", "--offline=true", "--threshold=" + systemdExposure},
	} {
		out, err := exec.CommandContext(t.Context(), analyze, append(args, path)...).CombinedOutput()
		// What it ignores it only writes down.
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	sysusers, err := exec.LookPath("systemd-sysusers")
	if err != nil {
		t.Fatal(err)
	}
	// In a folder of its own, where there are no users yet.
	out, err := exec.CommandContext(t.Context(), sysusers, "--root="+node, "tokenreview-webhook.conf").CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-sysusers: %v\n%s", err, out)
	}
	users, err := os.ReadFile(filepath.Join(node, "etc/passwd"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(users), "tokenreview-webhook:") || !strings.Contains(unit, "\nUser=tokenreview-webhook\n") {
		t.Errorf("the unit's user is not the one that is made:\n%s\n%s", users, unit)
	}
}

func TestWhatTheUnitStartsServesARealAPIServer(t *testing.T) {
	t.Parallel()
	webhook, token, node := installSystemd(t)
	_, command, found := strings.Cut(strings.ReplaceAll(readUnit(t, node), "\\\n", " "), "\nExecStart=")
	command, _, _ = strings.Cut(command, "\n")
	words := strings.Fields(command)
	if !found || len(words) < 3 || words[0] != "/usr/local/bin/webhook" || words[1] != "serve" {
		t.Fatalf("the unit starts %q", words)
	}
	webhook.Launch(t, cluster.Launch{Flags: here(t, words[2:], node, map[string]string{
		"--bind-address": "127.0.0.1", "--secure-port": "8443", "--health-bind-address": "127.0.0.1:8081",
	})})
	kubeconfig := filepath.Join(node, "etc/tokenreview-webhook/apiserver/webhook.kubeconfig")
	leadTo(t, kubeconfig, webhook.Address(), "127.0.0.1", ":8443")
	server := cluster.Start(t, binaries, cluster.Options{WebhookKubeconfig: kubeconfig, WebhookVersion: "v1"})
	wantWhoami(t, server, token, "e2e:alice-1")
}
