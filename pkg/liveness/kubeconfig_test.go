package liveness_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"tokenreview.dev/webhook/pkg/liveness"
)

func TestAKubeconfigThatCannotBeUsedIsAnError(t *testing.T) {
	server := startAPIServer(t, nil)
	good := string(server.kubeconfig(nil))
	const secret = "secret-of-the-kubeconfig"
	user := func(change func(*clientcmdapi.AuthInfo)) string {
		return string(server.kubeconfig(func(_ *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) {
			*u = clientcmdapi.AuthInfo{}
			change(u)
		}))
	}
	cluster := func(change func(*clientcmdapi.Cluster)) string {
		return string(server.kubeconfig(func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) { change(c) }))
	}
	const (
		notOne     = "it is not a kubeconfig; see what kubectl config view says of it"
		wantServer = "the server must be given as https://HOST[:PORT][/PATH]"
		wantProxy  = "the proxy-url must be an http, https or socks5 URL"
		use        = "use a client certificate, token or tokenFile"
	)
	certificate, privateKey := newClientCertificate(t, "webhook")
	_, otherKey := newClientCertificate(t, "other")
	for name, test := range map[string]struct{ content, text string }{
		"not YAML":                  {"{" + secret, notOne},
		"another kind":              {"apiVersion: v1\nkind: Secret\nstringData: {token: " + secret + "}\n", notOne},
		"a list":                    {"[" + secret + "]", notOne},
		"data that is not base64":   {"apiVersion: v1\nkind: Config\nusers: [{name: a, user: {client-key-data: '" + secret + "!'}}]\n", notOne},
		"empty":                     {"", `its current-context "" is not among its contexts`},
		"without a current context": {strings.Replace(good, "current-context: here", "current-context: ''", 1), `its current-context "" is not among its contexts`},
		"with an unknown context":   {strings.Replace(good, "current-context: here", "current-context: there", 1), `its current-context "there" is not among its contexts`},
		"with an unknown cluster":   {strings.Replace(good, "cluster: build", "cluster: other", 1), `the cluster "other" of its current context is not among its clusters`},
		"with an unknown user":      {strings.Replace(good, "user: webhook", "user: other", 1), `the user "other" of its current context is not among its users`},
		"without a server":          {cluster(func(c *clientcmdapi.Cluster) { c.Server = "" }), wantServer},
		"with a server without TLS": {cluster(func(c *clientcmdapi.Cluster) { c.Server = "http://" + server.Listener.Addr().String() }), wantServer},
		"with a server without a scheme": {
			cluster(func(c *clientcmdapi.Cluster) { c.Server = server.Listener.Addr().String() }), wantServer,
		},
		"with a server and a password in it": {
			cluster(func(c *clientcmdapi.Cluster) { c.Server = "https://a:" + secret + "@127.0.0.1" }), wantServer,
		},
		"with a server and a query": {cluster(func(c *clientcmdapi.Cluster) { c.Server = server.URL + "?a=b" }), wantServer},
		"with insecure-skip-tls-verify": {
			cluster(func(c *clientcmdapi.Cluster) { c.CertificateAuthorityData, c.InsecureSkipTLSVerify = nil, true }),
			"insecure-skip-tls-verify would send tokens to anybody; use certificate-authority",
		},
		"with a proxy of another kind": {
			cluster(func(c *clientcmdapi.Cluster) { c.ProxyURL = "ftp://a:" + secret + "@proxy.example" }), wantProxy,
		},
		"with a proxy that is no URL": {
			cluster(func(c *clientcmdapi.Cluster) { c.ProxyURL = "http://a:" + secret + "@pro xy" }), wantProxy,
		},
		"with an authority that is no certificate": {
			cluster(func(c *clientcmdapi.Cluster) { c.CertificateAuthorityData = []byte(secret) }), "unable to load root certificates",
		},
		"with an authority that is not there": {
			cluster(func(c *clientcmdapi.Cluster) {
				c.CertificateAuthorityData, c.CertificateAuthority = nil, "/nowhere/ca.crt"
			}),
			"/nowhere/ca.crt: no such file",
		},
		"with an authority that is empty": {
			cluster(func(c *clientcmdapi.Cluster) {
				c.CertificateAuthorityData, c.CertificateAuthority = nil, filepath.Join(filepath.Dir(writeKubeconfig(t, nil)), "kubeconfig")
			}),
			"/kubeconfig is empty",
		},
		"with a certificate without a key": {
			user(func(u *clientcmdapi.AuthInfo) { u.ClientCertificateData = certificate }), "client-key-data or client-key must be specified",
		},
		"with a certificate and another one's key": {
			user(func(u *clientcmdapi.AuthInfo) { u.ClientCertificateData, u.ClientKeyData = certificate, otherKey }), "private key does not match",
		},
		"with a certificate that is none": {
			user(func(u *clientcmdapi.AuthInfo) { u.ClientCertificateData, u.ClientKeyData = []byte(secret), privateKey }), "failed to find any PEM data",
		},
		"with a token file that is a pipe": {
			user(func(u *clientcmdapi.AuthInfo) { u.TokenFile = pipe(t) }), "is not a regular file",
		},
		"with an exec plugin": {
			user(func(u *clientcmdapi.AuthInfo) {
				u.Exec = &clientcmdapi.ExecConfig{Command: "touch", Args: []string{secret}, APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: "Never"}
			}),
			"its user has an exec plugin, and a daemon starts no programs; " + use,
		},
		"with an auth-provider plugin": {
			user(func(u *clientcmdapi.AuthInfo) {
				u.AuthProvider = &clientcmdapi.AuthProviderConfig{Name: "oidc", Config: map[string]string{"client-secret": secret}}
			}),
			"its user has an auth-provider plugin, which is not supported; " + use,
		},
		"with a password": {
			user(func(u *clientcmdapi.AuthInfo) { u.Username, u.Password = "a", secret }),
			"its user has a username and password, which no API server accepts since Kubernetes 1.19; " + use,
		},
		"with impersonation": {
			user(func(u *clientcmdapi.AuthInfo) { u.Token, u.Impersonate = secret, "admin" }),
			"its user acts as another one, which is not supported; " + use,
		},
		"beyond the limit": {good + strings.Repeat("#", 1<<20), "is larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			file := writeKubeconfig(t, []byte(test.content))
			checker := liveness.New(liveness.Config{Kubeconfig: file}, liveness.Options{})
			expectError(t, checker, token, test.text)
			_, err := checker.Check(t.Context(), token, audiences, subject)
			if err == nil || !strings.HasPrefix(err.Error(), "kubeconfig "+file+": ") || strings.Contains(err.Error(), secret) {
				t.Errorf("expected an error that names the file and holds no secret, got %v", err)
			}
			if checked := checker.CheckFiles(); checked == nil || checked.Error() != fmt.Sprint(err) {
				t.Errorf("expected the error to be seen beforehand, got %v", checked)
			}
		})
	}
	server.expectQuestions(t, 0)
}

