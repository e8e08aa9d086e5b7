package entra

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// maxResponseBytes bounds an answer of Graph and of the token endpoint. 11,000
	// groups are 440 KB.
	maxResponseBytes = 1 << 20
	userAgent        = "tokenreview-webhook"
)

// newTransport is what carries requests where nobody gives another. It speaks
// HTTP/1.1: a connection on which an answer fails to come is closed then, whereas
// HTTP/2 would go on using it.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: lookupTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    lookupTimeout,
		ResponseHeaderTimeout:  lookupTimeout,
		IdleConnTimeout:        90 * time.Second,
		MaxConnsPerHost:        maxLookups,
		MaxIdleConnsPerHost:    2,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// newClient returns the client of everything that is sent, MSAL's requests
// included.
func newClient(transport http.RoundTripper, cloud Cloud) *http.Client {
	return &http.Client{
		Transport: confined{transport: transport, hosts: [2]string{cloud.LoginHost(), cloud.GraphHost()}},
		// A redirect is an unexpected answer: no credential follows it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       lookupTimeout,
	}
}

// confined lets requests go to one cloud's hosts only, whatever a discovery
// document names, and bounds what comes back.
type confined struct {
	transport http.RoundTripper
	hosts     [2]string
}

// RoundTrip implements http.RoundTripper.
func (c confined) RoundTrip(request *http.Request) (*http.Response, error) {
	host := strings.ToLower(request.URL.Host)
	if request.URL.Scheme != "https" || (host != c.hosts[0] && host != c.hosts[1]) {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, fmt.Errorf("not one of the cloud's hosts: %.100q", host)
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	response.Body = &boundedBody{ReadCloser: response.Body, left: maxResponseBytes}
	return response, nil
}

// CloseIdleConnections is what http.Client calls by that name.
func (c confined) CloseIdleConnections() {
	if closer, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

var errTooLong = errors.New("the answer is longer than 1 MiB")

// boundedBody fails, rather than ends, where a body is too long.
type boundedBody struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if n > b.left {
		return b.left, errTooLong
	}
	b.left -= n
	return n, err
}
