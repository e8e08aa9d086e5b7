package reviewclient_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/certs"
	"tokenreview.dev/webhook/internal/reviewclient"
)

const (
	token    = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJodHRwczovL2kuZXhhbXBsZSIsInN1YiI6ImphbmUifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbi1pdHNlbGY"
	accepted = `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","metadata":{"annotations":{"tokenreview.dev/reason":"Allowed"}},"status":{"authenticated":true,"user":{"username":"jane"}}}`
)

// server is a webhook's secure port, as certs.Init equips it, that answers as a test
// wants.
type server struct {
	*httptest.Server
	dir   string
	asked atomic.Int64
}

func start(t *testing.T, answer http.HandlerFunc) *server {
	t.Helper()
	s := &server{dir: t.TempDir()}
	if _, err := certs.Init(certs.DefaultOptions(s.dir)); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(s.file("tls.crt"), s.file("tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(s.file("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		answer(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *server) file(name string) string { return filepath.Join(s.dir, name) }

// options are those of an auditor.
func (s *server) options() reviewclient.Options {
	return reviewclient.Options{
		Server: s.URL, CertificateAuthority: s.file("ca.crt"),
		ClientCertificate: s.file("auditor.crt"), ClientKey: s.file("auditor.key"),
	}
}

// review asks, and sees to it that no error quotes the token.
func review(ctx context.Context, t *testing.T, options reviewclient.Options, request reviewclient.Request) (*reviewclient.Answer, error) {
	t.Helper()
	client, err := reviewclient.New(options)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Review(ctx, request)
	if err != nil {
		expectNothingOfTheToken(t, err.Error())
	}
	return answer, err
}

func expectNothingOfTheToken(t *testing.T, text string) {
	t.Helper()
	for i := 0; i+13 <= len(token); i++ {
		if strings.Contains(text, token[i:i+13]) {
			t.Fatalf("%q is of the token: %s", token[i:i+13], text)
		}
	}
}

// withStatus answers with a Kubernetes Status.
func withStatus(code int, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "ID1")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","message":%q}`, message)
	}
}

func TestTheQuestion(t *testing.T) {
	type question struct {
		Method, URI, ContentType, Subject string
		Spec                              authenticationv1.TokenReviewSpec
	}
	var got question
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		var body authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.APIVersion != "authentication.k8s.io/v1" || body.Kind != "TokenReview" {
			t.Errorf("expected a TokenReview, got %+v, error %v", body.TypeMeta, err)
		}
		got = question{r.Method, r.RequestURI, r.Header.Get("Content-Type"), "", body.Spec}
		for _, certificate := range r.TLS.PeerCertificates {
			got.Subject = certificate.Subject.String()
		}
		_, _ = io.WriteString(w, accepted)
	})
	for _, test := range []struct {
		name    string
		change  func(*reviewclient.Options)
		request reviewclient.Request
		want    question
	}{
		{"by an auditor", nil, reviewclient.Request{Token: token},
			question{"POST", "/tokenreview", "application/json", "CN=auditor,O=tokenreview:auditors", authenticationv1.TokenReviewSpec{Token: token}}},
		{"with all that can be asked", nil, reviewclient.Request{Token: "<&>", Audiences: []string{"a", "b"}, Explain: true},
			question{"POST", "/tokenreview?explain=true", "application/json", "CN=auditor,O=tokenreview:auditors", authenticationv1.TokenReviewSpec{Token: "<&>", Audiences: []string{"a", "b"}}}},
		{"without a certificate, with a slash", func(o *reviewclient.Options) { o.ClientCertificate, o.ClientKey, o.Server = "", "", o.Server+"/" }, reviewclient.Request{Token: token},
			question{"POST", "/tokenreview", "application/json", "", authenticationv1.TokenReviewSpec{Token: token}}},
		{"by another name", func(o *reviewclient.Options) { o.TLSServerName = "localhost" }, reviewclient.Request{Token: token},
			question{"POST", "/tokenreview", "application/json", "CN=auditor,O=tokenreview:auditors", authenticationv1.TokenReviewSpec{Token: token}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := s.options()
			if test.change != nil {
				test.change(&options)
			}
			if _, err := review(t.Context(), t, options, test.request); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("expected -, got +:\n%s", diff)
			}
		})
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	s := start(t, nil)
	empty := s.file("empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(*reviewclient.Options)
		text   string
	}{
		{"a server over http", func(o *reviewclient.Options) { o.Server = "http://127.0.0.1:8443" }, "--server: expected https://HOST:PORT; over http:// anybody on the way could read the token"},
		{"a server without a scheme", func(o *reviewclient.Options) { o.Server = "127.0.0.1:8443" }, "--server: expected https://HOST:PORT"},
		{"a server without a host", func(o *reviewclient.Options) { o.Server = "https://:8443" }, "--server: expected https://HOST:PORT"},
		{"the server of a kubeconfig", func(o *reviewclient.Options) { o.Server = "https://127.0.0.1:8443/authenticate" }, "--server: expected https://HOST:PORT without a path; /tokenreview is added to it"},
		{"a password", func(o *reviewclient.Options) { o.Server = "https://a:b@127.0.0.1" }, "--server: expected https://HOST:PORT"},
		{"a query", func(o *reviewclient.Options) { o.Server = "https://127.0.0.1?explain=true" }, "--server: expected https://HOST:PORT"},
		{"the token in the place of the server", func(o *reviewclient.Options) { o.Server = token }, "--server: expected https://HOST:PORT"},
		{"a certificate without its key", func(o *reviewclient.Options) { o.ClientKey = "" }, "--client-certificate and --client-key go together"},
		{"a key without its certificate", func(o *reviewclient.Options) { o.ClientCertificate = "" }, "--client-certificate and --client-key go together"},
		{"the key of another certificate", func(o *reviewclient.Options) { o.ClientKey = s.file("tls.key") }, "--client-certificate, --client-key: tls: private key does not match public key"},
		{"a CA that is not there", func(o *reviewclient.Options) { o.CertificateAuthority = s.file("no") }, "--certificate-authority: open " + s.file("no") + ": no such file or directory"},
		{"a CA that is empty", func(o *reviewclient.Options) { o.CertificateAuthority = empty }, "--certificate-authority: " + empty + " is empty"},
		{"a CA that is a key", func(o *reviewclient.Options) { o.CertificateAuthority = s.file("ca.key") }, "--certificate-authority: unable to load root certificates: no valid certificate authority data seen"},
		{"a certificate that is a folder", func(o *reviewclient.Options) { o.ClientCertificate = s.dir }, "--client-certificate: " + s.dir + " is not a regular file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := s.options()
			test.change(&options)
			if _, err := reviewclient.New(options); err == nil || err.Error() != test.text {
				t.Errorf("expected %q, got %v", test.text, err)
			}
		})
	}
}

