package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// readyTimeout is ample: all is on the same machine.
	readyTimeout = time.Minute
	// stopTimeout is how long a process may take to end when it is told to.
	stopTimeout = 30 * time.Second
	// keptLines of what a process says last are shown if it fails.
	keptLines = 20
)

// process is a program that runs beside this one, and ends with it.
type process struct {
	name    string
	command *exec.Cmd
	begun   time.Time
	// lines is what it says on standard error, as long as somebody listens.
	lines chan string
	// done is closed when it has ended, err then says how.
	done chan struct{}
	err  error

	mu   sync.Mutex
	last []string
}

func startProcess(name, path string, args ...string) (*process, error) {
	p := &process{name: name, command: exec.Command(path, args...), lines: make(chan string, keptLines), done: make(chan struct{})}
	dieWithParent(p.command)
	output, err := p.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	p.begun = time.Now()
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.read(output)
		p.err = p.command.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) read(output io.Reader) {
	defer close(p.lines)
	for lines := bufio.NewScanner(output); lines.Scan(); {
		line := lines.Text()
		p.mu.Lock()
		p.last = append(p.last[max(0, len(p.last)-keptLines+1):], line)
		p.mu.Unlock()
		select {
		case p.lines <- line:
		default: // Nobody waits for it any more.
		}
	}
	// A line that is too long ends the scan, and must not stop the process.
	_, _ = io.Copy(io.Discard, output)
}

// await returns what found makes of the first line that it finds something in.
func (p *process) await(ctx context.Context, found func(line string) string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", p.failed(errors.New("it ended by itself"))
			}
			if text := found(line); text != "" {
				return text, nil
			}
		case <-ctx.Done():
			return "", p.failed(ctx.Err())
		}
	}
}

// failed adds what the process has said to an error.
func (p *process) failed(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("%s: %w; it said last:\n%s", p.name, err, strings.Join(p.last, "\n"))
}

// stop tells the process to end, and waits until it has.
func (p *process) stop() {
	// It fails when the process has ended already, which done tells.
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		say("%s still runs after %s, killing it", p.name, stopTimeout)
		_ = p.command.Process.Kill()
		<-p.done
	}
}
