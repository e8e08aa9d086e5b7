package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/rest"

	"tokenreview.dev/webhook/internal/certs"
)

// start serves on loopback with the files of a fresh folder, to callers with a
// certificate of its authority, and tells each its subject and serial number.
// The options returned made the folder.
func start(t *testing.T, change func(*certs.Options)) certs.Options {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opts := certs.DefaultOptions(filepath.Join(t.TempDir(), "pki"))
	opts.Server = "https://" + tcp.Addr().String() + "/authenticate"
	if change != nil {
		change(&opts)
	}
	initialize(t, opts)

	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller := r.TLS.PeerCertificates[0]
			_, _ = io.WriteString(w, r.Method+" "+r.URL.Path+" "+caller.Subject.String()+" "+caller.SerialNumber.String())
		}),
	}
	server.SetKeepAlivesEnabled(false) // so that every request shakes hands
	go func() {
		if err := server.Serve(tls.NewListener(tcp, serverConfig(t, opts.Dir))); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { _ = server.Close() })
	return opts
}

func serverConfig(t *testing.T, dir string) *tls.Config {
	t.Helper()
	return &tls.Config{
		Certificates: []tls.Certificate{loadPair(t, dir, "tls")},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    loadPool(t, dir),
	}
}

func loadPair(t *testing.T, dir, name string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func loadPool(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		t.Fatal("ca.crt holds no certificate")
	}
	return pool
}

func TestHandshake(t *testing.T) {
	opts := options(t)
	initialize(t, opts)
	foreign := options(t)
	initialize(t, foreign)

	listener, err := tls.Listen("tcp", "127.0.0.1:0", withTime(serverConfig(t, opts.Dir)))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()

	const unknown = `x509: certificate signed by unknown authority (possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority certificate "tokenreview-webhook-ca")`
	for _, tt := range []struct {
		name                   string
		serverName             string
		trust                  string // folder
		present                []tls.Certificate
		wantClient, wantServer string // errors, empty for none
	}{
		{name: "the API server's pair is accepted at 127.0.0.1", serverName: "127.0.0.1", trust: opts.Dir, present: []tls.Certificate{loadPair(t, opts.Dir, "apiserver")}},
		{name: "the auditor's pair is accepted at ::1", serverName: "::1", trust: opts.Dir, present: []tls.Certificate{loadPair(t, opts.Dir, "auditor")}},
		{name: "a pair is accepted at localhost", serverName: "localhost", trust: opts.Dir, present: []tls.Certificate{loadPair(t, opts.Dir, "apiserver")}},
		{
			name: "the webhook is not believed at a name it was not given", serverName: "webhook.example.com", trust: opts.Dir,
			present:    []tls.Certificate{loadPair(t, opts.Dir, "apiserver")},
			wantClient: "tls: failed to verify certificate: x509: certificate is valid for localhost, not webhook.example.com",
			wantServer: "remote error: tls: bad certificate",
		},
		{
			name: "the webhook is not believed by those who trust another authority", serverName: "localhost", trust: foreign.Dir,
			present:    []tls.Certificate{loadPair(t, opts.Dir, "apiserver")},
			wantClient: "tls: failed to verify certificate: " + unknown,
			wantServer: "remote error: tls: bad certificate",
		},
		{
			name: "a caller without a certificate is refused", serverName: "localhost", trust: opts.Dir,
			wantClient: "remote error: tls: certificate required",
			wantServer: "tls: client didn't provide a certificate",
		},
		{
			name: "a caller with the serving pair is refused", serverName: "localhost", trust: opts.Dir,
			present:    []tls.Certificate{loadPair(t, opts.Dir, "tls")},
			wantClient: "remote error: tls: bad certificate",
			wantServer: "tls: failed to verify certificate: x509: certificate specifies an incompatible key usage",
		},
		{
			name: "a caller of another authority with the same name is refused", serverName: "localhost", trust: opts.Dir,
			present:    []tls.Certificate{loadPair(t, foreign.Dir, "apiserver")},
			wantClient: "remote error: tls: unknown certificate authority",
			wantServer: "tls: failed to verify certificate: " + unknown,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			served := make(chan error, 1)
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					served <- err
					return
				}
				defer conn.Close()
				if err := conn.(*tls.Conn).HandshakeContext(t.Context()); err != nil {
					served <- err
					return
				}
				_, err = io.WriteString(conn, "welcome")
				served <- err
			}()

			clientErr := func() error {
				config := withTime(&tls.Config{
					RootCAs: loadPool(t, tt.trust), ServerName: tt.serverName,
					// Whatever the server says it accepts: a stranger would.
					GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						if len(tt.present) == 0 {
							return &tls.Certificate{}, nil
						}
						return &tt.present[0], nil
					},
				})
				conn, err := tls.Dial("tcp", listener.Addr().String(), config)
				if err != nil {
					return err
				}
				defer conn.Close()
				// In TLS 1.3 the client learns only here what the server thinks of it.
				_, err = io.ReadAll(conn)
				return err
			}()
			if got := message(clientErr); got != tt.wantClient {
				t.Errorf("client's error is %q, want %q", got, tt.wantClient)
			}
			if got := message(<-served); got != tt.wantServer {
				t.Errorf("server's error is %q, want %q", got, tt.wantServer)
			}
		})
	}
}

