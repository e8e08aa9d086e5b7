package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/net/http2"

	"tokenreview.dev/webhook/internal/certs"
	"tokenreview.dev/webhook/internal/freeport"
	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/internal/server"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// fixture is what a server is made of.
type fixture struct {
	options server.Options
	metrics *server.Metrics
	health  *server.Health
	handler *tokenreview.Handler
	log     *slog.Logger
	dir     string
	// limit puts other limits in force.
	limit func(tokenreview.Limits)
}

// newFixture makes certificates and the rules of issuers with the given keys.
func newFixture(t *testing.T, configs ...issuers.Config) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), log: slog.New(slog.DiscardHandler)}
	if _, err := certs.Init(certs.DefaultOptions(f.dir)); err != nil {
		t.Fatal(err)
	}
	f.options = server.Options{
		BindAddress: "127.0.0.1", SecurePort: freePort(t), HealthBindAddress: net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t))),
		CertFile: filepath.Join(f.dir, "tls.crt"), KeyFile: filepath.Join(f.dir, "tls.key"), ClientCAFile: filepath.Join(f.dir, "ca.crt"),
		GracePeriod: 10 * time.Second,
	}
	f.metrics = server.NewMetrics("v1.2.3", "abc")
	set, err := issuers.NewSet(configs, nil, issuers.Options{OnFetch: f.metrics.Fetched})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close(nil) })
	set.AwaitFirstFetch(t.Context())
	rules := &tokenreview.Rules{Issuers: set, Policies: map[string]*policy.Policy{}}
	reviewer := tokenreview.NewReviewer(rules)
	f.limit = func(limits tokenreview.Limits) {
		limited := *rules
		limited.Limits = limits
		reviewer.Use(&limited)
	}
	f.health = server.NewHealth(reviewer, nil, f.metrics)
	f.handler = tokenreview.NewHandler(reviewer, tokenreview.Options{Metrics: tokenreview.NewMetrics(f.metrics.Registry), Log: f.log})
	return f
}

// withKeys is an issuer whose keys are there.
func withKeys(name string) issuers.Config {
	return issuers.Config{
		Name: name, URL: "https://" + name + ".example", Audiences: []string{"a"},
		Keys: issuers.KeysConfig{JWKS: issuertest.KeySet(issuertest.NewKey("key", "ES256"))},
	}
}

// withoutKeys is an issuer that cannot be reached.
func withoutKeys(name string) issuers.Config {
	return issuers.Config{Name: name, URL: "https://" + name + ".example", Audiences: []string{"a"}, Keys: issuers.KeysConfig{JWKSURL: "https://127.0.0.1:1/keys"}}
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := freeport.Pick()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// run starts the server; stop ends it and returns Run's error.
func (f *fixture) run(t *testing.T) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := server.New(ctx, f.options, f.handler, f.health, f.log)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

func (f *fixture) address() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(f.options.SecurePort))
}

func (f *fixture) tlsConfig(t *testing.T) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(f.dir, "apiserver.crt"), filepath.Join(f.dir, "apiserver.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(f.dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}
}

func (f *fixture) client(t *testing.T) *http.Client {
	t.Helper()
	return &http.Client{Transport: &http.Transport{TLSClientConfig: f.tlsConfig(t), ForceAttemptHTTP2: true}}
}

// countingClient is client, and how many connections it has opened.
func (f *fixture) countingClient(t *testing.T) (client *http.Client, opened *atomic.Int64) {
	t.Helper()
	client, opened = f.client(t), new(atomic.Int64)
	dialer := &net.Dialer{}
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		opened.Add(1)
		return dialer.DialContext(ctx, network, address)
	}
	return client, opened
}

const opaqueReview = `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"opaque"}}`

func (f *fixture) post(t *testing.T, client *http.Client) *http.Response {
	t.Helper()
	response, err := client.Post("https://"+f.address()+"/authenticate", "application/json", strings.NewReader(opaqueReview))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response
}

