//go:build linux

package podman

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"tokenreview.dev/webhook/e2e/cluster"
)

// required is the variable of the environment with which a machine that cannot run
// podman fails the tests, where it would skip them otherwise.
const required = "E2E_REQUIRE_PODMAN"

// root of the repository.
const root = "../.."

// What the tests build and run: an image with a name of its own, whatever the tree is at.
const (
	version = "v0.0.0-e2e"
	commit  = "0123456789abcdef0123456789abcdef01234567"
	// created is when the commit is said to have been made, in seconds since 1970.
	created = 1_700_000_000
	// imageName is what `make image` calls it, and `webhook bootstrap` expects.
	imageName = "localhost/tokenreview-webhook:" + version
)

// folder is where everything is built. Sandboxes find it by a variable.
const folder = "E2E_PODMAN_FOLDER"

func archive() string { return filepath.Join(os.Getenv(folder), "image.tar") }

// binary is the one in the image.
func binary() string {
	return filepath.Join(os.Getenv(folder), "context", "linux", runtime.GOARCH, "webhook")
}

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case roleInit:
		// This process is the first of a sandbox, see enterSandbox.
		os.Exit(initSandbox())
	case roleTest:
		os.Exit(runSandboxed(m))
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "podman:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "tokenreview-podman-*")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if whyNot = buildNothing(filepath.Join(dir, "nothing")); whyNot != nil {
		// Each test says so.
		return m.Run(), nil
	}
	if _, err := cluster.BuildBinaries(context.Background(), os.Stderr); err != nil {
		return 0, err
	}
	if err := os.Setenv(folder, dir); err != nil {
		return 0, err
	}
	fmt.Fprintln(os.Stderr, "podman: building the image")
	if err := makeImage(root, archive(), filepath.Join(dir, "context")); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// makeImage has a copy of the repository make the image.
func makeImage(repository, archive, dir string) error {
	cmd := exec.Command("make", "-C", repository, "image", "VERSION="+version, "COMMIT="+commit,
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", created), "ARCHIVE="+archive, "IMAGE_CONTEXT="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make image: %w\n%s", err, out)
	}
	return nil
}

// cannot ends a test that needs what this machine does not have.
func cannot(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv(required) != "" {
		t.Fatalf("podman cannot run here: %s", reason)
	}
	t.Skipf("podman cannot run here: %s", reason)
}

// whyNot is why podman cannot even build an image here, if it cannot.
var whyNot error

// needPodman ends a test where podman cannot build an image.
func needPodman(t *testing.T) {
	t.Helper()
	if whyNot != nil {
		cannot(t, whyNot.Error())
	}
}

// buildNothing has podman build an image with nothing of ours in it.
func buildNothing(dir string) error {
	if _, err := exec.LookPath("podman"); err != nil {
		return fmt.Errorf("install it (Debian, Ubuntu: apt-get install --no-install-recommends podman runc catatonit): %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY Dockerfile /\n"), 0o600); err != nil {
		return err
	}
	out, err := exec.Command("podman", "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"),
		"--storage-driver", "vfs", "build", "--isolation", "chroot", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("podman build: %w\n%s", err, out)
	}
	return nil
}
