package tokenreview

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
}

// NewCallers returns Callers for the client CA that options returns, which is
// asked for at each request and must return the same pool while nothing changes.
func NewCallers(options func() (x509.VerifyOptions, bool), now func() time.Time) *Callers {
	return &Callers{options: options, now: now}
}

type connectionKey struct{}

// maxChain is how many certificates a caller may present. Checking what strangers
// present costs time: longer chains are refused unseen.
const maxChain = 4

// refusalLasts is how long a refused certificate is not looked at again.
const refusalLasts = 10 * time.Second

// connection remembers the outcome for one connection, so that a chain, good or
// bad, is checked once and not with every request.
type connection struct {
	mu      sync.Mutex // held while the chain is checked
	outcome outcome
}

// outcome is whether a certificate is accepted, as long as roots are the client CA
// and until has not come.
type outcome struct {
	accepted bool
	roots    *x509.CertPool
	until    time.Time
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
			writeStatus(w, newStatus(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "a client certificate is required"))
			return
		}
		if !c.accepted(r) {
			writeStatus(w, newStatus(http.StatusForbidden, metav1.StatusReasonForbidden,
				"the client certificate is not one that the client CA has signed for client authentication, or it has expired"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (c *Callers) accepted(r *http.Request) bool {
	options, ok := c.options()
	if !ok {
		return false
	}
	options.CurrentTime = c.now()
	known, ok := r.Context().Value(connectionKey{}).(*connection)
	if !ok {
		return verify(r.TLS.PeerCertificates, options).accepted
	}
	known.mu.Lock()
	defer known.mu.Unlock()
	if known.outcome.roots != options.Roots || !options.CurrentTime.Before(known.outcome.until) {
		known.outcome = verify(r.TLS.PeerCertificates, options)
	}
	return known.outcome.accepted
}

// verify checks a chain, leaf first, against the client CA.
func verify(chain []*x509.Certificate, options x509.VerifyOptions) outcome {
	refused := outcome{roots: options.Roots, until: options.CurrentTime.Add(refusalLasts)}
	if len(chain) > maxChain {
		return refused
	}
	options.Intermediates = x509.NewCertPool()
	for _, certificate := range chain[1:] {
		options.Intermediates.AddCert(certificate)
	}
	chains, err := chain[0].Verify(options)
	if err != nil {
		return refused
	}
	until := chain[0].NotAfter
	for _, certificate := range chains[0] {
		if certificate.NotAfter.Before(until) {
			until = certificate.NotAfter
		}
	}
	return outcome{accepted: true, roots: options.Roots, until: until}
}
