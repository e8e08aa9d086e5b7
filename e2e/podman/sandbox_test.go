//go:build linux

package podman

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// role is the variable that says what a process of this test is; a plain one has none.
const (
	role     = "E2E_PODMAN_ROLE"
	roleInit = "init"
	roleTest = "test"
)

// exitCannotRun is the exit code of a sandbox in which podman runs no containers. It has
// said why.
const exitCannotRun = 125

// enterSandbox runs the test again in a sandbox, and returns false there, where the test
// goes on. Where there can be none the test ends.
func enterSandbox(t *testing.T) (outside bool) {
	t.Helper()
	if os.Getenv(role) == roleTest {
		return false
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.v", "-test.run=^"+t.Name()+"$", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), role+"="+roleInit)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC,
		// With the first process of its namespace everything in it ends.
		Pdeathsig: syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	switch code := cmd.ProcessState.ExitCode(); {
	case err == nil:
		t.Logf("%s", out)
	case cmd.ProcessState == nil || code == exitCannotRun:
		cannot(t, fmt.Sprintf("%v\n%s", err, out))
	default:
		t.Fatalf("%v\n%s", err, out)
	}
	return true
}

// initSandbox makes the sandbox that it finds itself in, and waits there for whoever has
// lost their parent, as containers do, while the test runs.
func initSandbox() int {
	if err := isolate(os.Getenv(folder)); err != nil {
		fmt.Println(err)
		return exitCannotRun
	}
	if err := os.Setenv(role, roleTest); err != nil {
		fmt.Println(err)
		return 1
	}
	test, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for {
		var status unix.WaitStatus
		switch pid, err := unix.Wait4(-1, &status, 0, nil); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			fmt.Println("wait for the test:", err)
			return 1
		case pid == test.Pid && status.Exited():
			return status.ExitStatus()
		case pid == test.Pid:
			fmt.Println("the test was ended by", status.Signal())
			return 1
		}
	}
}

// isolate has whatever is written in the places that the pod names, and where podman
// keeps what it knows, be seen by this sandbox alone.
func isolate(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to itself: %w", err)
	}
	layers := filepath.Join(dir, "layers")
	if err := os.MkdirAll(layers, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", layers, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount memory: %w", err)
	}
	for _, place := range []string{"/etc", "/var/lib"} {
		upper, work := filepath.Join(layers, place, "upper"), filepath.Join(layers, place, "work")
		if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755)); err != nil {
			return err
		}
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", place, upper, work)
		if err := unix.Mount("overlay", place, "overlay", 0, options); err != nil {
			return fmt.Errorf("mount a layer over %s: %w", place, err)
		}
	}
	for _, place := range []string{"/run", "/dev/shm"} {
		if err := unix.Mount("tmpfs", place, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("mount memory on %s: %w", place, err)
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return loopbackUp()
}

// loopbackUp brings up the one network interface of the sandbox.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bring up loopback: %w", err)
	}
	return nil
}

// runSandboxed runs the test in a sandbox where podman has been seen to run a container.
func runSandboxed(m *testing.M) int {
	if err := configurePodman(os.Getenv(folder)); err != nil {
		fmt.Println(err)
		return exitCannotRun
	}
	if out, err := exec.Command("podman", "load", "--input", archive()).CombinedOutput(); err != nil {
		fmt.Printf("podman load: %v\n%s", err, out)
		return 1
	}
	if out, err := exec.Command("podman", "run", "--rm", "--network=host", imageName, "version").CombinedOutput(); err != nil {
		fmt.Printf("podman run: %v\n%s", err, out)
		return exitCannotRun
	}
	return m.Run()
}
