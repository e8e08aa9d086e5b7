package entratest

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"slices"
)

// CertificateAuthority is the PEM of the certificate that vouches for the server.
func (s *Server) CertificateAuthority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw}))
}

// Proxy is an HTTP proxy that takes connections for the hosts of every cloud to this
// server (RFC 9110 §9.3.6), for whole programs, which know HTTPS_PROXY. It refuses
// any other host.
func (s *Server) Proxy() http.Handler {
	names := hostNames()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, port, err := net.SplitHostPort(r.Host)
		if err != nil || r.Method != http.MethodConnect || port != "443" || !slices.Contains(names, host) {
			http.Error(w, "not a host of Entra's", http.StatusForbidden)
			return
		}
		upstream, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", s.server.Listener.Addr().String())
		if err != nil {
			http.Error(w, "the server is gone", http.StatusBadGateway)
			return
		}
		defer func() { _ = upstream.Close() }()
		w.WriteHeader(http.StatusOK)
		client, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = client.Close() }()
		go func() {
			_, _ = io.Copy(upstream, buffered)
			_ = upstream.Close()
		}()
		_, _ = io.Copy(client, upstream)
	})
}
