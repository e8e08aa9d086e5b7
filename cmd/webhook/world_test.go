package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tokenreview.dev/webhook/internal/certs"
	"tokenreview.dev/webhook/internal/entratest"
	"tokenreview.dev/webhook/internal/issuertest"
)

// world is everybody whom a webhook asks, and what they are told of a trace.
type world struct {
	dir       string
	issuer    *issuertest.Issuer
	microsoft *entratest.Server
	proxy     *httptest.Server
	cluster   *httptest.Server
	keys      map[string]issuertest.Key

	mu   sync.Mutex
	told []string
}

const (
	worldTenant = "de5169f1-9a13-45fe-a4cf-07feee258b7f"
	worldClient = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"
	worldUser   = "0c6b2e4e-53c5-4f0a-9d5e-6a1f3f6f8f0b"
	worldSub    = "system:serviceaccount:ci:deployer"
	foreign     = "0af7651916cd43dd8448eb211c80319c"
)

// listens notes what r tells of a trace.
func (w *world) listens(next func(http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Traceparent", "Tracestate", "Baggage"} {
			if value := r.Header.Get(name); value != "" {
				w.mu.Lock()
				w.told = append(w.told, fmt.Sprintf("%s%s: %s: %s", r.Host, r.URL.Path, name, value))
				w.mu.Unlock()
			}
		}
		next(rw, r)
	})
}

// heard is what others were told of a trace.
func (w *world) heard() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.told)
}

// newWorld starts everybody, and writes certificates and configuration.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), issuer: issuertest.Start(""), microsoft: entratest.Start(worldTenant, worldClient), keys: map[string]issuertest.Key{}}
	t.Cleanup(w.issuer.Close)
	t.Cleanup(w.microsoft.Close)
	w.issuer.Answer(w.listens(w.issuer.Genuine))
	w.microsoft.SetSecrets("correct horse battery staple")
	w.microsoft.AddUser(worldUser, entratest.Group{ID: "921b8d0f-a256-4a59-8baa-65c90ec581ac", SecurityEnabled: true})
	w.microsoft.AnswerLogin(w.listens(w.microsoft.Genuine))
	w.microsoft.AnswerGraph(w.listens(w.microsoft.Genuine))
	w.proxy = httptest.NewServer(w.microsoft.Proxy())
	t.Cleanup(w.proxy.Close)
	w.cluster = httptest.NewTLSServer(w.listens(func(rw http.ResponseWriter, r *http.Request) {
		var review map[string]any
		_ = json.NewDecoder(r.Body).Decode(&review)
		review["status"] = map[string]any{"authenticated": true, "user": map[string]any{"username": worldSub}, "audiences": []string{"cluster"}}
		rw.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(rw).Encode(review)
	}))
	t.Cleanup(w.cluster.Close)
	for _, name := range []string{"entra", "build"} {
		w.keys[name] = issuertest.NewKey("key", "ES256")
	}
	if _, err := certs.Init(certs.DefaultOptions(filepath.Join(w.dir, "pki"))); err != nil {
		t.Fatal(err)
	}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.cluster.Certificate().Raw})
	for name, content := range map[string]string{
		"secret":        "correct horse battery staple",
		"microsoft.pem": w.microsoft.CertificateAuthority(),
		"cluster.pem":   string(authority),
		"kubeconfig":    w.kubeconfig(),
		"webhook.yaml":  w.configuration(),
	} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) kubeconfig() string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: build
contexts: [{name: build, context: {cluster: build, user: webhook}}]
clusters: [{name: build, cluster: {server: %q, certificate-authority: cluster.pem}}]
users: [{name: webhook, user: {token: credential-of-the-webhook}}]
`, w.cluster.URL)
}

func (w *world) configuration() string {
	return fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: %[1]s
    audiences: [cluster]
    certificateAuthority: |
      %[2]s
  claimMappings: {username: {claim: sub, prefix: "main:"}}
- issuer: {url: "https://login.microsoftonline.com/%[3]s/v2.0", audiences: [cluster]}
  claimMappings: {username: {claim: oid, prefix: "entra:"}, groups: {claim: groups, prefix: "entra:"}}
- issuer: {url: "https://kubernetes.build.example", audiences: [cluster]}
  claimMappings: {username: {claim: sub, prefix: "build:"}}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: main}
spec: {issuer: %[1]s}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: entra}
spec:
  issuer: https://login.microsoftonline.com/%[3]s/v2.0
  keys: {jwks: '%[4]s'}
  entra:
    groupOverage: Resolve
    graph: {clientID: %[5]s, clientSecretFile: %[6]s/secret}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: build}
spec:
  issuer: https://kubernetes.build.example
  keys: {jwks: '%[7]s'}
  kubernetes: {clusterName: build, allow: [{namespace: ci}], liveness: TokenReview, kubeconfig: %[6]s/kubeconfig}
`, w.issuer.URL, strings.ReplaceAll(strings.TrimSpace(w.issuer.CertificateAuthority()), "\n", "\n      "), worldTenant,
		issuertest.KeySet(w.keys["entra"]), worldClient, w.dir, issuertest.KeySet(w.keys["build"]))
}

// tokens are one of each issuer's, by the issuer's name.
func (w *world) tokens() map[string]string {
	common := issuertest.Claims{"aud": "cluster", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
	return map[string]string{
		"main": w.issuer.Sign(common.With(issuertest.Claims{"sub": "jane"})),
		"entra": w.keys["entra"].Sign(common.With(issuertest.Claims{
			"iss": "https://login.microsoftonline.com/" + worldTenant + "/v2.0", "sub": "pairwise", "oid": worldUser, "tid": worldTenant, "ver": "2.0",
			"_claim_names":   issuertest.Claims{"groups": "src1"},
			"_claim_sources": issuertest.Claims{"src1": issuertest.Claims{"endpoint": "https://graph.windows.net/x"}},
		})),
		"build": w.keys["build"].Sign(common.With(issuertest.Claims{
			"iss": "https://kubernetes.build.example", "sub": worldSub, "jti": "1",
			"kubernetes.io": issuertest.Claims{"namespace": "ci", "serviceaccount": issuertest.Claims{"name": "deployer", "uid": "7c56382f-440d-44bb-8534-07c23eeb015b"}},
		})),
	}
}
