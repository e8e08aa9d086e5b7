package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/internal/certs"
)

// served is a running `webhook serve`, the real command in a process of its own.
type served struct {
	// secure and health are the addresses that it listens on.
	secure, health string
	environment    []string
	dir, log       string
}

// startServed makes certificates in dir and starts the command there with its
// configuration, dir/webhook.yaml. It ends with the test, well.
func startServed(t *testing.T, dir string, environment ...string) *served {
	t.Helper()
	s := &served{dir: dir, log: filepath.Join(dir, "log"), environment: append(os.Environ(), environment...)}
	if _, err := certs.Init(certs.DefaultOptions(s.file("pki"))); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	cmd := s.command("serve", "--config", s.file("webhook.yaml"),
		"--tls-cert-file", s.file("pki/tls.crt"), "--tls-private-key-file", s.file("pki/tls.key"), "--client-ca-file", s.file("pki/ca.crt"),
		"--secure-port=0", "--health-bind-address=127.0.0.1:0", "--log-format=json", "--log-level=debug")
	cmd.Stdout, cmd.Stderr = log, log
	// No cleanup runs after a panic, or when the tests run out of time.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("webhook serve: %v", err)
		}
		if t.Failed() {
			t.Logf("the log of webhook serve:\n%s", s.read(t, "log"))
		}
	})
	eventually(t, "it serves", func() bool {
		for line := range strings.Lines(s.read(t, "log")) {
			var entry struct{ Msg, Secure, Health string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "serving" {
				s.secure, s.health = entry.Secure, entry.Health
			}
		}
		return s.secure != ""
	})
	return s
}

// command is another command of the same program.
func (s *served) command(args ...string) *exec.Cmd {
	cmd := exec.Command("webhook", args...)
	cmd.Env = s.environment
	return cmd
}

func (s *served) file(name string) string { return filepath.Join(s.dir, name) }

func (s *served) read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(s.file(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// client shows one of the pairs that were made, or nothing for an empty name.
func (s *served) client(t *testing.T, pair string) *http.Client {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13}
	if !config.RootCAs.AppendCertsFromPEM([]byte(s.read(t, "pki/ca.crt"))) {
		t.Fatal("pki/ca.crt has no certificate")
	}
	if pair != "" {
		certificate, err := tls.LoadX509KeyPair(s.file("pki/"+pair+".crt"), s.file("pki/"+pair+".key"))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// answered is an answer to a TokenReview, as it came and as what it is.
type answered struct {
	review    authenticationv1.TokenReview
	requestID string
	raw       string
}

// ask POSTs a TokenReview, and wants one back.
func (s *served) ask(t *testing.T, client *http.Client, path, token string) *answered {
	t.Helper()
	question, err := json.Marshal(&authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"},
		Spec:     authenticationv1.TokenReviewSpec{Token: token},
	})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.secure+path, bytes.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Request-Id", "?") // The answer has the request's own then.
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := &answered{requestID: response.Header.Get("X-Request-Id"), raw: fmt.Sprint(response.Header) + string(body)}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s: %s", path, response.Status, body)
	}
	if err := json.Unmarshal(body, &got.review); err != nil {
		t.Fatalf("%s answers %s: %v", path, body, err)
	}
	return got
}

// metrics is what /metrics says, one sample to a key.
func (s *served) metrics(t *testing.T) map[string]string {
	t.Helper()
	response, err := http.Get("http://" + s.health + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]string{}
	for line := range strings.Lines(string(body)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			samples[name] = value
		}
	}
	return samples
}

// eventually waits for what another process does.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for !condition() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
