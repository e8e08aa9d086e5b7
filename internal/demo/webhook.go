package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	loopback          = "127.0.0.1"
	defaultSecurePort = 8443
	defaultHealthPort = 8081
	// readyTimeout is ample: the issuers are on the same machine.
	readyTimeout = 30 * time.Second
	// stopTimeout is how long the webhook may take to answer its last requests.
	stopTimeout = 30 * time.Second
	// shownLog is how much of the log is shown when the webhook fails, in bytes.
	shownLog = 4 << 10
)

// webhook is the running child process.
type webhook struct {
	securePort, healthPort int
	log                    string
	process                *os.Process
	// done is closed when the process has ended, err then says how.
	done chan struct{}
	err  error
}

// startWebhook starts the webhook on the usual ports, or on others where these are
// taken.
func startWebhook(opts options) (*webhook, error) {
	w := &webhook{log: opts.log(), done: make(chan struct{})}
	var err error
	if w.securePort, err = freePort(defaultSecurePort); err != nil {
		return nil, err
	}
	if w.healthPort, err = freePort(defaultHealthPort); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(w.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(opts.webhook, "serve",
		"--config", opts.configuration(),
		"--tls-cert-file", opts.certificate("tls.crt"),
		"--tls-private-key-file", opts.certificate("tls.key"),
		"--client-ca-file", opts.certificate("ca.crt"),
		"--secure-port", fmt.Sprint(w.securePort),
		"--health-bind-address", fmt.Sprintf("%s:%d", loopback, w.healthPort))
	cmd.Stdout, cmd.Stderr = log, log
	// In a process group of its own the child does not get the terminal's Ctrl-C as
	// well: this program alone stops it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	say("Starting the webhook, which logs to %s:", w.log)
	fmt.Printf("    %s\n", strings.Join(cmd.Args, " "))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w.process = cmd.Process
	go func() {
		w.err = cmd.Wait()
		close(w.done)
	}()
	return w, nil
}

// stop asks the webhook to end and waits for it.
func (w *webhook) stop() {
	// It fails when the process has ended already, which done tells.
	_ = w.process.Signal(syscall.SIGTERM)
	select {
	case <-w.done:
	case <-time.After(stopTimeout):
		say("The webhook is still running after %s, killing it", stopTimeout)
		_ = w.process.Kill()
		<-w.done
	}
}

// exited describes the end of a webhook that nobody stopped.
func (w *webhook) exited() error {
	end := errors.New("it ended with exit code 0")
	if w.err != nil {
		end = w.err
	}
	log, err := os.ReadFile(w.log)
	if err != nil {
		return errors.Join(end, err)
	}
	return fmt.Errorf("the webhook ended by itself: %w; the end of its log:\n%s", end, log[max(0, len(log)-shownLog):])
}

func (w *webhook) reviewURL() string {
	return fmt.Sprintf("https://%s:%d/authenticate", loopback, w.securePort)
}

func (w *webhook) healthURL(path string) string {
	return fmt.Sprintf("http://%s:%d%s", loopback, w.healthPort, path)
}

// awaitReady waits until every check of the webhook passes. The webhook as a whole
// is ready before, with the keys of one issuer.
func (w *webhook) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		problem := w.ready(ctx)
		if problem == nil {
			return nil
		}
		select {
		case <-w.done:
			return w.exited()
		case <-ctx.Done():
			return fmt.Errorf("the webhook is not ready (its log is %s): %w", w.log, problem)
		case <-ticker.C:
		}
	}
}

func (w *webhook) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.healthURL("/readyz?verbose"), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	// A failed check's line begins with "[-]", see k8s.io/apiserver's healthz.
	if resp.StatusCode != http.StatusOK || strings.Contains(string(body), "[-]") {
		return fmt.Errorf("/readyz answers %s:\n%s", resp.Status, body)
	}
	return nil
}

// runToEnd runs a program and shows what it says, indented.
func runToEnd(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	output, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(output)) {
		fmt.Print("    ", line)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return nil
}

// freePort returns the preferred port, or another if somebody listens there.
func freePort(preferred int) (int, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", loopback, preferred))
	if err == nil {
		return preferred, listener.Close()
	}
	listener, err = net.Listen("tcp", loopback+":0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	say("Port %d is taken, using %d instead", preferred, port)
	return port, nil
}
