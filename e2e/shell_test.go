package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// placeholderCA stands in the published files for an API server's CA: a certificate
// without a content, in base64.
const placeholderCA = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"

// shell runs scripts as GitHub's runners do, in a folder and with an environment of its own.
type shell struct {
	Dir string
	Env []string
}

// run returns all that the script prints.
func (s shell) run(t *testing.T, script string) (out string, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script.sh")
	writeFile(t, file, script)
	cmd := exec.CommandContext(t.Context(), "bash", "--noprofile", "--norc", "-eo", "pipefail", file)
	cmd.Dir, cmd.Env, cmd.WaitDelay = s.Dir, s.Env, 5*time.Second
	data, err := cmd.CombinedOutput()
	return string(data), err
}

// replaced is a published file, with what is to be replaced in it replaced.
func replaced(t *testing.T, path string, values map[string]string) string {
	t.Helper()
	text := readFile(t, path)
	for old, value := range values {
		if !strings.Contains(text, old) {
			t.Fatalf("%s has no %q to be replaced", path, old)
		}
		text = strings.ReplaceAll(text, old, value)
	}
	return text
}