func TestTheOldAndTheNewAuthorityCanBothBeTrusted(t *testing.T) {
	before, after := options(t), options(t)
	initialize(t, before)
	initialize(t, after)
	bundle := loadPool(t, before.Dir)
	bundle.AddCert(readCertificate(t, filepath.Join(after.Dir, "ca.crt")))
	for _, dir := range []string{before.Dir, after.Dir} {
		for file, usage := range map[string]x509.ExtKeyUsage{"tls.crt": x509.ExtKeyUsageServerAuth, "apiserver.crt": x509.ExtKeyUsageClientAuth} {
			cert := readCertificate(t, filepath.Join(dir, file))
			if _, err := cert.Verify(x509.VerifyOptions{Roots: bundle, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

// withTime lets a handshake happen at the time of the certificates.
func withTime(config *tls.Config) *tls.Config {
	config.Time = func() time.Time { return now }
	return config
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// apiServerClient is the client that kube-apiserver makes of a kubeconfig, by its
// own code.
func apiServerClient(t *testing.T, kubeconfig string) (*http.Client, string) {
	t.Helper()
	config, err := webhookutil.LoadKubeconfig(kubeconfig, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return client, config.Host
}

func post(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// asAPIServer is what the server answers to the API server's current pair.
func asAPIServer(t *testing.T, dir string) string {
	t.Helper()
	return "POST /authenticate CN=kube-apiserver " + readCertificate(t, filepath.Join(dir, "apiserver.crt")).SerialNumber.String()
}

func TestTheAPIServerReachesTheWebhookWithTheKubeconfig(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*certs.Options)
	}{
		{"certificates are embedded", nil},
		{"certificates are referenced", func(o *certs.Options) { o.EmbedCerts = false }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := start(t, tt.change)
			kubeconfig := filepath.Join(opts.Dir, certs.Kubeconfig)
			if opts.EmbedCerts { // then it needs no other file
				moved := filepath.Join(t.TempDir(), "kubeconfig")
				if err := os.Rename(kubeconfig, moved); err != nil {
					t.Fatal(err)
				}
				kubeconfig = moved
			}
			client, url := apiServerClient(t, kubeconfig)
			got, err := post(t.Context(), client, url)
			if err != nil {
				t.Fatal(err)
			}
			if want := asAPIServer(t, opts.Dir); got != want {
				t.Errorf("answer is %q, want %q", got, want)
			}
		})
	}
}

func TestARenewedPairIsTakenUpWhereItIsReferenced(t *testing.T) {
	opts := start(t, func(o *certs.Options) { o.EmbedCerts = false })
	client, url := apiServerClient(t, filepath.Join(opts.Dir, certs.Kubeconfig))
	if _, err := post(t.Context(), client, url); err != nil {
		t.Fatal(err)
	}
	opts.Renew = true
	initialize(t, opts)
	want := asAPIServer(t, opts.Dir)

	// client-go reads the files again for a new connection, a second after it last
	// did, and then closes all it has: that very one may fail.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		got, err := post(ctx, client, url)
		if got == want {
			return
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			t.Fatalf("answer stays %q (%v), want %q", got, err, want)
		}
	}
}

func TestAnEmbeddedPairOutlivesItsRenewalUntilItExpires(t *testing.T) {
	opts := start(t, nil)
	client, url := apiServerClient(t, filepath.Join(opts.Dir, certs.Kubeconfig))
	want := asAPIServer(t, opts.Dir)
	opts.Renew = true
	initialize(t, opts)
	got, err := post(t.Context(), client, url)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("answer is %q, want that of the old pair %q", got, want)
	}
}
