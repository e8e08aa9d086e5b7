package monitoring

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/internal/issuertest"
)

type object = map[string]any

// Entra ID's issuer, whose tokens say that their groups are elsewhere.
const (
	tenant      = "de5169f1-9a13-45fe-a4cf-07feee258b7f"
	entraIssuer = "https://login.microsoftonline.com/" + tenant + "/v2.0"
	buildIssuer = "https://build.example.com:6443"
)

// webhook is a process of the webhook to which everything has happened that a metric
// tells of.
type webhook struct {
	*cluster.WebhookProcess
	installed *cluster.Webhook
	main      *issuertest.Issuer
	key       issuertest.Key // of the other issuers
	client    *http.Client
	stranger  *http.Client
}

// reviewed is what the tokens of experienced come to, by issuer and reason.
func reviewed() map[string]string {
	return map[string]string{
		"main Allowed":              "3",
		"main Expired":              "2",
		"main SignatureInvalid":     "1",
		"main KeyUnknown":           "1",
		"away KeysUnavailable":      "1",
		"audited Allowed":           "1",
		"entra ClaimsUnavailable":   "1",
		"build LivenessUnavailable": "1",
		"- TokenMalformed":          "1",
	}
}

// experienced starts a webhook and has everything happen to it.
func experienced(t *testing.T) *webhook {
	t.Helper()
	// Nobody listens there: Microsoft cannot be asked, and issuers on loopback can.
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	w := &webhook{main: issuertest.Start(""), key: issuertest.NewKey("key", jwa.ES256)}
	t.Cleanup(w.main.Close)
	w.installed = cluster.InstallWebhook(t, webhookBinary, w.configuration(t))
	w.WebhookProcess = w.installed.Launch(t, cluster.Launch{
		Flags: []string{"--state-dir=" + filepath.Join(t.TempDir(), "state")},
		Until: func(p *cluster.WebhookProcess) error {
			code, body, err := p.Health(t.Context(), "/readyz?verbose")
			if err == nil && (code != http.StatusOK || !strings.Contains(body, "[+]issuer/main ok")) {
				err = fmt.Errorf("%d:\n%s", code, body)
			}
			return err
		},
	})
	w.client, w.stranger = w.newClient(t, true), w.newClient(t, false)
	w.decideTokens(t)
	w.shed(t)
	w.ask(t, w.stranger, "opaque", http.StatusUnauthorized)
	w.installed.Configure(t, "kind: Nothing\n")
	cluster.Eventually(t, "the configuration with errors has been read", time.Minute, func() error {
		if checks := w.Readyz(t); !strings.Contains(checks, "[-]configuration") {
			return fmt.Errorf("/readyz?verbose says\n%s", checks)
		}
		return nil
	})
	return w
}

func (w *webhook) configuration(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	trust := func(url, name string) object {
		return object{
			"issuer":        object{"url": url, "certificateAuthority": w.main.CertificateAuthority(), "audiences": []string{"test"}},
			"claimMappings": object{"username": object{"claim": "sub", "prefix": name + ":"}},
		}
	}
	policy := func(url, name string, spec object) object {
		spec["issuer"] = url
		if url != w.main.URL && name != "away" {
			spec["keys"] = object{"jwks": string(issuertest.KeySet(w.key))}
		}
		return object{"apiVersion": "tokenreview.dev/v1alpha1", "kind": "IssuerPolicy", "metadata": object{"name": name}, "spec": spec}
	}
	return cluster.Documents(t,
		object{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": []object{
			trust(w.main.URL, "main"), trust("https://127.0.0.1:1", "away"), trust("https://audited.example.com", "audited"),
			trust(entraIssuer, "entra"), trust(buildIssuer, "build"),
		}},
		policy(w.main.URL, "main", object{}),
		policy("https://127.0.0.1:1", "away", object{}),
		policy("https://audited.example.com", "audited", object{"enforcement": "Audit", "token": object{"maxLifetime": "1m"}}),
		policy(entraIssuer, "entra", object{"entra": object{"groupOverage": "Resolve",
			"graph": object{"clientID": "80faf920-1908-4b52-b5ef-a8e7bedfc67a", "clientSecretFile": file("secret", "secret")}}}),
		policy(buildIssuer, "build", object{"kubernetes": object{"clusterName": "build", "liveness": "TokenReview",
			"kubeconfig": file("kubeconfig", `{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],`+
				`"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],"users":[{"name":"u","user":{"token":"correct-horse-battery-staple"}}]}`)}}),
		// With one request at a time, one that waits is all it takes to have others shed.
		object{"apiVersion": "tokenreview.dev/v1alpha1", "kind": "WebhookConfiguration", "spec": object{"limits": object{"maxRequestsInFlight": 1}}},
	)
}

