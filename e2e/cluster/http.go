package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"time"
)

// answerLimit is more than anything here answers; getTimeout longer than any of
// it takes.
const (
	answerLimit = 1 << 20
	getTimeout  = 5 * time.Second
)

// getOK is nil if url answers 200.
func getOK(ctx context.Context, client *http.Client, url string) error {
	code, body, err := get(ctx, client, url)
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return fmt.Errorf("GET %s: %d: %s", url, code, body)
	}
	return nil
}

func get(ctx context.Context, client *http.Client, url string) (code int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, getTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	return resp.StatusCode, string(data), err
}

// trusting is the TLS of a client that trusts one certificate authority and nothing
// else.
func trusting(authority []byte) (*tls.Config, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("no certificate in %d bytes of PEM", len(authority))
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
