package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tokenreview.dev/webhook/internal/freeport"
)

// process is a webhook that serves.
type process struct {
	t              *testing.T
	command        *exec.Cmd
	log            bytes.Buffer // read when the process has ended
	secure, health string
	client         *http.Client
}

// serve starts the real command and returns when it is ready.
func (w *world) serve(t *testing.T, variables ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, secure: freeAddress(t), health: freeAddress(t)}
	_, port, _ := net.SplitHostPort(p.secure)
	pki := filepath.Join(w.dir, "pki")
	p.command = exec.Command(self)
	// By this name the test's binary is the command.
	p.command.Args = append([]string{"webhook", "serve", "--config", filepath.Join(w.dir, "webhook.yaml"),
		"--tls-cert-file", filepath.Join(pki, "tls.crt"), "--tls-private-key-file", filepath.Join(pki, "tls.key"), "--client-ca-file", filepath.Join(pki, "ca.crt"),
		"--secure-port", port, "--health-bind-address", p.health}, variables[0])
	p.command.Env = append(os.Environ(), "HTTPS_PROXY="+w.proxy.URL, "SSL_CERT_FILE="+filepath.Join(w.dir, "microsoft.pem"))
	p.command.Env = append(p.command.Env, variables[1:]...)
	p.command.Stderr = &p.log
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.command.Process.Kill() })
	pair, err := tls.LoadX509KeyPair(filepath.Join(pki, "apiserver.crt"), filepath.Join(pki, "apiserver.key"))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	p.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		response, err := http.Get("http://" + p.health + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return p
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the webhook is not ready: %v", err)
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := freeport.Pick()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// admits has a token reviewed, as part of somebody else's trace.
func (p *process) admits(token string) {
	p.t.Helper()
	body := fmt.Sprintf(`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":%q}}`, token)
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "https://"+p.secure+"/authenticate", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Traceparent", "00-"+foreign+"-b7ad6b7169203331-01")
	response, err := p.client.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil || !bytes.Contains(answer, []byte(`"authenticated":true`)) {
		p.t.Fatalf("expected the token to be admitted, got %s %s, %v", response.Status, answer, err)
	}
}

func (p *process) metrics() string {
	p.t.Helper()
	response, err := http.Get("http://" + p.health + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// stop ends the process as a supervisor does, and returns its log.
func (p *process) stop() string {
	p.t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.command.Wait(); err != nil {
		p.t.Fatalf("webhook serve: %v\n%s", err, &p.log)
	}
	return p.log.String()
}
