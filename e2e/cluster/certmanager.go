package cluster

import (
	"bytes"
	"path/filepath"
	"testing"
)

// InstallCertManagerTypes teaches the API server the kinds of cert-manager's that
// e2e/certmanager/go.mod pins: its custom resources, and nobody who acts on them.
func (s *APIServer) InstallCertManagerTypes(t *testing.T) {
	t.Helper()
	const module = "github.com/cert-manager/cert-manager"
	dir, err := moduleDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pinned := filepath.Join(dir, "certmanager")
	// Elsewhere a compiler would have seen to it.
	if _, err := goCommand(t.Context(), "-C", pinned, "mod", "download", module); err != nil {
		t.Fatal(err)
	}
	out, err := goCommand(t.Context(), "-C", pinned, "list", "-m", "-f", "{{.Dir}}", module)
	if err != nil {
		t.Fatal(err)
	}
	types := filepath.Join(string(bytes.TrimSpace(out)), "deploy", "crds")
	// Some are too large for the annotation of the other way of applying.
	s.Admin(t, "apply", "--server-side", "--filename="+types)
	s.Admin(t, "wait", "--for=condition=Established", "--timeout=1m", "--filename="+types)
}