func (f *fixture) get(t *testing.T, path string) (int, string) {
	t.Helper()
	response, err := http.Get("http://" + f.options.HealthBindAddress + path)
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

func TestTokenReviewsAreAnsweredOverHTTP2AndHTTP1(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.run(t)
	two := f.client(t)
	if response := f.post(t, two); response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
		t.Errorf("expected 200 over HTTP/2, got %s over %s", response.Status, response.Proto)
	}
	one := &http.Client{Transport: &http.Transport{TLSClientConfig: f.tlsConfig(t)}}
	if response := f.post(t, one); response.StatusCode != http.StatusOK || response.ProtoMajor != 1 {
		t.Errorf("expected 200 over HTTP/1.1, got %s over %s", response.Status, response.Proto)
	}
}

func TestTheSecurePortAnswersEverythingElseWithAStatus(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.run(t)
	client := f.client(t)
	anonymous := f.tlsConfig(t)
	anonymous.Certificates = nil
	stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: anonymous}}
	for _, test := range []struct {
		name, method, path string
		client             *http.Client
		code               int
	}{
		{"another path", http.MethodPost, "/", client, 404},
		{"another method", http.MethodGet, "/authenticate", client, 405},
		{"a caller without a certificate", http.MethodPost, "/authenticate", stranger, 401},
		{"a caller without a certificate at another path", http.MethodGet, "/metrics", stranger, 401},
		{"metrics, which are on the health port", http.MethodGet, "/metrics", client, 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), test.method, "https://"+f.address()+test.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := test.client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			var status struct {
				Kind string
				Code int
			}
			if err := json.NewDecoder(response.Body).Decode(&status); err != nil || status.Kind != "Status" || status.Code != test.code || response.StatusCode != test.code {
				t.Errorf("expected a Status %d, got %s, %+v, %v", test.code, response.Status, status, err)
			}
		})
	}
}

func TestAnyCallerIsLetInOnlyIfThatIsSaid(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.options.ClientCAFile = ""
	if _, err := server.New(t.Context(), f.options, f.handler, f.health, f.log); err == nil || !strings.Contains(err.Error(), "--insecure-allow-any-caller") {
		t.Fatalf("expected an error that names the flag, got %v", err)
	}
	f.options.AllowAnyCaller = true
	f.run(t)
	config := f.tlsConfig(t)
	config.Certificates = nil
	if response := f.post(t, &http.Client{Transport: &http.Transport{TLSClientConfig: config}}); response.StatusCode != http.StatusOK {
		t.Errorf("expected 200, got %s", response.Status)
	}
}

func TestConnectionsEndWithTheirAge(t *testing.T) {
	for age, connections := range map[time.Duration]int64{0: 1, time.Hour: 1, time.Nanosecond: 5} {
		f := newFixture(t, withKeys("main"))
		f.options.MaxConnectionAge = age
		f.run(t)
		client, opened := f.countingClient(t)
		for range 5 {
			if response := f.post(t, client); response.StatusCode != http.StatusOK {
				t.Errorf("expected 200, got %s", response.Status)
			}
		}
		if n := opened.Load(); n != connections {
			t.Errorf("age %s: expected five requests on %d connections, got %d", age, connections, n)
		}
	}
}

