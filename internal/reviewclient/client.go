// Package reviewclient asks a running webhook's POST /tokenreview what it makes of a
// token. It begins with a token and ends with an Answer that holds nothing of it.
package reviewclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/internal/retryafter"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

const (
	// maxAnswerBytes bounds an answer. A trace and some thousand groups stay below 1 MiB.
	maxAnswerBytes = 4 << 20
	// maxRepeats is how often a server that has too much to do is asked again.
	maxRepeats = 2
	// defaultWait is for an answer 429 without a Retry-After.
	defaultWait = time.Second
)

// Options say which server is asked, and by which certificates. Files are PEM.
type Options struct {
	// Server is https://HOST[:PORT].
	Server string
	// CertificateAuthority is the file of the CA that signs the server's certificate.
	// Empty means those that the system trusts.
	CertificateAuthority string
	// ClientCertificate and ClientKey are the files of what shows who asks.
	ClientCertificate, ClientKey string
	// TLSServerName is the name that the server's certificate must have, where it is not
	// HOST.
	TLSServerName string
	// After waits, time.After if nil.
	After func(time.Duration) <-chan time.Time
}

// Request is one question.
type Request struct {
	Token     string
	Audiences []string
	// Explain asks for the steps of the decision.
	Explain bool
}

// Client asks one server.
type Client struct {
	options  Options
	endpoint *url.URL
	http     *http.Client
}

// New reads the files that options name. Its errors name the flags of "webhook review".
func New(options Options) (*Client, error) {
	endpoint, err := parseServer(options.Server)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := options.tls()
	if err != nil {
		return nil, err
	}
	if options.After == nil {
		options.After = time.After
	}
	return &Client{options: options, endpoint: endpoint, http: newHTTPClient(tlsConfig)}, nil
}

func parseServer(server string) (*url.URL, error) {
	// Nothing of it is repeated, as somebody gives the token in its place.
	parsed, err := url.Parse(server)
	switch {
	case err != nil:
		return nil, errors.New("--server: expected https://HOST:PORT")
	case parsed.Scheme == "http":
		return nil, errors.New("--server: expected https://HOST:PORT; over http:// anybody on the way could read the token")
	case parsed.Scheme != "https" || parsed.Hostname() == "" || parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
		return nil, errors.New("--server: expected https://HOST:PORT")
	case parsed.Path != "" && parsed.Path != "/":
		return nil, errors.New("--server: expected https://HOST:PORT without a path; " + tokenreview.TokenReviewPath + " is added to it")
	}
	return &url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: tokenreview.TokenReviewPath}, nil
}

// newHTTPClient returns a client for one question. A proxy of the environment is told
// HOST:PORT and sees what TLS lets see, not the token; net/http asks a server on loopback
// without it.
func newHTTPClient(tlsConfig *tls.Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        tlsConfig,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true,
		},
		// The token goes to the server that was named and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Review asks about one token until there is an answer or ctx is done. The server may
// refuse to decide while it has too much to do: it is asked again when it wants to be, if
// ctx lasts that long. An error means that there is no answer, and holds nothing of the
// token.
func (c *Client) Review(ctx context.Context, request Request) (*Answer, error) {
	body, err := encode(request)
	if err != nil {
		return nil, err
	}
	for repeats := 0; ; repeats++ {
		reply, err := c.send(ctx, request, body)
		if err != nil {
			return nil, c.unanswered(ctx, err, request.Token)
		}
		if reply.code == http.StatusOK {
			return c.answer(reply.body, request.Token)
		}
		refusal := c.refused(reply, request.Token)
		if reply.code != http.StatusTooManyRequests || repeats == maxRepeats {
			return nil, refusal
		}
		wait := defaultWait
		if value := reply.header.Get("Retry-After"); value != "" {
			wait = retryafter.Wait(value, time.Now(), 0, time.Hour)
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
			return nil, refusal
		}
		select {
		case <-c.options.After(wait):
		case <-ctx.Done():
			return nil, refusal
		}
	}
}

func encode(request Request) ([]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // or a strange token could become too long for the server
	err := encoder.Encode(authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "TokenReview"},
		Spec:     authenticationv1.TokenReviewSpec{Token: request.Token, Audiences: request.Audiences},
	})
	return body.Bytes(), err
}

// reply is what came back from the server.
type reply struct {
	code   int
	header http.Header
	body   []byte
}

// send sends the question once.
func (c *Client) send(ctx context.Context, request Request, body []byte) (*reply, error) {
	address := *c.endpoint
	if request.Explain {
		address.RawQuery = "explain=true"
	}
	question, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	question.Header.Set("Content-Type", "application/json")
	question.Header.Set("Accept", "application/json")
	question.Header.Set("User-Agent", "tokenreview-webhook")
	response, err := c.http.Do(question)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err != nil && response.StatusCode == http.StatusOK {
		return nil, err
	}
	if len(data) > maxAnswerBytes {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswerBytes)
	}
	return &reply{code: response.StatusCode, header: response.Header, body: data}, nil
}