// decideTokens has the tokens decided of which reviewed tells, but for the one that
// waits in shed.
func (w *webhook) decideTokens(t *testing.T) {
	t.Helper()
	claims := issuertest.Claims{"iss": w.main.URL, "aud": "test", "sub": "alice", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	expired := claims.With(issuertest.Claims{"exp": time.Now().Add(-time.Hour).Unix()})
	forger := w.key
	forger.ID = w.main.Key().ID
	forger.Algorithm = jwa.ES256
	of := func(issuer string) issuertest.Claims { return claims.With(issuertest.Claims{"iss": issuer}) }
	for _, token := range []string{
		w.main.Sign(claims), w.main.Sign(claims), w.main.Sign(claims.With(issuertest.Claims{"sub": "bob"})),
		w.main.Sign(expired), w.main.Sign(expired),
		forger.Sign(claims),
		w.key.Sign(of("https://127.0.0.1:1")),
		w.key.Sign(of("https://audited.example.com")),
		w.key.Sign(of(entraIssuer).With(issuertest.Claims{"oid": "0c6b2e4e-53c5-4f0a-9d5e-6a1f3f6f8f0b", "tid": tenant, "ver": "2.0", "hasgroups": true, "scp": "user"})),
		w.key.Sign(of(buildIssuer).With(issuertest.Claims{"sub": "system:serviceaccount:ci:deployer", "kubernetes.io": issuertest.Claims{
			"namespace": "ci", "serviceaccount": issuertest.Claims{"name": "deployer", "uid": "7c56382f"}}})),
		"opaque",
	} {
		w.ask(t, w.client, token, http.StatusOK)
	}
}

// shed has a request wait for a key, and another come meanwhile.
func (w *webhook) shed(t *testing.T) {
	t.Helper()
	answer := make(chan struct{})
	w.main.Answer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		<-answer
		w.main.Genuine(rw, r)
	}))
	unknown := w.key
	unknown.ID = rand.Text()
	token := unknown.Sign(issuertest.Claims{"iss": w.main.URL, "aud": "test", "sub": "mallory", "exp": time.Now().Add(time.Hour).Unix()})
	waiting := make(chan error, 1)
	go func() {
		code, err := w.post(t, w.client, token)
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("answered %d", code)
		}
		waiting <- err
	}()
	cluster.Eventually(t, "a request waits for a key", time.Minute, func() error {
		if metrics := w.metrics(t); !strings.Contains(metrics, "tokenreview_requests_in_flight 1\n") {
			return fmt.Errorf("none is under way")
		}
		return nil
	})
	w.ask(t, w.client, "opaque", http.StatusTooManyRequests)
	close(answer)
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	w.main.Answer(nil)
}

func (w *webhook) metrics(t *testing.T) string {
	t.Helper()
	code, body, err := w.Health(t.Context(), "/metrics")
	if err != nil || code != http.StatusOK {
		t.Fatalf("/metrics: %d, %v", code, err)
	}
	return body
}

// ask asks about a token, and wants an answer with an HTTP status code.
func (w *webhook) ask(t *testing.T, client *http.Client, token string, want int) {
	t.Helper()
	code, err := w.post(t, client, token)
	if err != nil || code != want {
		t.Fatalf("expected the answer %d, got %d, %v", want, code, err)
	}
}

func (w *webhook) post(t *testing.T, client *http.Client, token string) (code int, err error) {
	body, err := json.Marshal(object{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": object{"token": token}})
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+w.installed.Address()+"/authenticate", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// newClient returns a client that trusts the webhook, with or without the API
// server's certificate.
func (w *webhook) newClient(t *testing.T, known bool) *http.Client {
	t.Helper()
	dir := filepath.Dir(w.installed.Kubeconfig)
	authority, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13}
	config.RootCAs.AppendCertsFromPEM(authority)
	if known {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "apiserver.crt"), filepath.Join(dir, "apiserver.key"))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
