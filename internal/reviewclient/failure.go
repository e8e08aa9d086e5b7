package reviewclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/internal/redact"
)

// errorf is an error that says which server it is about.
func (c *Client) errorf(format string, args ...any) error {
	return fmt.Errorf("server %s: %s", c.endpoint.Host, fmt.Sprintf(format, args...))
}

// unanswered says why there is no answer, and what to do about it.
func (c *Client) unanswered(ctx context.Context, err error, token string) error {
	var (
		unknown   x509.UnknownAuthorityError
		name      x509.HostnameError
		noTLS     tls.RecordHeaderError
		connected *net.OpError
	)
	said := redact.Line(redact.Cause(err).Error(), token)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return c.errorf("no answer within --timeout")
	case errors.As(err, &unknown) && c.options.CertificateAuthority == "":
		return c.errorf("its certificate is of no CA that this system trusts; give the CA's file with --certificate-authority")
	case errors.As(err, &unknown):
		return c.errorf("its certificate is not of the CA in --certificate-authority: either that is the wrong file, or this is not the server that is meant")
	case errors.As(err, &name):
		return c.errorf("%s; if the server is known by another name, give it with --tls-server-name", said)
	case errors.As(err, &noTLS) || errors.Is(err, http.ErrSchemeMismatch):
		return c.errorf("it does not speak TLS; expected is the webhook's secure port, not its health port")
	case errors.As(err, &connected) && connected.Op == "remote error":
		// Without what net/http puts in front of it, which depends on the moment.
		return c.errorf("it ended the TLS handshake (%s); %s", redact.Line(connected.Error(), token), c.whichCertificate())
	default:
		return c.errorf("%s", said)
	}
}

// refused says what an answer that holds no TokenReview means, and what to do about it.
func (c *Client) refused(reply *reply, token string) error {
	text := fmt.Sprintf("it answered %d", reply.code)
	var status metav1.Status
	if json.Unmarshal(reply.body, &status) == nil && status.Kind == "Status" && status.Message != "" {
		text += ": " + redact.Line(status.Message, token)
	}
	// By which the server's logs are searched.
	if id := reply.header.Get("X-Request-Id"); id != "" {
		text += fmt.Sprintf(" (request %s)", redact.Line(id, token))
	}
	switch code := reply.code; {
	case code >= 300 && code < 400:
		if location, err := url.Parse(reply.header.Get("Location")); err == nil && location.Host != "" {
			text += " and points to " + redact.Line(location.Host, token)
		}
		text += "; redirects are not followed, or the token would go elsewhere"
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		text += "; " + c.whichCertificate()
	case code == http.StatusNotFound, code == http.StatusMethodNotAllowed:
		text += "; it has no POST /tokenreview: it is no webhook, or an older one"
	case code == http.StatusTooManyRequests:
		text += "; try again later, or give it more time with --timeout"
	}
	return c.errorf("%s", text)
}

// whichCertificate says what a caller needs whom the server does not let ask.
func (c *Client) whichCertificate() string {
	given := "give one with --client-certificate and --client-key"
	if c.options.ClientCertificate != "" {
		given = "--client-certificate is not such a one"
	}
	return "to ask takes a client certificate of the server's client CA that its spec.callers.tokenreview names, " +
		"by default one with O=tokenreview:auditors, as auditor.crt of \"webhook certs init\" has: " + given
}
