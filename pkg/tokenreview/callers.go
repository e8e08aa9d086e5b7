package tokenreview

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/internal/logging"
)

// Callers lets through only requests from holders of a client certificate that
// the client CA has signed. The TLS handshake proves that the caller has the
// certificate's key; Callers proves the certificate, so that a caller without one
// learns what is missing, and so that a CA that is withdrawn cuts off connections
// that are open. It is safe for concurrent use.
type Callers struct {
	// options returns the client CA as it is now.
	options func() (x509.VerifyOptions, bool)
	now     func() time.Time
	log     *slog.Logger
	// Refused is told of each request that is about to be refused; nil means that nobody
	// is. It is set before the first.
	Refused func(*http.Request)
}

// NewCallers returns Callers for the client CA that options returns, which is
// asked for at each request and must return the same pool while nothing changes.
// Whoever is not let through is logged, at a bounded rate: it may be the API server
// with a certificate that has expired, and then nobody can log in.
func NewCallers(options func() (x509.VerifyOptions, bool), now func() time.Time, log *slog.Logger) *Callers {
	return &Callers{options: options, now: now, log: logging.Limited(log, 1)}
}

type connectionKey struct{}

// maxChain is how many certificates a caller may present. Checking what strangers
// present costs time: longer chains are refused unseen.
const maxChain = 4

// connection remembers the outcome for one connection, so that a chain, good or
// bad, is checked once and not with every request.
type connection struct {
	mu      sync.Mutex // held while the chain is checked
	outcome outcome
}

// outcome is whether a certificate is accepted, which holds as long as roots are the client CA
// and, if it is, until has not come.
type outcome struct {
	err    error // why it is not accepted
	roots  *x509.CertPool
	until  time.Time
	caller *Caller // whose it is, if it is accepted
}

// Caller is who an accepted client certificate belongs to. It is immutable.
type Caller struct {
	// CommonName and Organizations are the subject's, URIs the subject alternative names.
	CommonName          string
	Organizations, URIs []string
}

// name is the caller's for logs, empty for one of whom nothing is proven.
func (c *Caller) name() string {
	if c == nil {
		return ""
	}
	return c.CommonName
}

// String is the caller for people.
func (c *Caller) String() string {
	text := fmt.Sprintf("CN=%.100q", c.CommonName)
	for _, organization := range c.Organizations[:min(len(c.Organizations), maxNamed)] {
		text += fmt.Sprintf(",O=%.100q", organization)
	}
	for _, uri := range c.URIs[:min(len(c.URIs), maxNamed)] {
		text += fmt.Sprintf(",URI=%.100q", uri)
	}
	return text
}

// maxNamed is how many of a certificate's names of a kind are repeated to its holder.
const maxNamed = 5

func newCaller(leaf *x509.Certificate) *Caller {
	caller := &Caller{CommonName: leaf.Subject.CommonName, Organizations: leaf.Subject.Organization}
	for _, uri := range leaf.URIs {
		caller.URIs = append(caller.URIs, uri.String())
	}
	return caller
}

// callerOf returns who has sent a request that Callers let through; nil where nobody
// had to show a certificate.
func callerOf(r *http.Request) *Caller {
	known, ok := r.Context().Value(connectionKey{}).(*connection)
	if !ok {
		return nil
	}
	known.mu.Lock()
	defer known.mu.Unlock()
	return known.outcome.caller
}

// ConnContext is for http.Server's field of that name.
func (c *Callers) ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, &connection{})
}

// Wrap answers callers without an accepted certificate, and hands the others to
// next.
func (c *Callers) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			c.withoutCertificate(w, r)
			return
		}
		if err := c.check(r); err != nil {
			c.notAccepted(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (c *Callers) withoutCertificate(w http.ResponseWriter, r *http.Request) {
	c.log.Warn("caller without a client certificate", "remote", r.RemoteAddr)
	c.refuse(w, r, newStatus(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "a client certificate is required"))
}

func (c *Callers) notAccepted(w http.ResponseWriter, r *http.Request, err error) {
	leaf := r.TLS.PeerCertificates[0]
	c.log.Warn("caller whose client certificate is not accepted", "remote", r.RemoteAddr,
		"subject", leaf.Subject.String(), "issuer", leaf.Issuer.String(), "err", err)
	c.refuse(w, r, newStatus(http.StatusForbidden, metav1.StatusReasonForbidden, "the client certificate is not accepted: "+err.Error()))
}

// refuse ends the connection, too: a stranger has no more to ask, and a caller whose CA
// was withdrawn must not hold a place.
func (c *Callers) refuse(w http.ResponseWriter, r *http.Request, status *metav1.Status) {
	if c.Refused != nil {
		c.Refused(r)
	}
	w.Header().Set("Connection", "close")
	writeStatus(w, status)
}

// Accept reports whether a chain of certificates, leaf first, is an accepted caller's. That
// it is the caller's own is for the TLS handshake to prove.
func (c *Callers) Accept(chain []*x509.Certificate) bool {
	options, ok := c.options()
	if !ok || len(chain) == 0 {
		return false
	}
	options.CurrentTime = c.now()
	return verify(chain, options).err == nil
}

// check returns why the caller's certificate is not accepted, nil if it is.
func (c *Callers) check(r *http.Request) error {
	options, ok := c.options()
	if !ok {
		return errors.New("the client CA is not loaded")
	}
	options.CurrentTime = c.now()
	known, ok := r.Context().Value(connectionKey{}).(*connection)
	if !ok {
		return verify(r.TLS.PeerCertificates, options).err
	}
	known.mu.Lock()
	defer known.mu.Unlock()
	ended := known.outcome.err == nil && !options.CurrentTime.Before(known.outcome.until)
	if known.outcome.roots != options.Roots || ended {
		known.outcome = verify(r.TLS.PeerCertificates, options)
	}
	return known.outcome.err
}

// verify checks a chain, leaf first, against the client CA.
func verify(chain []*x509.Certificate, options x509.VerifyOptions) outcome {
	refused := outcome{roots: options.Roots}
	if len(chain) > maxChain {
		refused.err = fmt.Errorf("the chain has more than %d certificates", maxChain)
		return refused
	}
	options.Intermediates = x509.NewCertPool()
	for _, certificate := range chain[1:] {
		options.Intermediates.AddCert(certificate)
	}
	chains, err := chain[0].Verify(options)
	if err != nil {
		refused.err = err
		return refused
	}
	until := chain[0].NotAfter
	for _, certificate := range chains[0] {
		if certificate.NotAfter.Before(until) {
			until = certificate.NotAfter
		}
	}
	return outcome{roots: options.Roots, until: until, caller: newCaller(chain[0])}
}