// serial is the serving certificate that a new connection meets.
func (f *fixture) serial(t *testing.T) string {
	t.Helper()
	connection, err := tls.Dial("tcp", f.address(), f.tlsConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	return connection.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestARenewedServingCertificateIsServed(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.run(t)
	before := f.serial(t)
	options := certs.DefaultOptions(f.dir)
	options.Renew = true
	if _, err := certs.Init(options); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the renewed certificate is served", func() bool { return f.serial(t) != before })
}

func TestAReplacedClientCAIsTakenUp(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.run(t)
	client := f.client(t)
	if response := f.post(t, client); response.StatusCode != http.StatusOK {
		t.Fatalf("expected 200, got %s", response.Status)
	}
	other := t.TempDir()
	if _, err := certs.Init(certs.DefaultOptions(other)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(other, "ca.crt"), f.options.ClientCAFile); err != nil {
		t.Fatal(err)
	}
	eventually(t, "callers of the former CA are refused, on open connections too", func() bool {
		return f.post(t, client).StatusCode == http.StatusForbidden
	})
}

// eventually waits for what happens in the background.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}

// halfSent sends a request but for the end of its body, and returns what sends the
// rest and reads the answer.
func (f *fixture) halfSent(t *testing.T) (finish func() (*http.Response, error)) {
	t.Helper()
	connection, err := tls.Dial("tcp", f.address(), f.tlsConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	head, tail := opaqueReview[:20], opaqueReview[20:]
	// With the 100 Continue the server says that it has begun to read the body.
	fmt.Fprintf(connection, "POST /authenticate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(opaqueReview))
	reader := bufio.NewReader(connection)
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("expected 100 Continue, got %q, %v", line, err)
	}
	if _, err := reader.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, head); err != nil {
		t.Fatal(err)
	}
	return func() (*http.Response, error) {
		if _, err := io.WriteString(connection, tail); err != nil {
			return nil, err
		}
		return http.ReadResponse(reader, nil)
	}
}

func TestShutdownLetsRequestsUnderWayEnd(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	stop := f.run(t)
	finish := f.halfSent(t)
	ended := make(chan error)
	go func() { ended <- stop() }()
	eventually(t, "the server no longer listens", func() bool {
		connection, err := net.Dial("tcp", f.address())
		if err == nil {
			_ = connection.Close()
		}
		return err != nil
	})
	if code, body := f.get(t, "/readyz"); code != 503 || !strings.Contains(body, "[-]shutdown failed") {
		t.Errorf("expected not to be ready while shutting down, got %d %s", code, body)
	}
	response, err := finish()
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("expected the request under way to be answered, got %v, %v", response, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("expected a clean end, got %v", err)
	}
}

func TestShutdownEndsWithTheGracePeriod(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.options.GracePeriod = 10 * time.Millisecond
	stop := f.run(t)
	f.halfSent(t)
	if err := stop(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("expected an error that tells of requests cut off, got %v", err)
	}
}

func TestPortsCanBeSharedOnlyIfThatIsSaid(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.run(t)
	if _, err := server.New(t.Context(), f.options, f.handler, newFixture(t).health, f.log); err == nil || !strings.Contains(err.Error(), "secure port") || !strings.Contains(err.Error(), "in use") {
		t.Errorf("expected an error that names the busy port, got %v", err)
	}
	first, second := newFixture(t, withKeys("main")), newFixture(t, withKeys("main"))
	first.options.PermitPortSharing = true
	second.options = first.options
	stop := first.run(t)
	second.run(t)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if response := first.post(t, first.client(t)); response.StatusCode != http.StatusOK {
			t.Errorf("expected the second server to answer, got %s", response.Status)
		}
	}
}

func TestBadCertificateFilesAreErrorsThatNameTheFile(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*fixture)
		text   string
	}{
		"no certificate":         {func(f *fixture) { f.options.CertFile = "" }, "--tls-cert-file"},
		"a missing certificate":  {func(f *fixture) { f.options.CertFile += ".missing" }, "tls.crt.missing"},
		"another pair's key":     {func(f *fixture) { f.options.KeyFile = filepath.Join(f.dir, "apiserver.key") }, "serving certificate"},
		"a missing client CA":    {func(f *fixture) { f.options.ClientCAFile += ".missing" }, "ca.crt.missing"},
		"a client CA of no kind": {func(f *fixture) { f.options.ClientCAFile = filepath.Join(f.dir, "tls.key") }, "client CA"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withKeys("main"))
			test.change(f)
			if _, err := server.New(t.Context(), f.options, f.handler, f.health, f.log); err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("expected an error with %q, got %v", test.text, err)
			}
		})
	}
}

