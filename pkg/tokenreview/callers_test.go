package tokenreview_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokenreview.dev/webhook/pkg/tokenreview"
)

// authority signs client certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	a.certificate = a.create(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) create(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent := a.certificate
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func (a *authority) options() x509.VerifyOptions {
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	return x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

// client makes a client certificate; end is when it ends, from now.
func (a *authority) client(t *testing.T, usage x509.ExtKeyUsage, end time.Duration) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	certificate := a.create(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "kube-apiserver"}, ExtKeyUsage: []x509.ExtKeyUsage{usage}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(end),
	}, key)
	return &tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
}

// gate is a server behind Callers whose client CA and clock can be changed.
type gate struct {
	*httptest.Server
	options atomic.Pointer[x509.VerifyOptions]
	ahead   atomic.Int64
	log     lockedBuffer
	asked   sync.Map // the remote addresses of requests
}

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(data)
}

// take returns what was written since it was last called.
func (b *lockedBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.buffer.Reset()
	return b.buffer.String()
}

func newGate(t *testing.T, ca *authority) *gate {
	t.Helper()
	g := &gate{}
	options := ca.options()
	g.options.Store(&options)
	callers := tokenreview.NewCallers(
		func() (x509.VerifyOptions, bool) { return *g.options.Load(), true },
		func() time.Time { return time.Now().Add(time.Duration(g.ahead.Load())) },
		slog.New(slog.NewTextHandler(&g.log, nil)))
	gated := callers.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") }))
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.asked.Store(r.RemoteAddr, true)
		gated.ServeHTTP(w, r)
	}))
	g.EnableHTTP2 = true
	g.Config.ConnContext = callers.ConnContext
	g.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	g.StartTLS()
	t.Cleanup(g.Close)
	return g
}

func (g *gate) client(t *testing.T, certificate *tls.Certificate) *http.Client {
	t.Helper()
	client := g.Client()
	transport := client.Transport.(*http.Transport).Clone()
	if certificate != nil {
		// Given even where the server's hint names another CA, as a hostile caller may.
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return certificate, nil
		}
	}
	return &http.Client{Transport: transport}
}

func (g *gate) get(t *testing.T, client *http.Client) (int, string) {
	t.Helper()
	response, err := client.Get(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestCallers(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	g := newGate(t, ca)
	for _, test := range []struct {
		name        string
		certificate *tls.Certificate
		code        int
		body        string
		logged      string
	}{
		{"a client certificate of the client CA", ca.client(t, x509.ExtKeyUsageClientAuth, time.Hour), 200, "in", ""},
		{"no client certificate", nil, 401, `"reason":"Unauthorized"`, "without a client certificate"},
		{"a client certificate of another CA", stranger.client(t, x509.ExtKeyUsageClientAuth, time.Hour), 403, "unknown authority", "subject=\"CN=kube-apiserver\" issuer=\"CN=CA\" err="},
		{"a serving certificate of the client CA", ca.client(t, x509.ExtKeyUsageServerAuth, time.Hour), 403, "incompatible key usage", "key usage"},
		{"an expired client certificate", ca.client(t, x509.ExtKeyUsageClientAuth, -time.Hour), 403, "expired", "expired"},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := g.client(t, test.certificate)
			for range 2 { // on a connection that is known as well
				if code, body := g.get(t, client); code != test.code || !strings.Contains(body, test.body) {
					t.Errorf("expected %d with %q, got %d %q", test.code, test.body, code, body)
				}
			}
			if log := g.log.take(); !strings.Contains(log, test.logged) || (test.logged == "") != (log == "") {
				t.Errorf("expected %q to be logged, got %q", test.logged, log)
			}
		})
	}
}

func TestALongChainIsRefusedUnseen(t *testing.T) {
	ca := newAuthority(t)
	g := newGate(t, ca)
	certificate := ca.client(t, x509.ExtKeyUsageClientAuth, time.Hour)
	for len(certificate.Certificate) < 5 {
		certificate.Certificate = append(certificate.Certificate, ca.certificate.Raw)
	}
	if code, _ := g.get(t, g.client(t, certificate)); code != 403 {
		t.Errorf("expected 403 for a chain of five, got %d", code)
	}
	certificate.Certificate = certificate.Certificate[:4]
	if code, _ := g.get(t, g.client(t, certificate)); code != 200 {
		t.Errorf("expected 200 for a chain of four, got %d", code)
	}
}

