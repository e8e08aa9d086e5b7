package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is a running child with a log of its own. It is killed when the test
// that started it ends, and its log is shown if that test failed.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  string
	// started is when it was.
	started time.Time
	// done is closed after the process has ended, however it did.
	done chan struct{}
	err  error
}

// shownLog is how much of a log's end a failed test shows.
const shownLog = 16 << 10

// Command is a program to run beside the test.
type Command struct {
	// Name is what people call it.
	Name string
	// Path and Args are the program and its arguments.
	Path string
	Args []string
	// Env is added to the environment of the test.
	Env []string
	// Mounts is a shell script that changes what the program finds in the file system, as
	// root of namespaces of its own: nobody else sees what it mounts. Linux only.
	Mounts string
}

// start runs a program with the test's own environment.
func start(t *testing.T, name, path string, args ...string) *Process {
	t.Helper()
	return Run(t, Command{Name: name, Path: path, Args: args})
}

// Run starts a program, which runs until it ends by itself or with the test.
func Run(t *testing.T, command Command) *Process {
	t.Helper()
	log, err := os.CreateTemp(t.TempDir(), command.Name+"-*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &Process{name: command.Name, log: log.Name(), started: time.Now(), done: make(chan struct{})}
	if p.cmd, err = command.exec(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Dir = filepath.Dir(log.Name())
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			log := p.Log(0)
			t.Logf("the end of the log of %s:\n%s", p.name, log[max(0, len(log)-shownLog):])
		}
	})
	return p
}

func (c Command) exec() (*exec.Cmd, error) {
	cmd := exec.Command(c.Path, c.Args...)
	if c.Mounts != "" {
		// The shell becomes the program, so that a signal to the one is one to the other.
		script := "set -e\n" + c.Mounts + "\n" + `exec "$@"`
		cmd = exec.Command("sh", append([]string{"-c", script, "sh", c.Path}, c.Args...)...)
	}
	cmd.Env = append(os.Environ(), c.Env...)
	dieWithParent(cmd)
	if c.Mounts != "" {
		if err := ownMounts(cmd); err != nil {
			return nil, err
		}
	}
	return cmd, nil
}

// Started is when the process was started.
func (p *Process) Started() time.Time { return p.started }

// Kill ends the process at once and waits until it has gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Signal sends the process a signal.
func (p *Process) Signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatalf("%s: %s: %v", signal, p.name, err)
	}
}

// Stop asks the process to end (SIGTERM) and waits for that. It is an error to
// end with another exit code than 0 or not within the time given.
func (p *Process) Stop(within time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(within):
		return fmt.Errorf("stop %s: still running %s after SIGTERM", p.name, within)
	}
	if p.err != nil {
		return fmt.Errorf("stop %s: %w", p.name, p.err)
	}
	return nil
}

// Exited says how the process ended, or nil while it runs.
func (p *Process) Exited() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended: %s", p.name, p.cmd.ProcessState)
	default:
		return nil
	}
}

// Log is what the process has written from an offset on.
func (p *Process) Log(offset int64) string {
	file, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return err.Error()
	}
	data, err := io.ReadAll(file)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// LogSize is where the log ends now: an offset for Log.
func (p *Process) LogSize() int64 {
	info, err := os.Stat(p.log)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Result is what a program that ran to its end said.
type Result struct {
	Stdout, Stderr string
	ExitCode       int
}

// run runs a program to its end. The environment is this process's own, changed by
// env.
func run(t *testing.T, path string, env []string, args ...string) Result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	dieWithParent(cmd)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", filepath.Base(path), err)
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), ExitCode: cmd.ProcessState.ExitCode()}
}

// Err is nil if the program ended with exit code 0.
func (r Result) Err() error {
	if r.ExitCode != 0 {
		return fmt.Errorf("exit code %d: %s%s", r.ExitCode, r.Stdout, r.Stderr)
	}
	return nil
}

// Must fails the test unless the program ended with exit code 0, and returns what
// it printed.
func (r Result) Must(t *testing.T) string {
	t.Helper()
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return r.Stdout
}

// Eventually waits until condition returns nil, and fails the test when that
// takes longer than within.
func Eventually(t *testing.T, what string, within time.Duration, condition func() error) {
	t.Helper()
	if err := await(t.Context(), within, condition); err != nil {
		t.Fatalf("%s: not within %s: %v", what, within, err)
	}
}

// errGiveUp ends an await early: the condition can no longer come true.
var errGiveUp = errors.New("not to be expected any more")

func await(ctx context.Context, within time.Duration, condition func() error) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(within)
	for {
		err := condition()
		if err == nil || errors.Is(err, errGiveUp) {
			return err
		}
		select {
		case <-ticker.C:
		case <-deadline:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// startOnPorts starts a program on free ports and waits until it is ready. A port
// can be taken between its choice and its use: then it tries again with others.
func startOnPorts(t *testing.T, within time.Duration, ports int, launch func(ports []int) (*Process, func() error)) {
	t.Helper()
	const attempts = 3
	for attempt := 1; ; attempt++ {
		process, ready := launch(freePorts(t, ports))
		err := await(t.Context(), within, func() error {
			if err := process.Exited(); err != nil {
				return fmt.Errorf("%w: %w", errGiveUp, err)
			}
			return ready()
		})
		if err == nil {
			return
		}
		if attempt == attempts || !strings.Contains(process.Log(0), "address already in use") {
			t.Fatalf("start %s: not ready within %s: %v", process.name, within, err)
		}
	}
}