func TestReadiness(t *testing.T) {
	for _, test := range []struct {
		name    string
		configs []issuers.Config
		code    int
		report  []string
	}{
		{"the keys of every issuer are there", []issuers.Config{withKeys("a"), withKeys("b")}, 200, []string{"[+]issuer/a ok: 1 keys, ", "[+]issuer/b ok: 1 keys, ", "[+]issuers ok", "readyz check passed"}},
		{"the keys of one issuer are there", []issuers.Config{withKeys("a"), withoutKeys("b")}, 200, []string{"[+]issuer/a ok", "[-]issuer/b failed: no keys yet: fetch keys from ", "readyz check passed"}},
		{"the keys of no issuer are there", []issuers.Config{withoutKeys("a"), withoutKeys("b")}, 503, []string{"[-]issuer/a failed", "[-]issuer/b failed", "[-]issuers failed", "readyz check failed"}},
		{"no issuer is configured", nil, 503, []string{"[-]issuers failed: no issuer is configured"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, test.configs...)
			f.run(t)
			code, report := f.get(t, "/readyz?verbose")
			if code != test.code {
				t.Errorf("expected %d, got %d", test.code, code)
			}
			for _, line := range test.report {
				if !strings.Contains(report, line) {
					t.Errorf("expected %q in\n%s", line, report)
				}
			}
			if plainCode, plain := f.get(t, "/readyz"); plainCode != test.code || (test.code == 200) != (plain == "ok\n") {
				t.Errorf("expected %d without details if ready, got %d %q", test.code, plainCode, plain)
			}
			if code, body := f.get(t, "/livez"); code != 200 || body != "ok\n" {
				t.Errorf("expected to be alive, got %d %q", code, body)
			}
		})
	}
}

func TestAFailedReloadShowsAndDoesNotEndReadiness(t *testing.T) {
	f := newFixture(t, withKeys("a"))
	f.run(t)
	f.health.Reloaded(errors.New("config.yaml:3: document 1: jwt: wrong\nconfig.yaml:4: worse"))
	code, report := f.get(t, "/readyz?verbose")
	if code != 200 || !strings.Contains(report, "[-]configuration failed: ") || !strings.Contains(report, "config.yaml:4: worse") {
		t.Errorf("expected to be ready and to tell, got %d\n%s", code, report)
	}
	f.health.Reloaded(nil)
	if _, report := f.get(t, "/readyz?verbose"); !strings.Contains(report, "[+]configuration ok") {
		t.Errorf("expected the configuration to be well again, got\n%s", report)
	}
}

func TestMetrics(t *testing.T) {
	f := newFixture(t, withKeys("a"), withoutKeys("b"))
	f.run(t)
	f.post(t, f.client(t))
	f.health.Reloaded(nil)
	f.health.Reloaded(errors.New("wrong"))
	problems, err := testutil.GatherAndLint(f.metrics.Registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
	_, metrics := f.get(t, "/metrics")
	for _, line := range []string{
		`tokenreview_build_info{commit="abc",go_version="go`,
		`tokenreview_reviews_total{issuer="-",reason="TokenMalformed"} 1`,
		`tokenreview_decision_duration_seconds_count{issuer="-"} 1`,
		`tokenreview_http_responses_total{code="200"} 1`,
		`tokenreview_key_fetches_total{issuer="a",result="success"} 1`,
		`tokenreview_key_fetches_total{issuer="b",result="failure"} `,
		`tokenreview_issuer_ready{issuer="a"} 1`,
		`tokenreview_issuer_ready{issuer="b"} 0`,
		`tokenreview_issuer_keys{issuer="a"} 1`,
		`tokenreview_issuer_keys_age_seconds{issuer="a"} `,
		`tokenreview_issuer_keys_max_age_seconds{issuer="b"} 86400`,
		`tokenreview_connections 1`,
		`tokenreview_connections_displaced_total 0`,
		`tokenreview_requests_in_flight 0`,
		`tokenreview_config_reloads_total{result="success"} 1`,
		`tokenreview_config_reloads_total{result="failure"} 1`,
		`tokenreview_config_last_reload_success_timestamp_seconds `,
		`tokenreview_config_last_reload_successful 0`,
		`tokenreview_certificate_expiry_timestamp_seconds{certificate="serving"} `,
		`tokenreview_certificate_expiry_timestamp_seconds{certificate="client_ca"} `,
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("expected %s", line)
		}
	}
	if strings.Contains(metrics, `keys_age_seconds{issuer="b"}`) || strings.Contains(metrics, `keys_max_age_seconds{issuer="a"}`) {
		t.Error("expected no age of keys that never were, and no end of those that do not age")
	}
	if bytes.Contains([]byte(metrics), []byte("opaque")) {
		t.Error("a metric quotes the token")
	}
	f.health.Reloaded(nil)
	if _, metrics := f.get(t, "/metrics"); !strings.Contains(metrics, "tokenreview_config_last_reload_successful 1\n") {
		t.Error("expected the file to be put right")
	}
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

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// logged has the fixture log to what is returned.
func (f *fixture) logged() *lockedBuffer {
	out := &lockedBuffer{}
	f.log = slog.New(slog.NewTextHandler(out, nil))
	return out
}

func TestReadinessIsNeitherCachedNorGuessedAtNorPosted(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.run(t)
	response, err := http.Get("http://" + f.options.HealthBindAddress + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	for name, value := range map[string]string{"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := response.Header.Get(name); got != value {
			t.Errorf("expected %s: %s, got %q", name, value, got)
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		response, err := http.Post("http://"+f.options.HealthBindAddress+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("expected 405 for a POST to %s, got %s", path, response.Status)
		}
	}
}

func TestRequestsWithHugeHeadersAreRefused(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.run(t)
	one := &http.Client{Transport: &http.Transport{TLSClientConfig: f.tlsConfig(t)}}
	for name, test := range map[string]struct {
		client *http.Client
		url    string
	}{
		"the secure port": {one, "https://" + f.address() + "/authenticate"},
		"the health port": {http.DefaultClient, "http://" + f.options.HealthBindAddress + "/livez"},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, test.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("X-Huge", strings.Repeat("a", 32<<10))
			response, err := test.client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("expected 431, got %s", response.Status)
			}
		})
	}
}