const which = `to ask takes a client certificate of the server's client CA that its spec.callers.tokenreview names, by default one with O=tokenreview:auditors, as auditor.crt of "webhook certs init" has: `

func TestWhatKeepsAnAnswerFromComing(t *testing.T) {
	other := start(t, nil)
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		change func(*reviewclient.Options)
		text   string // after the server
	}{
		{"another CA", nil, func(o *reviewclient.Options) { o.CertificateAuthority = other.file("ca.crt") }, "its certificate is not of the CA in --certificate-authority: either that is the wrong file, or this is not the server that is meant"},
		{"no CA", nil, func(o *reviewclient.Options) { o.CertificateAuthority = "" }, "its certificate is of no CA that this system trusts; give the CA's file with --certificate-authority"},
		{"another name", nil, func(o *reviewclient.Options) { o.TLSServerName = "other.example" }, "tls: failed to verify certificate: x509: certificate is valid for localhost, not other.example; if the server is known by another name, give it with --tls-server-name"},

		{"no certificate", withStatus(401, "a client certificate is required"), func(o *reviewclient.Options) { o.ClientCertificate, o.ClientKey = "", "" },
			"it answered 401: a client certificate is required (request ID1); " + which + "give one with --client-certificate and --client-key"},
		{"another's certificate", withStatus(403, "not you"), nil, "it answered 403: not you (request ID1); " + which + "--client-certificate is not such a one"},
		{"no such endpoint", http.NotFound, nil, "it answered 404; it has no POST /tokenreview: it is no webhook, or an older one"},
		{"another method", withStatus(405, "GET"), nil, "it answered 405: GET (request ID1); it has no POST /tokenreview: it is no webhook, or an older one"},
		{"an error", withStatus(500, "internal error"), nil, "it answered 500: internal error (request ID1)"},
		{"an error that repeats the token", withStatus(400, "what is "+token), nil, "it answered 400: (a text that repeats a secret) (request ID1)"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/"+token, http.StatusTemporaryRedirect)
		}, nil,
			"it answered 307 and points to elsewhere.example; redirects are not followed, or the token would go elsewhere"},
		{"a redirect to its own", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusPermanentRedirect)
		}, nil,
			"it answered 308; redirects are not followed, or the token would go elsewhere"},

		{"a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>"+token) }, nil, noReview},
		{"an answer without end", func(w http.ResponseWriter, _ *http.Request) {
			for n := 0; n < 5<<20; n += 1 << 10 {
				_, _ = io.WriteString(w, strings.Repeat("x", 1<<10))
			}
		}, nil, "the answer is longer than 4194304 bytes"},
		{"an answer that is cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, accepted)
		}, nil, "unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, test.answer)
			options := s.options()
			if test.change != nil {
				test.change(&options)
			}
			answer, err := review(t.Context(), t, options, reviewclient.Request{Token: token})
			if want := "server " + s.Listener.Addr().String() + ": " + test.text; err == nil || err.Error() != want || answer != nil {
				t.Errorf("expected %q, got %v, answer %+v", want, err, answer)
			}
			if asked := s.asked.Load(); asked > 1 {
				t.Errorf("expected to be asked once, got %d", asked)
			}
		})
	}
}