func pipe(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestNothingStandsInForAMissingKubeconfig(t *testing.T) {
	server := startAPIServer(t, nil)
	other := writeKubeconfig(t, server.kubeconfig(nil))
	t.Setenv("KUBECONFIG", other)
	t.Setenv("KUBERNETES_MASTER", server.URL)
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", host)
	t.Setenv("KUBERNETES_SERVICE_PORT", port)
	for name, test := range map[string]struct{ file, text string }{
		"not there":   {filepath.Join(t.TempDir(), "kubeconfig"), "no such file"},
		"a folder":    {t.TempDir(), "is not a regular file"},
		"a pipe":      {pipe(t), "is not a regular file"},
		"empty":       {writeKubeconfig(t, nil), "current-context"},
		"with no way": {writeKubeconfig(t, []byte("apiVersion: v1\nkind: Config\ncontexts: [{name: a, context: {}}]\ncurrent-context: a\n")), "is not among its clusters"},
	} {
		t.Run(name, func(t *testing.T) {
			expectError(t, liveness.New(liveness.Config{Kubeconfig: test.file}, liveness.Options{}), token, test.text)
		})
	}
	server.expectQuestions(t, 0)
}

func TestTheKubeconfigsCredentialIsUsed(t *testing.T) {
	certificate, privateKey := newClientCertificate(t, "webhook")
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(certificate)
	folder := t.TempDir()
	write(t, filepath.Join(folder, "webhook.crt"), certificate)
	write(t, filepath.Join(folder, "webhook.key"), privateKey)
	write(t, filepath.Join(folder, "token"), []byte(credential+"\n"))
	server := startAPIServer(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients}
	})
	write(t, filepath.Join(folder, "ca.crt"), server.certificateAuthority())
	byBearer := func(r *http.Request) bool {
		return r.Header.Get("Authorization") == "Bearer "+credential && len(r.TLS.PeerCertificates) == 0
	}
	byCertificate := func(r *http.Request) bool {
		return r.Header.Get("Authorization") == "" && len(r.TLS.PeerCertificates) == 1 && r.TLS.PeerCertificates[0].Subject.CommonName == "webhook"
	}
	for name, test := range map[string]struct {
		change func(*clientcmdapi.Cluster, *clientcmdapi.AuthInfo)
		accept func(*http.Request) bool
	}{
		"a token":                            {nil, byBearer},
		"a token in a file":                  {func(_ *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) { u.Token, u.TokenFile = "", "token" }, byBearer},
		"a token in a file rather than here": {func(_ *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) { u.Token, u.TokenFile = "old", "token" }, byBearer},
		"a client certificate": {func(_ *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) {
			*u = clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: privateKey}
		}, byCertificate},
		"a client certificate in files beside the kubeconfig": {func(c *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) {
			c.CertificateAuthorityData, c.CertificateAuthority = nil, "ca.crt"
			*u = clientcmdapi.AuthInfo{ClientCertificate: "webhook.crt", ClientKey: "./webhook.key"}
		}, byCertificate},
		"a client certificate in files elsewhere": {func(c *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) {
			c.CertificateAuthorityData, c.CertificateAuthority = nil, filepath.Join(folder, "ca.crt")
			*u = clientcmdapi.AuthInfo{ClientCertificate: filepath.Join(folder, "webhook.crt"), ClientKey: filepath.Join(folder, "webhook.key")}
		}, byCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			server.acceptBy(test.accept)
			file := filepath.Join(folder, "kubeconfig")
			write(t, file, server.kubeconfig(test.change))
			checker := liveness.New(liveness.Config{Kubeconfig: file}, liveness.Options{})
			questions := server.questions.Load()
			if err := checker.CheckFiles(); err != nil {
				t.Error(err)
			}
			server.expectQuestions(t, questions)
			expectAlive(t, checker, token)
		})
	}
}