// A stranger has no more to ask, and a caller whose CA was withdrawn must not hold a
// place.
func TestARefusalEndsTheConnection(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	g := newGate(t, ca)
	for name, test := range map[string]struct {
		certificate *tls.Certificate
		connections int
	}{
		"of a caller that is accepted":                  {ca.client(t, x509.ExtKeyUsageClientAuth, time.Hour), 1},
		"of a caller without a certificate":             {nil, 3},
		"of a caller whose certificate is not accepted": {stranger.client(t, x509.ExtKeyUsageClientAuth, time.Hour), 3},
	} {
		t.Run(name, func(t *testing.T) {
			client := g.client(t, test.certificate)
			// Not those that are opened: a transport may open one that it does not use.
			g.asked.Clear()
			for range 3 {
				g.get(t, client)
			}
			used := 0
			g.asked.Range(func(any, any) bool { used++; return true })
			if used != test.connections {
				t.Errorf("expected three requests on %d connections, got %d", test.connections, used)
			}
		})
	}
}

func TestAWithdrawnClientCACutsOffOpenConnections(t *testing.T) {
	ca := newAuthority(t)
	g := newGate(t, ca)
	client := g.client(t, ca.client(t, x509.ExtKeyUsageClientAuth, time.Hour))
	if code, _ := g.get(t, client); code != 200 {
		t.Fatalf("expected 200, got %d", code)
	}
	options := newAuthority(t).options()
	g.options.Store(&options)
	if code, _ := g.get(t, client); code != 403 {
		t.Errorf("expected 403 once the CA is replaced, got %d", code)
	}
}

func TestAClientCertificateThatEndsCutsOffItsConnection(t *testing.T) {
	ca := newAuthority(t)
	g := newGate(t, ca)
	client := g.client(t, ca.client(t, x509.ExtKeyUsageClientAuth, time.Hour))
	if code, _ := g.get(t, client); code != 200 {
		t.Fatalf("expected 200, got %d", code)
	}
	g.ahead.Store(int64(2 * time.Hour))
	if code, _ := g.get(t, client); code != 403 {
		t.Errorf("expected 403 once the certificate has ended, got %d", code)
	}
}

func (a *authority) intermediate(t *testing.T, end time.Duration) *authority {
	t.Helper()
	key := newKey(t)
	return &authority{key: key, certificate: a.create(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "intermediate CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(end),
	}, key)}
}

func TestACallerMayPresentIntermediatesAndEndsWithThem(t *testing.T) {
	ca := newAuthority(t)
	between := ca.intermediate(t, time.Hour)
	certificate := between.client(t, x509.ExtKeyUsageClientAuth, 12*time.Hour)
	certificate.Certificate = append(certificate.Certificate, between.certificate.Raw)
	g := newGate(t, ca)
	client := g.client(t, certificate)
	if code, body := g.get(t, client); code != 200 {
		t.Fatalf("expected 200, got %d %s", code, body)
	}
	g.ahead.Store(int64(2 * time.Hour)) // the leaf is still good
	if code, _ := g.get(t, client); code != 403 {
		t.Errorf("expected 403 once the intermediate has ended, got %d", code)
	}
}

func TestAnAcceptedCertificateIsCheckedOncePerConnection(t *testing.T) {
	ca := newAuthority(t)
	g := newGate(t, ca)
	client := g.client(t, ca.client(t, x509.ExtKeyUsageClientAuth, time.Hour))
	if code, _ := g.get(t, client); code != 200 {
		t.Fatalf("expected 200, got %d", code)
	}
	// The same roots, for another use: only a second look would find out.
	options := *g.options.Load()
	options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	g.options.Store(&options)
	if code, _ := g.get(t, client); code != 200 {
		t.Errorf("expected the outcome to be remembered, got %d", code)
	}
}

func TestCallersAreRefusedWithoutAClientCAAndCheckedWithoutConnContext(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	leaf := func(a *authority) *x509.Certificate {
		certificate, err := x509.ParseCertificate(a.client(t, x509.ExtKeyUsageClientAuth, time.Hour).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return certificate
	}
	for _, test := range []struct {
		name   string
		loaded bool
		leaf   *x509.Certificate
		code   int
	}{
		{"a client certificate of the client CA", true, leaf(ca), 200},
		{"a client certificate of another CA", true, leaf(stranger), 403},
		{"a client CA that is not loaded", false, leaf(ca), 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			callers := tokenreview.NewCallers(func() (x509.VerifyOptions, bool) { return ca.options(), test.loaded }, time.Now, slog.New(slog.DiscardHandler))
			request := httptest.NewRequest(http.MethodPost, "/authenticate", nil)
			request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{test.leaf}}
			recorder := httptest.NewRecorder()
			callers.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(recorder, request)
			if recorder.Code != test.code {
				t.Errorf("expected %d, got %d: %s", test.code, recorder.Code, recorder.Body)
			}
		})
	}
}

func TestCallersThatAreRefusedDoNotFloodTheLog(t *testing.T) {
	g := newGate(t, newAuthority(t))
	client := g.client(t, nil)
	for range 50 {
		g.get(t, client)
	}
	if lines := strings.Count(g.log.take(), "\n"); lines < 10 || lines >= 50 {
		t.Errorf("expected ten lines at first and not each of 50 refusals, got %d", lines)
	}
}