func TestServersThatDoNotSpeakAsExpected(t *testing.T) {
	secure := start(t, nil)
	health := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(health.Close)
	closed := httptest.NewServer(nil)
	closed.Close()
	wanting := &tls.Config{Certificates: secure.TLS.Certificates, ClientAuth: tls.RequireAndVerifyClientCert}
	demanding := listening(t, func(connection net.Conn) {
		_ = tls.Server(connection, wanting).Handshake()
		// What the client goes on to send is read: unread, it would cut off the alert.
		_, _ = io.Copy(io.Discard, connection)
	})
	for _, test := range []struct{ name, address, text string }{
		{"a port without TLS", health.Listener.Addr().String(), "it does not speak TLS; expected is the webhook's secure port, not its health port"},
		{"a port of another protocol", speaking(t, "SSH-2.0-OpenSSH_9.9\r\n"), "it does not speak TLS; expected is the webhook's secure port, not its health port"},
		{"a port where nobody listens", closed.Listener.Addr().String(), "dial tcp " + closed.Listener.Addr().String() + ": connect: connection refused"},
		{"a port that wants another certificate", demanding, "it ended the TLS handshake (remote error: tls: unknown certificate authority); " + which + "--client-certificate is not such a one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := secure.options()
			options.Server = "https://" + test.address
			_, err := review(t.Context(), t, options, reviewclient.Request{Token: token})
			if want := "server " + test.address + ": " + test.text; err == nil || err.Error() != want {
				t.Errorf("expected %q, got %v", want, err)
			}
		})
	}
}

// speaking says one thing to whoever comes.
func speaking(t *testing.T, text string) string {
	return listening(t, func(connection net.Conn) {
		_, _ = io.WriteString(connection, text)
		_, _ = io.Copy(io.Discard, connection)
	})
}

// listening listens on loopback and meets each who comes, whose connection ends with that.
func listening(t *testing.T, meet func(net.Conn)) (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = connection.Close() }()
				meet(connection)
			}()
		}
	}()
	return listener.Addr().String()
}

func TestAServerThatIsBusyIsAskedAgain(t *testing.T) {
	const refused = "it answered 429: busy (request ID1); try again later, or give it more time with --timeout"
	for _, test := range []struct {
		name       string
		busy       int64 // times
		retryAfter string
		waits      []time.Duration
		text       string
	}{
		{"once", 1, "7", []time.Duration{7 * time.Second}, ""},
		{"twice, and it does not say for how long", 2, "", []time.Duration{time.Second, time.Second}, ""},
		{"at once, if it wants to be", 1, "0", []time.Duration{0}, ""},
		{"no more than twice", 9, "1", []time.Duration{time.Second, time.Second}, refused},
		{"not later than --timeout", 1, "61", nil, refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s *server
			s = start(t, func(w http.ResponseWriter, r *http.Request) {
				if s.asked.Load() > test.busy {
					_, _ = io.WriteString(w, accepted)
					return
				}
				if test.retryAfter != "" {
					w.Header().Set("Retry-After", test.retryAfter)
				}
				withStatus(429, "busy")(w, r)
			})
			options := s.options()
			var waits []time.Duration
			options.After = func(wait time.Duration) <-chan time.Time {
				waits = append(waits, wait)
				return time.After(0)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			answer, err := review(ctx, t, options, reviewclient.Request{Token: token})
			if test.text == "" && (err != nil || answer.Review.Status.User.Username != "jane") {
				t.Errorf("expected an answer, got %+v, error %v", answer, err)
			}
			if want := "server " + s.Listener.Addr().String() + ": " + test.text; test.text != "" && (err == nil || err.Error() != want) {
				t.Errorf("expected %q, got %v", want, err)
			}
			if diff := cmp.Diff(test.waits, waits); diff != "" {
				t.Errorf("waits: expected -, got +:\n%s", diff)
			}
		})
	}
}

func TestAServerThatHangsIsLeft(t *testing.T) {
	for name, begun := range map[string]string{"before its answer": "", "within its answer": accepted[:20]} {
		t.Run(name, func(t *testing.T) {
			released := make(chan struct{})
			s := start(t, func(w http.ResponseWriter, _ *http.Request) {
				if begun != "" {
					_, _ = io.WriteString(w, begun)
					w.(http.Flusher).Flush()
				}
				<-released
			})
			t.Cleanup(func() { close(released) }) // before the server ends, which waits for its answers
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := review(ctx, t, s.options(), reviewclient.Request{Token: token})
			if want := "server " + s.Listener.Addr().String() + ": no answer within --timeout"; err == nil || err.Error() != want {
				t.Errorf("expected %q, got %v", want, err)
			}
		})
	}
}
