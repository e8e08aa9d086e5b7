package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
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
		port:         reservePort(t),
	}
	w.Configure(t, configuration)
	w.Run(t, "certs", "init", "--dir", w.certificates, "--server", url("https", w.port, "/authenticate")).Must(t)
	return w
}

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

// RenewServingCertificate has the same authority sign another serving
// certificate, in the files that the running webhook reads.
func (w *Webhook) RenewServingCertificate(t *testing.T) {
	t.Helper()
	w.Run(t, "certs", "init", "--dir", w.certificates, "--renew", "--server", url("https", w.port, "/authenticate")).Must(t)
}

// Start starts a process and waits until it is ready: the configuration is loaded
// and every issuer has keys. It shares its port with a process that runs already.
func (w *Webhook) Start(t *testing.T) *WebhookProcess {
	t.Helper()
	process := &WebhookProcess{}
	startOnPorts(t, time.Minute, 1, func(ports []int) (*Process, func() error) {
		process.health = url("http", ports[0], "")
		process.Process = start(t, "webhook", w.binary, "serve",
			"--config="+w.ConfigFile,
			"--tls-cert-file="+filepath.Join(w.certificates, "tls.crt"),
			"--tls-private-key-file="+filepath.Join(w.certificates, "tls.key"),
			"--client-ca-file="+filepath.Join(w.certificates, "ca.crt"),
			"--bind-address="+loopback,
			fmt.Sprintf("--secure-port=%d", w.port),
			"--permit-port-sharing",
			fmt.Sprintf("--health-bind-address=%s:%d", loopback, ports[0]),
			"--log-format=json",
		)
		return process.Process, func() error { return process.ready(t.Context()) }
	})
	return process
}

// ready is nil once every check of the process passes. The overall answer is 200
// sooner, with the first issuer that has keys.
func (p *WebhookProcess) ready(ctx context.Context) error {
	code, checks, err := get(ctx, http.DefaultClient, p.health+"/readyz?verbose")
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
	_, checks, err := get(t.Context(), http.DefaultClient, p.health+"/readyz?verbose")
	if err != nil {
		t.Fatal(err)
	}
	return checks
}

// ServingCertificate is the serial number of the certificate that the webhook
// shows to a new connection.
func (w *Webhook) ServingCertificate(ctx context.Context) (*big.Int, error) {
	authority, err := os.ReadFile(filepath.Join(w.certificates, "ca.crt"))
	if err != nil {
		return nil, err
	}
	config, err := trusting(authority)
	if err != nil {
		return nil, err
	}
	dialer := tls.Dialer{Config: config}
	ctx, cancel := context.WithTimeout(ctx, getTimeout)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(w.port)))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber, nil
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