func TestAServerBelowAPathIsAskedThere(t *testing.T) {
	server := startAPIServer(t, nil)
	for _, slash := range []string{"", "/"} {
		var path string
		proxy := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			path = r.URL.Path
			r.URL.Path = strings.TrimPrefix(r.URL.Path, "/clusters/build")
			server.ServeHTTP(w, r)
		}))
		t.Cleanup(proxy.Close)
		file := writeKubeconfig(t, server.kubeconfig(func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) {
			c.Server = proxy.URL + "/clusters/build" + slash
			c.CertificateAuthorityData = (&apiServer{Server: proxy}).certificateAuthority()
		}))
		expectAlive(t, liveness.New(liveness.Config{Kubeconfig: file}, liveness.Options{}), token)
		if path != "/clusters/build/apis/authentication.k8s.io/v1/tokenreviews" {
			t.Errorf("asked at %s", path)
		}
	}
}

func TestAChangedKubeconfigIsUsedAtTheNextQuestion(t *testing.T) {
	first, second := startAPIServer(t, nil), startAPIServer(t, nil)
	folder := t.TempDir()
	file, tokenFile := filepath.Join(folder, "kubeconfig"), filepath.Join(folder, "token")
	checker := liveness.New(liveness.Config{Kubeconfig: file}, liveness.Options{})
	write(t, file, first.kubeconfig(nil))
	expectAlive(t, checker, token)

	first.acceptBearer("another-credential")
	write(t, file, first.kubeconfig(func(_ *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) { u.Token = "another-credential" }))
	expectAlive(t, checker, token)

	for i := range 2 {
		bearer := fmt.Sprintf("credential-in-a-file-%d", i)
		first.acceptBearer(bearer)
		write(t, tokenFile, []byte(bearer))
		write(t, file, first.kubeconfig(func(_ *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) { u.Token, u.TokenFile = "", "token" }))
		expectAlive(t, checker, token)
	}

	authority := filepath.Join(folder, "ca.crt")
	write(t, authority, second.certificateAuthority())
	write(t, file, second.kubeconfig(func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) {
		c.CertificateAuthorityData, c.CertificateAuthority = nil, "ca.crt"
	}))
	expectAlive(t, checker, token)
	first.expectQuestions(t, 4)
	second.expectQuestions(t, 1)

	withdrawn, _ := newClientCertificate(t, "another authority")
	write(t, authority, withdrawn)
	expectError(t, checker, token, "x509: certificate signed by unknown authority")
	second.expectQuestions(t, 1)
}

// What was opened by the former kubeconfig is not kept open.
func TestConnectionsAreKeptUntilTheKubeconfigChanges(t *testing.T) {
	opened, closed := make(chan struct{}, 10), make(chan struct{}, 10)
	server := startAPIServer(t, func(s *httptest.Server) {
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				opened <- struct{}{}
			case http.StateClosed:
				closed <- struct{}{}
			default:
			}
		}
	})
	file := writeKubeconfig(t, server.kubeconfig(nil))
	checker := liveness.New(liveness.Config{Kubeconfig: file}, liveness.Options{})
	for range 3 {
		expectAlive(t, checker, token)
	}
	if len(opened) != 1 || len(closed) != 0 {
		t.Errorf("expected one connection, got %d opened and %d closed", len(opened), len(closed))
	}
	expectClosed := func() {
		t.Helper()
		select {
		case <-closed:
		case <-time.After(time.Minute):
			t.Error("expected the former connection to be closed")
		}
	}
	write(t, file, append(server.kubeconfig(nil), "# changed\n"...))
	expectAlive(t, checker, token)
	expectClosed()
	checker.Close()
	expectClosed()
	expectAlive(t, checker, token)
	if len(opened) != 3 {
		t.Errorf("expected a new connection each time, got %d in all", len(opened))
	}
	liveness.New(liveness.Config{Kubeconfig: file}, liveness.Options{}).Close() // with none open
}
