package liveness_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"tokenreview.dev/webhook/internal/issuertest"
)

const (
	subject    = "system:serviceaccount:ci:deployer"
	credential = "credential-of-the-webhook"
)

var (
	audiences = []string{"cluster", "https://cluster.example"}
	key       = issuertest.NewKey("key", jwa.ES256)
	token     = newToken("1")
)

// newToken returns the token of one pod.
func newToken(jti string) string {
	return key.Sign(issuertest.Claims{"iss": "https://kubernetes.default.svc.cluster.local", "sub": subject, "aud": audiences, "jti": jti})
}

// apiServer is the API server of another cluster, which knows TokenReview only.
type apiServer struct {
	*httptest.Server
	t         *testing.T
	questions atomic.Int64

	mu     sync.Mutex
	accept func(*http.Request) bool
	answer http.HandlerFunc
}

// startAPIServer returns an API server that finds every token alive. prepare may
// change it before it starts.
func startAPIServer(t *testing.T, prepare func(*httptest.Server)) *apiServer {
	t.Helper()
	s := &apiServer{t: t}
	s.Server = httptest.NewUnstartedServer(s)
	s.EnableHTTP2 = true
	if prepare != nil {
		prepare(s.Server)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	s.acceptBearer(credential)
	s.answerStatus(alive())
	return s
}

func alive() authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{
		Authenticated: true,
		User: authenticationv1.UserInfo{
			Username: subject, UID: "7c56382f-440d-44bb-8534-07c23eeb015b",
			Groups: []string{"system:serviceaccounts", "system:authenticated"},
			Extra:  map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/pod-name": {"runner"}},
		},
		Audiences: audiences,
	}
}

func (s *apiServer) acceptBearer(bearer string) {
	s.acceptBy(func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+bearer })
}

func (s *apiServer) acceptBy(accept func(*http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accept = accept
}

// answerWith has the server's questions answered by handler.
func (s *apiServer) answerWith(handler http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = handler
}

// answerStatus answers as a real API server does: 201, and the question with it.
func (s *apiServer) answerStatus(status authenticationv1.TokenReviewStatus) {
	s.answerWith(func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			s.t.Error(err)
		}
		review.Status = status
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		if err := json.NewEncoder(w).Encode(review); err != nil {
			s.t.Error(err)
		}
	})
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.questions.Add(1)
	s.mu.Lock()
	accept, answer := s.accept, s.answer
	s.mu.Unlock()
	if r.Method != http.MethodPost || r.URL.RequestURI() != "/apis/authentication.k8s.io/v1/tokenreviews" {
		s.t.Errorf("expected a TokenReview to be created, got %s %s", r.Method, r.URL)
	}
	for header, want := range map[string]string{"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "tokenreview-webhook"} {
		if got := r.Header.Get(header); got != want {
			s.t.Errorf("%s: expected %q, got %q", header, want, got)
		}
	}
	var body bytes.Buffer
	var review authenticationv1.TokenReview
	if _, err := body.ReadFrom(r.Body); err != nil {
		s.t.Error(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(body.Bytes()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&review); err != nil {
		s.t.Errorf("the body is not a TokenReview: %v", err)
	}
	if review.APIVersion != "authentication.k8s.io/v1" || review.Kind != "TokenReview" {
		s.t.Errorf("expected a TokenReview of v1, got %s of %s", review.Kind, review.APIVersion)
	}
	if !slices.Equal(review.Spec.Audiences, audiences) || strings.Count(review.Spec.Token, ".") != 2 || review.Status.Authenticated {
		s.t.Errorf("expected a token and its audiences, got audiences %q", review.Spec.Audiences)
	}
	if !accept(r) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.Body = &bodyAgain{bytes.NewReader(body.Bytes())}
	answer(w, r)
}

// bodyAgain is a body that was read already.
type bodyAgain struct{ *bytes.Reader }

func (*bodyAgain) Close() error { return nil }

func (s *apiServer) expectQuestions(t *testing.T, want int64) {
	t.Helper()
	if got := s.questions.Load(); got != want {
		t.Errorf("expected %d questions in all, got %d", want, got)
	}
}

// certificateAuthority is the PEM of what signed the server's certificate.
func (s *apiServer) certificateAuthority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// kubeconfig leads to the server with its bearer token. change may be nil.
func (s *apiServer) kubeconfig(change func(*clientcmdapi.Cluster, *clientcmdapi.AuthInfo)) []byte {
	cluster := &clientcmdapi.Cluster{Server: s.URL, CertificateAuthorityData: s.certificateAuthority()}
	user := &clientcmdapi.AuthInfo{Token: credential}
	if change != nil {
		change(cluster, user)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["build"], config.AuthInfos["webhook"] = cluster, user
	config.Contexts["here"] = &clientcmdapi.Context{Cluster: "build", AuthInfo: "webhook"}
	config.CurrentContext = "here"
	data, err := clientcmd.Write(*config)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func writeKubeconfig(t *testing.T, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, file, data)
	return file
}

// newClientCertificate returns the PEM of a certificate that signs itself, and of its
// key.
func newClientCertificate(t *testing.T, name string) (certificate, privateKey []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	rawKey, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawKey})
}
