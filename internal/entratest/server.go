// Package entratest is Microsoft Entra ID and Microsoft Graph on loopback, as far
// as package entra asks them: a token endpoint for client credentials, and
// getMemberGroups. It answers as Microsoft documents it, in every cloud at once.
// Tests use it; the product does not.
package entratest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// loginHosts are the hosts of token endpoints, and the Graph hosts for which each
// issues tokens
// (https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud,
// https://learn.microsoft.com/graph/deployments).
var loginHosts = map[string][]string{
	"login.microsoftonline.com":        {"graph.microsoft.com"},
	"login.microsoftonline.us":         {"graph.microsoft.us", "dod-graph.microsoft.us"},
	"login.partner.microsoftonline.cn": {"microsoftgraph.chinacloudapi.cn"},
}

// Server is Entra ID with one tenant and one application in it. It is safe for
// concurrent use.
type Server struct {
	tenant, clientID string
	server           *httptest.Server
	roots            *x509.CertPool

	mu         sync.Mutex
	secrets    []string
	assertions []string
	lifetime   time.Duration
	refreshIn  time.Duration
	tokens     map[string]accessToken
	serial     int
	directory  map[string]directoryObject // by path: "users/{id}"
	login      http.Handler               // answers instead of the token endpoint
	graph      http.Handler               // answers instead of Graph
	requests   Requests
	hosts      map[string]bool
}

type accessToken struct {
	graphHost string
	expires   time.Time
}

// Group is a group that a principal is a member of.
type Group struct {
	ID              string
	SecurityEnabled bool
}

// Requests counts what was asked.
type Requests struct {
	// Discovery counts requests for the tenant's discovery document, Token those for
	// an access token, Graph those for groups, and Other whatever else came.
	Discovery, Token, Graph, Other int
}

// Start runs a server whose one application has no credential yet, and whose
// tokens are good for an hour.
func Start(tenant, clientID string) *Server {
	s := &Server{
		tenant: tenant, clientID: clientID, lifetime: time.Hour,
		tokens: map[string]accessToken{}, directory: map[string]directoryObject{}, hosts: map[string]bool{},
	}
	certificate := s.certificate()
	s.server = httptest.NewUnstartedServer(s)
	s.server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.server.StartTLS()
	return s
}

// Close stops the server.
func (s *Server) Close() { s.server.Close() }

// Transport takes requests for the real hosts of every cloud to this server, which
// it trusts, and fails for any other host.
func (s *Server) Transport() http.RoundTripper {
	names := hostNames()
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil || port != "443" || !slices.Contains(names, host) {
				return nil, fmt.Errorf("entratest: not a host of Entra's: %s", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, s.server.Listener.Addr().String())
		},
		TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12},
	}
}

// SetSecrets replaces the application's client secrets.
func (s *Server) SetSecrets(secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = secrets
}

// SetAssertions replaces the tokens that are accepted as federated credentials.
func (s *Server) SetAssertions(assertions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assertions = assertions
}

// SetTokenLifetime sets how long access tokens issued from now on are good.
func (s *Server) SetTokenLifetime(lifetime time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime = lifetime
}

// SetRefreshIn has access tokens issued from now on come with the suggestion to refresh
// them after a time (refresh_in); 0 is none.
func (s *Server) SetRefreshIn(after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refreshIn = after
}

// RevokeTokens makes Graph refuse every token issued so far.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// AddUser adds or replaces a user and the groups it is a member of.
func (s *Server) AddUser(id string, groups ...Group) { s.add("users/"+id, groups) }

// AddServicePrincipal adds or replaces a service principal and the groups it is a
// member of.
func (s *Server) AddServicePrincipal(id string, groups ...Group) {
	s.add("servicePrincipals/"+id, groups)
}

func (s *Server) add(path string, groups []Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.directory[strings.ToLower(path)] = directoryObject{groups: groups}
}

// Remove deletes a user or service principal.
func (s *Server) Remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.directory, strings.ToLower("users/"+id))
	delete(s.directory, strings.ToLower("serviceprincipals/"+id))
}

// AnswerLogin lets handler answer in place of the token endpoint and its discovery
// document, until it is nil.
func (s *Server) AnswerLogin(handler http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.login = handler
}

// AnswerGraph lets handler answer in place of Graph, until it is nil.
func (s *Server) AnswerGraph(handler http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.graph = handler
}

// Requests returns what was asked so far.
func (s *Server) Requests() Requests {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Hosts returns the hosts that were asked so far, sorted.
func (s *Server) Hosts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.hosts))
}

// ServeHTTP answers for every host.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	override := s.count(r)
	switch {
	case override != nil:
		override.ServeHTTP(w, r)
	default:
		s.Genuine(w, r)
	}
}

// Genuine answers as Entra and Graph do, for handlers that answer only some
// requests in their place.
func (s *Server) Genuine(w http.ResponseWriter, r *http.Request) {
	_, login := loginHosts[r.Host]
	switch {
	case login && r.URL.Path == s.discoveryPath():
		s.discovery(w, r)
	case login && r.URL.Path == s.tokenPath():
		s.token(w, r)
	case login:
		LoginError(http.StatusBadRequest, "invalid_request", 90002, "Tenant not found.").ServeHTTP(w, r)
	default:
		s.memberGroups(w, r)
	}
}

// count notes the request and returns who answers in our place, if anybody.
func (s *Server) count(r *http.Request) http.Handler {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[r.Host] = true
	if _, login := loginHosts[r.Host]; !login {
		s.requests.Graph++
		return s.graph
	}
	switch r.URL.Path {
	case s.discoveryPath():
		s.requests.Discovery++
	case s.tokenPath():
		s.requests.Token++
	default:
		s.requests.Other++
	}
	return s.login
}

func hostNames() []string {
	var names []string
	for login, graphs := range loginHosts {
		names = append(append(names, login), graphs...)
	}
	return names
}

// certificate makes a certificate for every host, and roots that trust it.
func (s *Server) certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(fmt.Sprintf("generate key: %v", err))
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "entratest"}, DNSNames: hostNames(),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(fmt.Sprintf("create certificate: %v", err))
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(fmt.Sprintf("parse certificate: %v", err))
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
