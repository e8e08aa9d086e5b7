package liveness

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"tokenreview.dev/webhook/internal/redact"
	"tokenreview.dev/webhook/internal/resend"
	"tokenreview.dev/webhook/internal/span"
)

const (
	// maxAnswerBytes bounds an answer. It repeats the token, and real ones stay below
	// 64 KiB.
	maxAnswerBytes = 256 << 10
	connectTimeout = 3 * time.Second
	// maxConnections is more than the questions that one account may have under way, or
	// without HTTP/2, where each takes a connection, that would keep the others out. With
	// HTTP/2 one is enough, but a crowd that comes all at once makes as many.
	maxConnections = 2 * maxQuestionsPerSubject
)

// cluster is the way to the API server that a kubeconfig names.
type cluster struct {
	path string

	standing *standing

	mu      sync.Mutex
	current *connection
}

// review asks the API server about token. Its errors are failures.
func (c *cluster) review(ctx context.Context, token string, audiences []string) (*authenticationv1.TokenReviewStatus, error) {
	connection, err := c.connect()
	if err != nil {
		return nil, &failure{err: err, everyToken: true}
	}
	status, err := connection.review(ctx, token, audiences)
	c.leave(connection)
	if err != nil {
		return nil, fmt.Errorf("API server %s (kubeconfig %s): %w", connection.kubeconfig.server.Host, c.path, err)
	}
	return status, nil
}

// connect returns the connection by the kubeconfig as it is now.
func (c *cluster) connect() (*connection, error) {
	kubeconfig, err := readKubeconfig(c.path)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", c.path, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && c.current.kubeconfig.equal(kubeconfig) {
		return c.current, nil
	}
	connection, err := newConnection(kubeconfig, c.standing)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", c.path, err)
	}
	if c.current != nil {
		c.current.client.CloseIdleConnections()
	}
	c.current = connection
	return connection, nil
}

// leave closes what nobody uses of a connection that has been replaced while it was
// asked on: it would count as one that stands for as long as it is kept.
func (c *cluster) leave(used *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != used {
		used.client.CloseIdleConnections()
	}
}

func (c *cluster) closeIdleConnections() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		c.current.client.CloseIdleConnections()
	}
}

// connection sends questions by one state of the kubeconfig. client-go reads the
// kubeconfig and makes TLS of it. Its requests are not used: they would log bodies and
// headers, quote answers in errors, read answers without bound, and sleep out a
// Retry-After while callers wait.
type connection struct {
	kubeconfig *kubeconfig
	client     *http.Client
	dialer     *dialer
	proxy      func(*http.Request) (*url.URL, error)
}

func newConnection(kubeconfig *kubeconfig, standing *standing) (*connection, error) {
	tlsConfig, err := rest.TLSConfigFor(kubeconfig.client)
	if err != nil {
		return nil, err
	}
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	proxy := kubeconfig.client.Proxy
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	dialer := newDialer(tlsConfig, standing)
	return &connection{kubeconfig: kubeconfig, dialer: dialer, proxy: proxy, client: &http.Client{
		Transport: &http.Transport{
			Proxy:                  proxy,
			DialContext:            (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
			DialTLSContext:         dialer.dial,
			TLSClientConfig:        tlsConfig, // of an API server behind a proxy
			TLSHandshakeTimeout:    connectTimeout,
			IdleConnTimeout:        90 * time.Second,
			MaxConnsPerHost:        maxConnections,
			MaxIdleConnsPerHost:    maxConnections, // or without HTTP/2 a crowd would open ever new ones
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
			// Or a connection that died in silence would swallow question after question.
			HTTP2: &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
		},
		// The token goes to the server of the kubeconfig and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// review sends one TokenReview.
func (c *connection) review(ctx context.Context, token string, audiences []string) (_ *authenticationv1.TokenReviewStatus, err error) {
	ctx, step := span.Ask(ctx, "ask the cluster")
	defer func() { step.End(err) }()
	step.Set(semconv.ServerAddress(c.kubeconfig.server.Hostname()))
	body, err := json.Marshal(authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "TokenReview"},
		Spec:     authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences},
	})
	if err != nil {
		return nil, &failure{err: errors.New("the token is not text that JSON can hold")}
	}
	address := c.kubeconfig.server.JoinPath("/apis/authentication.k8s.io/v1/tokenreviews").String()
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	request, err := http.NewRequestWithContext(traced, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, &failure{err: err, everyToken: true}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "tokenreview-webhook")
	if bearer := c.kubeconfig.client.BearerToken; bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	resend.Once(request)
	before := c.dialer.ended()
	response, err := c.client.Do(request)
	if err != nil {
		step.End(err) // which still tells its class
	}
	if err != nil && !connected.Load() {
		reason := err
		if ctx.Err() != nil {
			// It has waited for a connection in vain. Others may have tried to make one.
			reason = c.dialer.failedSince(before)
		}
		if reason != nil {
			return nil, &failure{err: errors.New(c.redact(redact.Cause(reason).Error(), token)), everyToken: true, away: c.away(request, reason)}
		}
	}
	if err != nil {
		return nil, c.interrupted(ctx, err, token)
	}
	defer func() { _ = response.Body.Close() }()
	step.Answered(response.StatusCode)
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusCreated {
		return nil, c.refused(response, data, token)
	}
	if err != nil {
		return nil, c.interrupted(ctx, err, token)
	}
	if len(data) > maxAnswerBytes {
		return nil, &failure{err: fmt.Errorf("the answer is longer than %d bytes", maxAnswerBytes)}
	}
	var review struct {
		metav1.TypeMeta `json:",inline"`
		Status          authenticationv1.TokenReviewStatus `json:"status"`
	}
	// The decoder's own text may quote the token.
	if err := json.Unmarshal(data, &review); err != nil ||
		review.APIVersion != authenticationv1.SchemeGroupVersion.String() || review.Kind != "TokenReview" {
		return nil, &failure{err: errors.New("the answer is not a TokenReview of authentication.k8s.io/v1")}
	}
	return &review.Status, nil
}

func (c *connection) redact(text, token string) string {
	return redact.Line(text, token, c.kubeconfig.client.BearerToken)
}
