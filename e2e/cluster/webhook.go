package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Webhook is an installation of the webhook: its certificates, its configuration
// and the port that kube-apiserver finds it at. None, one or, while one replaces
// another, two processes serve it.
type Webhook struct {
	// ConfigFile is what --config names.
	ConfigFile string
	// Kubeconfig is the file with which an API server finds the webhook.
	Kubeconfig string

	binary       string
	certificates string
	port         int
}

// WebhookProcess is one process that serves a Webhook.
type WebhookProcess struct {
	*Process
	// health is the address of this process's own health port.
	health string
}

// InstallWebhook makes certificates with `webhook certs init` and writes the
// configuration. Nothing runs yet.
func InstallWebhook(t *testing.T, binary, configuration string) *Webhook {
	t.Helper()
	dir := t.TempDir()
	w := &Webhook{
		ConfigFile:   filepath.Join(dir, "config.yaml"),
		Kubeconfig:   filepath.Join(dir, "certs", "webhook.kubeconfig"),
		binary:       binary,
		certificates: filepath.Join(dir, "certs"),
		port:         ReservePort(t),
	}
	w.Configure(t, configuration)
	w.initCertificates(t)
	write(t, w.certificate(clientCA), read(t, w.certificate("ca.crt")))
	return w
}

// Address is where the webhook listens for TokenReviews.
func (w *Webhook) Address() string { return net.JoinHostPort(loopback, strconv.Itoa(w.port)) }

// Configure replaces the configuration file in one step.
func (w *Webhook) Configure(t *testing.T, configuration string) {
	t.Helper()
	write(t, w.ConfigFile, configuration)
}

// Run runs a command of the webhook to its end.
func (w *Webhook) Run(t *testing.T, args ...string) Result {
	t.Helper()
	return run(t, w.binary, nil, args...)
}

// Start starts a process and waits until it is ready: the configuration is loaded
// and every issuer has keys. It shares its port with a process that runs already.
func (w *Webhook) Start(t *testing.T) *WebhookProcess {
	t.Helper()
	return w.Launch(t, Launch{})
}

// Launch says how a process of the webhook differs from a plain one.
type Launch struct {
	// Flags are added to those that every process is given.
	Flags []string
	// Mounts is as in Command.
	Mounts string
	// Until is nil once the process is as far as it is waited for; without it, that is
	// once every check passes.
	Until func(*WebhookProcess) error
}

// Launch starts a process and waits until it is as far as is said.
func (w *Webhook) Launch(t *testing.T, launch Launch) *WebhookProcess {
	t.Helper()
	until := launch.Until
	if until == nil {
		until = func(p *WebhookProcess) error { return p.ready(t.Context()) }
	}
	process := &WebhookProcess{}
	startOnPorts(t, time.Minute, 1, func(ports []int) (*Process, func() error) {
		process.health = url("http", ports[0], "")
		process.Process = Run(t, Command{Name: "webhook", Path: w.binary, Mounts: launch.Mounts, Args: append([]string{"serve",
			"--config=" + w.ConfigFile,
			"--tls-cert-file=" + w.certificate("tls.crt"),
			"--tls-private-key-file=" + w.certificate("tls.key"),
			"--client-ca-file=" + w.certificate(clientCA),
			"--bind-address=" + loopback,
			fmt.Sprintf("--secure-port=%d", w.port),
			"--permit-port-sharing",
			fmt.Sprintf("--health-bind-address=%s:%d", loopback, ports[0]),
			"--log-format=json",
		}, launch.Flags...)})
		return process.Process, func() error { return until(process) }
	})
	return process
}

// ready is nil once every check of the process passes. The overall answer is 200
// sooner, with the first issuer that has keys.
func (p *WebhookProcess) ready(ctx context.Context) error {
	code, checks, err := p.Health(ctx, "/readyz?verbose")
	if err != nil {
		return err
	}
	if code != http.StatusOK || strings.Contains(checks, "[-]") {
		return fmt.Errorf("/readyz answers %d:\n%s", code, checks)
	}
	return nil
}

// Readyz is what the process says of its own health, check by check.
func (p *WebhookProcess) Readyz(t *testing.T) string {
	t.Helper()
	_, checks, err := p.Health(t.Context(), "/readyz?verbose")
	if err != nil {
		t.Fatal(err)
	}
	return checks
}

// Health asks the health port of the process for a path.
func (p *WebhookProcess) Health(ctx context.Context, path string) (code int, body string, err error) {
	return get(ctx, http.DefaultClient, p.health+path)
}

// Documents joins configuration documents in one file. JSON is YAML.
func Documents(t *testing.T, documents ...any) string {
	t.Helper()
	var file strings.Builder
	for _, document := range documents {
		data, err := json.MarshalIndent(document, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&file, "---\n%s\n", data)
	}
	return file.String()
}
