package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The pairs that `webhook certs init` makes for callers.
const (
	APIServerPair = "apiserver"
	AuditorPair   = "auditor"
	// NoPair is a caller without a certificate.
	NoPair = ""
)

// Answer is what the webhook answers to whoever asks it directly.
type Answer struct {
	Code      int
	RequestID string
	Body      []byte
}

// TokenReview is the answer as that.
func (a Answer) TokenReview(t *testing.T) authenticationv1.TokenReview {
	t.Helper()
	var review authenticationv1.TokenReview
	if err := json.Unmarshal(a.Body, &review); err != nil || a.Code != http.StatusOK || review.Kind != "TokenReview" {
		t.Fatalf("expected a TokenReview, got %d: %s", a.Code, a.Body)
	}
	return review
}

// Caller is somebody who asks the webhook without an API server between them.
type Caller struct {
	webhook *Webhook
	client  *http.Client
}

// Caller returns one with a pair.
func (w *Webhook) Caller(t *testing.T, pair string) *Caller {
	t.Helper()
	config, err := trusting([]byte(read(t, w.certificate("ca.crt"))))
	if err != nil {
		t.Fatal(err)
	}
	if pair != NoPair {
		certificate, err := tls.LoadX509KeyPair(w.certificate(pair+".crt"), w.certificate(pair+".key"))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	client := &http.Client{Timeout: getTimeout, Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}
	t.Cleanup(client.CloseIdleConnections)
	return &Caller{webhook: w, client: client}
}

// Ask POSTs a TokenReview to a path of the secure port.
func (c *Caller) Ask(t *testing.T, path, token string) Answer {
	t.Helper()
	answer, err := c.Try(t.Context(), path, token)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// Try is Ask for other goroutines than the test's.
func (c *Caller) Try(ctx context.Context, path, token string) (Answer, error) {
	question, err := json.Marshal(authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"},
		Spec:     authenticationv1.TokenReviewSpec{Token: token},
	})
	if err != nil {
		return Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.webhook.Address()+path, bytes.NewReader(question))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Request-Id", "?") // The answer has the request's own then.
	resp, err := c.client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	return Answer{Code: resp.StatusCode, RequestID: resp.Header.Get("X-Request-Id"), Body: body}, err
}

// HangUp has the next question go over another connection, and perhaps to another
// process.
func (c *Caller) HangUp() { c.client.CloseIdleConnections() }

// CertificatesDir is where `certs init` has put the certificates.
func (w *Webhook) CertificatesDir() string { return w.certificates }
