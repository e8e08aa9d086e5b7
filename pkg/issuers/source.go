package issuers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"

	"tokenreview.dev/webhook/internal/redact"
	"tokenreview.dev/webhook/internal/regularfile"
	"tokenreview.dev/webhook/internal/span"
)

const (
	// maxResponseBytes bounds a discovery document, a key set (in a file, too) or a
	// distributed claim. Real ones stay below 64 KiB.
	maxResponseBytes = 1 << 20
	maxRedirects     = 5
	// wellKnownPath is OpenID Connect Discovery 1.0 §4.
	wellKnownPath = "/.well-known/openid-configuration"
)

// staticSource is a key set that stands in the configuration.
type staticSource struct{ set *KeySet }

func (s staticSource) fetch(context.Context) (answer, error) { return answer{set: s.set}, nil }

// fileSource is a key set in a file, read anew at every fetch.
type fileSource struct{ path string }

func (s fileSource) fetch(context.Context) (answer, error) {
	data, err := regularfile.Read(s.path, maxResponseBytes)
	if err != nil {
		return answer{}, fmt.Errorf("read jwksFile: %w", err)
	}
	set, err := ParseKeySet(data)
	if err != nil {
		return answer{}, fmt.Errorf("jwksFile %s: %w", s.path, err)
	}
	return answer{set: set}, nil
}

// urlSource is a key set at a URL that the configuration names.
type urlSource struct {
	client *http.Client
	url    string
}

func (s urlSource) fetch(ctx context.Context) (answer, error) {
	return fetchKeySet(ctx, s.client, s.url)
}

// discoverySource finds the key set through the issuer's discovery document
// (OpenID Connect Discovery 1.0 §4), which is read again each time: issuers move
// their keys.
type discoverySource struct {
	client  *http.Client
	issuer  string
	address string // of the document
}

func (s discoverySource) fetch(ctx context.Context) (answer, error) {
	data, _, err := download(ctx, s.client, "fetch discovery document", s.address, "")
	if err != nil {
		return answer{}, fmt.Errorf("fetch discovery document %s: %w", s.address, err)
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return answer{}, fmt.Errorf("discovery document %s: %w", s.address, withoutInput(err))
	}
	// Discovery §4.3: or one issuer could speak for another.
	if document.Issuer != s.issuer {
		return answer{}, fmt.Errorf("discovery document %s: expected issuer %q, got %.200q", s.address, s.issuer, document.Issuer)
	}
	if document.JWKSURI == "" {
		return answer{}, fmt.Errorf("discovery document %s: it has no jwks_uri", s.address)
	}
	return fetchKeySet(ctx, s.client, document.JWKSURI)
}

func fetchKeySet(ctx context.Context, client *http.Client, address string) (answer, error) {
	data, header, err := download(ctx, client, "fetch key set", address, "")
	if err != nil {
		return answer{}, fmt.Errorf("fetch keys from %.200q: %w", address, err)
	}
	set, err := ParseKeySet(data)
	if err != nil {
		return answer{}, fmt.Errorf("keys from %.200q: %w", address, err)
	}
	return answer{set: set, document: data, fresh: freshness(header)}, nil
}

// newTransport returns an HTTP transport of one issuer's own, so that a slow issuer
// holds nobody else's connections. certificateAuthority is PEM; empty means the
// system's roots. Like upstream's, it honours HTTPS_PROXY and NO_PROXY.
func newTransport(certificateAuthority []byte) (*http.Transport, error) {
	var roots *x509.CertPool
	if len(certificateAuthority) > 0 {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(certificateAuthority) {
			return nil, errors.New("certificateAuthority holds no PEM certificate")
		}
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  5 * time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxConnsPerHost:        8,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		// A dead connection is found before a fetch has timed out.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 2 * time.Second, PingTimeout: time.Second},
	}, nil
}

// newClient returns a client that follows some redirects, by https alone, and keeps no
// cookies.
func newClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: transport,
		CheckRedirect: func(request *http.Request, via []*http.Request) error {
			if request.URL.Scheme != "https" {
				return errors.New("a redirect leads away from https")
			}
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return nil
		},
		Timeout: fetchTimeout,
	}
}

// download fetches one document over https, bounded in size. A non-empty bearer is sent
// as the request's access token (RFC 6750 §2.1). Its errors do not name the
// address, which may be part of a token, nor does its span, whose name is what is
// fetched.
func download(ctx context.Context, client *http.Client, what, address, bearer string) (data []byte, header http.Header, err error) {
	ctx, step := span.Ask(ctx, what)
	defer func() { step.End(err) }()
	target, err := url.Parse(address)
	if err != nil || target.Scheme != "https" || target.Host == "" {
		return nil, nil, errors.New("not an https URL")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, errors.New("not an https URL")
	}
	request.Header.Set("User-Agent", "tokenreview-webhook")
	request.Header.Set("Accept", "application/json, application/jwk-set+json, application/jwt")
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := client.Do(request)
	if err != nil {
		step.End(err)
		// The other side may have a part in its text.
		return nil, nil, errors.New(redact.Line(redact.Cause(err).Error(), bearer))
	}
	defer func() { _ = response.Body.Close() }()
	step.Answered(response.StatusCode)
	if response.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("the answer is %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	data, err = io.ReadAll(io.LimitReader(response.Body, maxResponseBytes+1))
	if err != nil {
		return nil, nil, errors.New(redact.Line(err.Error(), bearer))
	}
	if len(data) > maxResponseBytes {
		return nil, nil, fmt.Errorf("the answer is longer than %d bytes", maxResponseBytes)
	}
	return data, response.Header, nil
}
