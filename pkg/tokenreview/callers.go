package tokenreview

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"sync/atomic"
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

// connection remembers the proof for one connection: a chain is checked once, not
// with every request.
type connection struct {
	proof atomic.Pointer[proof]
}

type proof struct {
	roots *x509.CertPool
	until time.Time
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
	now := c.now()
	known, _ := r.Context().Value(connectionKey{}).(*connection)
	if known != nil {
		if p := known.proof.Load(); p != nil && p.roots == options.Roots && now.Before(p.until) {
			return true
		}
	}
	options.CurrentTime = now
	options.Intermediates = x509.NewCertPool()
	for _, certificate := range r.TLS.PeerCertificates[1:] {
		options.Intermediates.AddCert(certificate)
	}
	chains, err := r.TLS.PeerCertificates[0].Verify(options)
	if err != nil {
		return false
	}
	if known != nil {
		until := chains[0][0].NotAfter
		for _, certificate := range chains[0] {
			if certificate.NotAfter.Before(until) {
				until = certificate.NotAfter
			}
		}
		known.proof.Store(&proof{roots: options.Roots, until: until})
	}
	return true
}