func TestABusyHealthPortLeavesTheSecurePortFree(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	busy, err := net.Listen("tcp", f.options.HealthBindAddress)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	if _, err := server.New(t.Context(), f.options, f.handler, f.health, f.log); err == nil || !strings.Contains(err.Error(), "health port") {
		t.Errorf("expected an error that names the busy port, got %v", err)
	}
	free, err := net.Listen("tcp", f.address())
	if err != nil {
		t.Fatalf("expected the secure port to be free again, got %v", err)
	}
	_ = free.Close()
}

func TestThatAnyCallerIsLetInIsLogged(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	log := f.logged()
	f.options.ClientCAFile, f.options.AllowAnyCaller = "", true
	f.run(t)
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "--insecure-allow-any-caller") {
		t.Errorf("expected a warning that names the flag, got %q", log)
	}
}

func TestReloadedCertificatesAreLogged(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	log := f.logged()
	f.run(t)
	other := t.TempDir()
	if _, err := certs.Init(certs.DefaultOptions(other)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tls.key", "tls.crt", "ca.crt"} {
		if err := os.Rename(filepath.Join(other, name), filepath.Join(f.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range []string{"serving certificate", "client CA"} {
		eventually(t, "the changed "+what+" is logged", func() bool { return strings.Contains(log.String(), `certificate="`+what+`" expires=20`) })
	}
}

func TestTheExpiryOfABundleIsThatOfItsFirstToEnd(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	options := certs.DefaultOptions(t.TempDir())
	options.Validity, options.CAValidity = time.Hour, time.Hour
	before := time.Now()
	if _, err := certs.Init(options); err != nil {
		t.Fatal(err)
	}
	long, err := os.ReadFile(f.options.ClientCAFile)
	if err != nil {
		t.Fatal(err)
	}
	short, err := os.ReadFile(filepath.Join(options.Dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.options.ClientCAFile, bytes.Join([][]byte{long, short, long}, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	f.run(t)
	_, metrics := f.get(t, "/metrics")
	_, value, _ := strings.Cut(metrics, `tokenreview_certificate_expiry_timestamp_seconds{certificate="client_ca"} `)
	var expiry float64
	if _, err := fmt.Sscan(value, &expiry); err != nil {
		t.Fatal(err)
	}
	if end := time.Unix(int64(expiry), 0); end.After(before.Add(2 * time.Hour)) {
		t.Errorf("expected the end of the authority of one hour, got %s", end)
	}
}

func TestReadinessTellsWhatIsNotWellOfKeysThatServe(t *testing.T) {
	usable := issuertest.KeySet(issuertest.NewKey("key", "ES256"))
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, bytes.Replace(usable, []byte("["), []byte(`[{"kty":"quantum"},`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	config := issuers.Config{Name: "before", URL: "https://a.example", Audiences: []string{"a"}, Keys: issuers.KeysConfig{JWKSFile: file}}
	before, err := issuers.NewSet([]issuers.Config{config}, nil, issuers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	before.AwaitFirstFetch(t.Context())
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	config.Name = "a"
	after, err := issuers.NewSet([]issuers.Config{config}, before, issuers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	before.Close(after)
	defer after.Close(nil)
	after.AwaitFirstFetch(t.Context())

	f := newFixture(t)
	f.metrics = server.NewMetrics("v1.2.3", "abc")
	f.health = server.NewHealth(tokenreview.NewReviewer(&tokenreview.Rules{Issuers: after}), nil, f.metrics)
	f.run(t)
	code, report := f.get(t, "/readyz?verbose")
	for _, detail := range []string{"[+]issuer/a ok: 1 keys, ", "; not used: keys[0]: not a key of a known type", "; the last fetch failed: read jwksFile: "} {
		if code != http.StatusOK || !strings.Contains(report, detail) {
			t.Errorf("expected 200 with %q, got %d\n%s", detail, code, report)
		}
	}
}

func TestAFailedReloadDoesNotCountAsASuccess(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.run(t)
	f.health.Reloaded(fmt.Errorf("wrong\nworse"))
	_, metrics := f.get(t, "/metrics")
	for _, line := range []string{"\ntokenreview_config_last_reload_success_timestamp_seconds 0\n", "\ngo_goroutines ", "\nprocess_start_time_seconds "} {
		if !strings.Contains(metrics, line) {
			t.Errorf("expected %q", line)
		}
	}
	if _, report := f.get(t, "/readyz?verbose"); !strings.Contains(report, "wrong\n    worse\n") {
		t.Errorf("expected further lines of an error to be indented, got\n%s", report)
	}
}

func TestRequestsAreTakenDuringTheShutdownDelay(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.options.ShutdownDelay = time.Second
	stop := f.run(t)
	ended := make(chan error)
	go func() { ended <- stop() }()
	eventually(t, "the server is not ready", func() bool { code, _ := f.get(t, "/readyz"); return code == http.StatusServiceUnavailable })
	if response := f.post(t, f.client(t)); response.StatusCode != http.StatusOK {
		t.Errorf("expected a new request to be answered, got %s", response.Status)
	}
	if err := <-ended; err != nil {
		t.Errorf("expected a clean end, got %v", err)
	}
}

func TestTheEndOfTheGracePeriodCutsOffRequests(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.options.GracePeriod = 10 * time.Millisecond
	stop := f.run(t)
	finish := f.halfSent(t)
	_ = stop()
	if response, err := finish(); err == nil {
		t.Errorf("expected the request to be cut off, got %s", response.Status)
	}
}

func TestFailedHandshakesAreLogged(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	log := f.logged()
	f.run(t)
	if _, err := tls.Dial("tcp", f.address(), &tls.Config{}); err == nil {
		t.Fatal("expected the system's roots not to trust the server")
	}
	eventually(t, "the failed handshake is logged", func() bool {
		return strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), "TLS handshake error")
	})
}

func TestReadinessTellsOfSavedKeys(t *testing.T) {
	issuer := issuertest.Start("")
	t.Cleanup(issuer.Close)
	config := issuers.Config{Name: "a", URL: issuer.URL, Audiences: []string{"a"}, Keys: issuers.KeysConfig{CertificateAuthority: []byte(issuer.CertificateAuthority())}}
	dir := t.TempDir()
	start := func(dir string) (*fixture, *issuers.Set) {
		f := newFixture(t)
		f.metrics = server.NewMetrics("v1.2.3", "abc")
		set, err := issuers.NewSet([]issuers.Config{config}, nil, issuers.Options{StateDir: dir, OnSave: f.metrics.Saved})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { set.Close(nil) })
		set.AwaitFirstFetch(t.Context())
		f.health = server.NewHealth(tokenreview.NewReviewer(&tokenreview.Rules{Issuers: set}), nil, f.metrics)
		f.run(t)
		return f, set
	}
	wantReady := func(f *fixture, detail string) {
		t.Helper()
		eventually(t, "a report with "+detail, func() bool {
			code, report := f.get(t, "/readyz?verbose")
			return code == http.StatusOK && strings.Contains(report, detail)
		})
	}
	f, set := start(dir)
	wantReady(f, "[+]issuer/a ok: 1 keys, ")
	eventually(t, "a save that is counted", func() bool {
		_, metrics := f.get(t, "/metrics")
		return strings.Contains(metrics, `tokenreview_key_saves_total{issuer="a",result="success"} 1`)
	})
	set.Close(nil)

	f, _ = start(filepath.Join(dir, "missing"))
	wantReady(f, "[-]state/a failed: save keys: ")

	issuer.Close()
	f, _ = start(dir)
	wantReady(f, ", from the state directory; the last fetch failed: ")

	// What cannot be restored is told of where people look.
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	f, _ = start(dir)
	if code, report := f.get(t, "/readyz?verbose"); code != http.StatusServiceUnavailable || !strings.Contains(report, "[-]state/a failed: restore keys: ") {
		t.Errorf("expected 503 and why nothing was restored, got %d\n%s", code, report)
	}
}

// However many strangers there are, the API server comes in.
func TestConnectionsAreBoundedAndStrangersGoFirst(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.limit(tokenreview.Limits{MaxConnections: 3})
	f.run(t)
	client, opened := f.countingClient(t)
	var strangers []net.Conn
	for range 10 {
		connection, err := net.Dial("tcp", f.address())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = connection.Close() }()
		strangers = append(strangers, connection)
		if response := f.post(t, client); response.StatusCode != http.StatusOK {
			t.Errorf("expected 200, got %s", response.Status)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("expected the API server to keep its connection, got %d", n)
	}
	for _, connection := range strangers[:8] {
		_ = connection.SetReadDeadline(time.Now().Add(4 * time.Second)) // less than the time for a handshake
		// Which kube-apiserver's client tries again after, while EOF is for good.
		if _, err := connection.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("expected the older strangers' connections to be reset, got %v", err)
		}
	}
}

// Over HTTP/2 a connection is as many callers as its server allows.
func TestStrangersHaveOneRequestAtATime(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.run(t)
	// streams is how many requests at a time the server allows on a new connection.
	streams := func(config *tls.Config) uint32 {
		t.Helper()
		config.NextProtos = []string{"h2"}
		connection, err := tls.Dial("tcp", f.address(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = connection.Close() }()
		_ = connection.SetDeadline(time.Now().Add(time.Minute))
		if _, err := io.WriteString(connection, http2.ClientPreface); err != nil {
			t.Fatal(err)
		}
		framer := http2.NewFramer(connection, connection)
		if err := framer.WriteSettings(); err != nil {
			t.Fatal(err)
		}
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			settings, ok := frame.(*http2.SettingsFrame)
			if !ok || settings.IsAck() {
				continue
			}
			allowed, _ := settings.Value(http2.SettingMaxConcurrentStreams)
			return allowed
		}
	}
	if n := streams(f.tlsConfig(t)); n < 100 {
		t.Errorf("expected the API server to have many, got %d", n)
	}
	stranger := f.tlsConfig(t)
	stranger.Certificates = nil
	if n := streams(stranger); n != 1 {
		t.Errorf("expected a stranger to have one, got %d", n)
	}
}

func TestWhoDoesNotSpeakTLSIsTold(t *testing.T) {
	f := newFixture(t, withKeys("main"))
	f.run(t)
	response, err := http.Get("http://" + f.address() + "/authenticate")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "wants TLS") {
		t.Errorf("expected 400 that says so, got %s %q", response.Status, body)
	}
}
