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
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"tokenreview.dev/webhook/internal/redact"
	"tokenreview.dev/webhook/internal/regularfile"
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

func (s staticSource) fetch(context.Context) (*KeySet, error) { return s.set, nil }

// fileSource is a key set in a file, read anew at every fetch.
type fileSource struct{ path string }

func (s fileSource) fetch(context.Context) (*KeySet, error) {
	data, err := regularfile.Read(s.path, maxResponseBytes)
	if err != nil {
		return nil, fmt.Errorf("read jwksFile: %w", err)
	}
	set, err := ParseKeySet(data)
	if err != nil {
		return nil, fmt.Errorf("jwksFile %s: %w", s.path, err)
	}
	return set, nil
}

// urlSource is a key set at a URL that the configuration names.
type urlSource struct {
	client *http.Client
	url    string
}

func (s urlSource) fetch(ctx context.Context) (*KeySet, error) {
	return fetchKeySet(ctx, s.client, s.url)
}

// discoverySource finds the key set through the issuer's discovery document
// (OpenID Connect Discovery 1.0 §4), which is read again each time: issuers move
// their keys.
type discoverySource struct {
	client       *http.Client
	issuer       string
	discoveryURL string
}

func (s discoverySource) fetch(ctx context.Context) (*KeySet, error) {
	address := s.discoveryURL
	if address == "" {
		address = strings.TrimSuffix(s.issuer, "/") + wellKnownPath
	}
	data, err := get(ctx, s.client, address, "")
	if err != nil {
		return nil, fmt.Errorf("fetch discovery document %s: %w", address, err)
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("discovery document %s: %w", address, withoutInput(err))
	}
	// Discovery §4.3: or one issuer could speak for another.
	if document.Issuer != s.issuer {
		return nil, fmt.Errorf("discovery document %s: expected issuer %q, got %.200q", address, s.issuer, document.Issuer)
	}
	if document.JWKSURI == "" {
		return nil, fmt.Errorf("discovery document %s: it has no jwks_uri", address)
	}
	return fetchKeySet(ctx, s.client, document.JWKSURI)
}

func fetchKeySet(ctx context.Context, client *http.Client, address string) (*KeySet, error) {
	data, err := get(ctx, client, address, "")
	if err != nil {
		return nil, fmt.Errorf("fetch keys from %.200q: %w", address, err)
	}
	set, err := ParseKeySet(data)
	if err != nil {
		return nil, fmt.Errorf("keys from %.200q: %w", address, err)
	}
	return set, nil
}

// newClient returns an HTTP client of one issuer's own, so that a slow issuer
// holds nobody else's connections. certificateAuthority is PEM; empty means the
// system's roots. Like upstream's, it honours HTTPS_PROXY and NO_PROXY.
func newClient(certificateAuthority []byte) (*http.Client, error) {
	var roots *x509.CertPool
	if len(certificateAuthority) > 0 {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(certificateAuthority) {
			return nil, errors.New("certificateAuthority holds no PEM certificate")
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    5 * time.Second,
			ResponseHeaderTimeout:  5 * time.Second,
			IdleConnTimeout:        90 * time.Second,
			MaxConnsPerHost:        8,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		},
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
	}, nil
}

// get fetches one document over https, bounded in size. A non-empty bearer is sent
// as the request's access token (RFC 6750 §2.1). Its errors do not name the
// address, which may be part of a token.
func get(ctx context.Context, client *http.Client, address, bearer string) ([]byte, error) {
	target, err := url.Parse(address)
	if err != nil || target.Scheme != "https" || target.Host == "" {
		return nil, errors.New("not an https URL")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("not an https URL")
	}
	request.Header.Set("User-Agent", "tokenreview-webhook")
	request.Header.Set("Accept", "application/json, application/jwk-set+json, application/jwt")
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, redact.Cause(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxResponseBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxResponseBytes {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxResponseBytes)
	}
	return data, nil
}
