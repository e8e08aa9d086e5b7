//go:build linux

package podman

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// configurePodman writes the settings of a podman that shares nothing with the system's,
// and needs neither systemd nor rights to raise limits.
func configurePodman(dir string) error {
	limits := make([]string, 0, 2)
	for name, resource := range map[string]int{"nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC} {
		var limit unix.Rlimit
		if err := unix.Getrlimit(resource, &limit); err != nil {
			return err
		}
		// -1 stands for no limit.
		limits = append(limits, fmt.Sprintf("%q", fmt.Sprintf("%s=%d:%d", name, int64(limit.Max), int64(limit.Max))))
	}
	engine := "cgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n"
	if _, err := exec.LookPath("runc"); err == nil {
		engine += "runtime = \"runc\"\n"
	}
	files := map[string]string{
		"CONTAINERS_CONF": fmt.Sprintf("[containers]\ndefault_ulimits = [%s]\n[engine]\n%s", strings.Join(limits, ", "), engine),
		"CONTAINERS_STORAGE_CONF": fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n",
			filepath.Join(dir, "storage"), "/run/e2e-storage"),
	}
	for variable, content := range files {
		path := filepath.Join(dir, variable)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
		if err := os.Setenv(variable, path); err != nil {
			return err
		}
	}
	return nil
}

// run runs a program that has to succeed, and returns what it prints.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// container is what podman knows of one.
type container struct {
	RestartCount int
	State        struct {
		Pid     int
		Running bool
	}
	Config struct {
		User        string
		Healthcheck struct{ Test []string }
	}
	HostConfig struct {
		ReadonlyRootfs bool
		Memory         int64
	}
}

func inspect(t *testing.T, name string) container {
	t.Helper()
	var found []container
	if err := json.Unmarshal([]byte(run(t, "podman", "container", "inspect", name)), &found); err != nil {
		t.Fatal(err)
	}
	return found[0]
}
