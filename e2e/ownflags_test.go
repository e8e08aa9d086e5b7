package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tokenreview.dev/webhook/e2e/cluster"
)

// here are the flags of a `serve` command that somebody else is to run, for this machine:
// absolute paths are those below root. Where it listens is left to the test, and has to be
// listen, flag by flag.
func here(t *testing.T, flags []string, root string, listen map[string]string) []string {
	t.Helper()
	var kept []string
	for _, flag := range flags {
		name, value, ok := strings.Cut(flag, "=")
		if !ok || !strings.HasPrefix(name, "--") {
			t.Fatalf("%q is not --NAME=VALUE", flag)
		}
		if want, ok := listen[name]; ok {
			if value != want {
				t.Errorf("%s is %q, want %q", name, value, want)
			}
			delete(listen, name)
			continue
		}
		if strings.HasPrefix(value, "/") {
			value = filepath.Join(root, value)
		}
		kept = append(kept, name+"="+value)
	}
	for name := range listen {
		t.Errorf("%s is not among %q", name, flags)
	}
	return kept
}

// leadTo changes where a kubeconfig leads to: to a port of this machine. The certificate there
// still has to be that of the host which it named.
func leadTo(t *testing.T, kubeconfig, address, host, port string) {
	t.Helper()
	data, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	line := "    server: https://" + host + port + "/authenticate\n"
	if !strings.Contains(string(data), line) {
		t.Fatalf("%s has no line %q", kubeconfig, line)
	}
	changed := strings.Replace(string(data), line, "    server: https://"+address+"/authenticate\n    tls-server-name: "+host+"\n", 1)
	if err := os.WriteFile(kubeconfig, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantWhoami has kubectl ask who the bearer of a token is.
func wantWhoami(t *testing.T, server *cluster.APIServer, token, username string) {
	t.Helper()
	table := server.Kubectl(t, cluster.Credential{Token: token}, "auth", "whoami").Must(t)
	if !strings.Contains(table, username) {
		t.Errorf("kubectl prints\n%s\nwant %s", table, username)
	}
}
