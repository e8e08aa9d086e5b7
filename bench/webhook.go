package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tokenreview.dev/webhook/pkg/tokenreview"
)

// webhook is the real program, serving.
type webhook struct {
	*server
	// took is the time from its start until it was ready.
	took time.Duration
}

// startWebhook starts the program with a configuration, and waits until it is ready. But
// for the files and for ports that nobody else has, everything is at its default: the audit
// log goes to standard output, which is thrown away, as what it costs further on is for the
// machine to say.
func (b *bench) startWebhook(ctx context.Context, configuration []byte) (*webhook, error) {
	dir, err := os.MkdirTemp(b.dir, "webhook-*")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "webhook.yaml")
	if err := os.WriteFile(file, configuration, 0o600); err != nil {
		return nil, err
	}
	p, err := startProcess("webhook", b.webhook, "serve", "--config", file,
		"--tls-cert-file", filepath.Join(b.pki, "tls.crt"), "--tls-private-key-file", filepath.Join(b.pki, "tls.key"),
		"--client-ca-file", filepath.Join(b.pki, "ca.crt"),
		"--secure-port", "0", "--health-bind-address", "127.0.0.1:0", "--log-format", "json")
	if err != nil {
		return nil, err
	}
	w := &webhook{server: &server{process: p}}
	if err := w.awaitReady(ctx); err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}

func (w *webhook) awaitReady(ctx context.Context) error {
	health, err := w.await(ctx, func(line string) string {
		var said struct{ Msg, Secure, Health string }
		if json.Unmarshal([]byte(line), &said) != nil || said.Msg != "serving" {
			return ""
		}
		w.url = "https://" + said.Secure + tokenreview.AuthenticatePath
		return "http://" + said.Health
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		problem := ready(ctx, health)
		if problem == nil {
			w.took = time.Since(w.begun)
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return w.failed(problem)
		}
	}
}

// ready is nil once every check passes. The overall answer is 200 sooner, with the first
// issuer that has keys.
func ready(ctx context.Context, health string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, health+"/readyz?verbose", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	checks, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || strings.Contains(string(checks), "[-]") {
		return fmt.Errorf("/readyz answers %s:\n%s", response.Status, checks)
	}
	return nil
}
