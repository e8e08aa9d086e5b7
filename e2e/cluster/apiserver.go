package cluster

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Options say how the API server of a control plane differs from a plain one.
type Options struct {
	// WebhookKubeconfig is the file with which the API server finds its
	// authentication webhook; without it, there is none.
	WebhookKubeconfig string
	// WebhookVersion of authentication.k8s.io that the API server speaks; empty
	// for its default.
	WebhookVersion string
	// WebhookCacheTTL is how long the API server remembers the webhook's answers; zero
	// for its default, two minutes.
	WebhookCacheTTL time.Duration
	// ClientCAFile vouches for client certificates; empty for none.
	ClientCAFile string
	// Flags are added to those that every API server is given.
	Flags []string
	// AuditLogFile is where the API server writes who has done what; empty for nowhere.
	AuditLogFile string
}

// APIServer is a running kube-apiserver with an etcd of its own, and RBAC.
type APIServer struct {
	// URL is where it listens, and the issuer of its service accounts' tokens.
	URL string
	// CertificateAuthority is the PEM that vouches for its serving certificate.
	CertificateAuthority []byte
	// AdminToken is the token of a member of system:masters, known from a file.
	AdminToken string

	binaries Binaries
	process  *Process
	client   *http.Client
	// home is where its files are, and kubectl's.
	home string
}

// idleConnections is how many connections stay open for requests to come.
const idleConnections = 32

// Start starts a control plane for the test and waits until it is ready.
func Start(t *testing.T, binaries Binaries, options Options) *APIServer {
	t.Helper()
	etcd := startEtcd(t, binaries)
	s := &APIServer{binaries: binaries, AdminToken: "admin-" + rand.Text(), home: t.TempDir()}

	serviceAccountKey := filepath.Join(s.home, "service-account.key")
	writePrivateKey(t, serviceAccountKey)
	tokens := filepath.Join(s.home, "tokens.csv")
	write(t, tokens, s.AdminToken+",admin,admin,system:masters\n")
	more := options.args()
	if options.AuditLogFile != "" {
		policy := filepath.Join(s.home, "audit-policy.yaml")
		write(t, policy, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n")
		more = append(more, "--audit-policy-file="+policy, "--audit-log-path="+options.AuditLogFile)
	}

	startOnPorts(t, 2*time.Minute, 1, func(ports []int) (*Process, func() error) {
		s.URL = url("https", ports[0], "")
		certificates := t.TempDir()
		args := []string{
			"--etcd-servers=" + etcd,
			"--bind-address=" + loopback,
			// Not the machine's own address, which it may have none of.
			"--advertise-address=" + loopback,
			"--endpoint-reconciler-type=none",
			fmt.Sprintf("--secure-port=%d", ports[0]),
			"--cert-dir=" + certificates,
			"--service-account-issuer=" + s.URL,
			"--service-account-jwks-uri=" + s.URL + "/openid/v1/jwks",
			"--service-account-key-file=" + serviceAccountKey,
			"--service-account-signing-key-file=" + serviceAccountKey,
			"--service-cluster-ip-range=10.0.0.0/24",
			"--authorization-mode=RBAC",
			"--token-auth-file=" + tokens,
			// It waits for a controller that nobody runs.
			"--disable-admission-plugins=ServiceAccount",
		}
		s.process = start(t, "kube-apiserver", binaries.APIServer, append(args, more...)...)
		return s.process, func() error { return s.ready(t.Context(), certificates) }
	})
	return s
}

func (o Options) args() []string {
	var args []string
	if o.WebhookKubeconfig != "" {
		args = append(args, "--authentication-token-webhook-config-file="+o.WebhookKubeconfig)
	}
	if o.WebhookVersion != "" {
		args = append(args, "--authentication-token-webhook-version="+o.WebhookVersion)
	}
	if o.WebhookCacheTTL != 0 {
		args = append(args, "--authentication-token-webhook-cache-ttl="+o.WebhookCacheTTL.String())
	}
	if o.ClientCAFile != "" {
		args = append(args, "--client-ca-file="+o.ClientCAFile)
	}
	return append(args, o.Flags...)
}

// ready is nil once the API server serves with the certificate that it made in
// the folder certificates. The file holds the authority's certificate too.
func (s *APIServer) ready(ctx context.Context, certificates string) error {
	authority, err := os.ReadFile(filepath.Join(certificates, "apiserver.crt"))
	if err != nil {
		return err
	}
	config, err := trusting(authority)
	if err != nil {
		return err
	}
	// HTTP/1.1, where every request has a connection to itself: the API server closes
	// an HTTP/2 connection with the first request that it refuses, and sends those of
	// other users who share it away to try again.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: idleConnections}}
	if err := getOK(ctx, client, s.URL+"/readyz"); err != nil {
		return err
	}
	s.CertificateAuthority, s.client = authority, client
	return nil
}

// Anonymously asks the API server for a path without any credential.
func (s *APIServer) Anonymously(ctx context.Context, path string) (code int, body string, err error) {
	return get(ctx, s.client, s.URL+path)
}

// Log is what the API server has written since an offset.
func (s *APIServer) Log(offset int64) string { return s.process.Log(offset) }

// Kill ends the API server without a word.
func (s *APIServer) Kill() { s.process.Kill() }

// LogSize is where the API server's log ends now.
func (s *APIServer) LogSize() int64 { return s.process.LogSize() }

func writePrivateKey(t *testing.T, path string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// write replaces a file in one step, as whoever watches it expects.
func write(t *testing.T, path, content string) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
