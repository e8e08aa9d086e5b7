package liveness_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"tokenreview.dev/webhook/pkg/liveness"
)

// What the tests reach they reach without a proxy, whatever the environment has.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		if err := os.Unsetenv(name); err != nil {
			panic(err)
		}
	}
	m.Run()
}

func isAway(err error) bool {
	var away interface{ Away() bool }
	return errors.As(err, &away) && away.Away()
}

// expectAway checks the error of a first question, of one that repeats it, and, where
// the cluster is away, of another token's.
func expectAway(t *testing.T, checker *liveness.Checker, want bool) {
	t.Helper()
	tokens := []string{token, token}
	if want {
		tokens = append(tokens, newToken("other"))
	}
	for i, token := range tokens {
		problem, err := checker.Check(t.Context(), token, audiences, subject)
		if err == nil || problem != "" || isAway(err) != want {
			t.Errorf("question %d: expected an error that says away: %v, got problem %q, error %v", i, want, problem, err)
		}
	}
}

func newCheckerOf(t *testing.T, kubeconfig []byte) *liveness.Checker {
	t.Helper()
	return liveness.New(liveness.Config{Kubeconfig: writeKubeconfig(t, kubeconfig), CacheTTL: time.Minute}, liveness.Options{Now: new(testClock).Now})
}

// listen accepts connections, and hands each to use.
func listen(t *testing.T, use func(net.Conn)) (address string) {
	t.Helper()
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
			use(connection)
		}
	}()
	return listener.Addr().String()
}

// silent is the address of a listener that accepts connections and leaves it at that,
// and how many there were.
func silent(t *testing.T) (address string, connections func() int64) {
	t.Helper()
	var mu sync.Mutex
	var kept []net.Conn // Or the garbage collector would close them.
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, connection := range kept {
			_ = connection.Close()
		}
	})
	address = listen(t, func(connection net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, connection)
	})
	return address, func() int64 {
		mu.Lock()
		defer mu.Unlock()
		return int64(len(kept))
	}
}

func reset(connection net.Conn) {
	_ = connection.(*net.TCPConn).SetLinger(0)
	_ = connection.Close()
}

// hangUp closes without a reset: what came is read first.
func hangUp(connection net.Conn) {
	_, _ = connection.Read(make([]byte, 64<<10))
	_ = connection.Close()
}

func TestAClusterIsAwayWhereNobodyAnswersAtItsAddress(t *testing.T) {
	t.Parallel() // one waits as long as a connection may
	server := startAPIServer(t, nil)
	silent, _ := silent(t)
	for name, address := range map[string]string{
		"nobody listens":                       "127.0.0.1:1",
		"a balancer without servers resets":    listen(t, reset),
		"a balancer without servers hangs up":  listen(t, hangUp),
		"a balancer without servers is silent": silent,
		"there is no route":                    "255.255.255.255:443",
	} {
		t.Run(name, func(t *testing.T) {
			checker := newCheckerOf(t, server.kubeconfig(func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) { c.Server = "https://" + address }))
			expectAway(t, checker, true)
		})
	}
}

func TestAClusterThatIsThereButNotTheRightOneIsNotAway(t *testing.T) {
	server := startAPIServer(t, nil)
	for name, change := range map[string]func(*clientcmdapi.Cluster, *clientcmdapi.AuthInfo){
		"signed by another authority": func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) {
			c.CertificateAuthorityData, _ = newClientCertificate(t, "ca")
		},
		"certified for another name": func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) { c.TLSServerName = "build.example.org" },
		"without TLS": func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) {
			c.Server = "https" + strings.TrimPrefix(plainServer(t), "http")
		},
		"a name that DNS does not know":         func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) { c.Server = "https://cluster.invalid" },
		"behind a proxy where nobody listens":   func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) { c.ProxyURL = "http://127.0.0.1:1" },
		"behind a proxy that resets":            func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) { c.ProxyURL = "http://" + listen(t, reset) },
		"behind a proxy of SOCKS that hangs up": func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) { c.ProxyURL = "socks5://" + listen(t, hangUp) },
		"a kubeconfig that cannot be used":      func(_ *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) { u.Username = "jane" },
		"a credential that is not accepted":     func(_ *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) { u.Token = "another" },
	} {
		t.Run(name, func(t *testing.T) { expectAway(t, newCheckerOf(t, server.kubeconfig(change)), false) })
	}
}

func TestAClusterThatAnswersIsNotAway(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"no review": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"without end": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat(" ", 512<<10)))
		},
		"a connection closed": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a connection closed in between": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("{"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
	}
	for _, code := range []int{202, 302, 400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 501, 502, 503, 504} {
		for _, retryAfter := range []string{"", "1"} {
			answers[fmt.Sprintf("%d with Retry-After %q", code, retryAfter)] = func(w http.ResponseWriter, _ *http.Request) {
				if retryAfter != "" {
					w.Header().Set("Retry-After", retryAfter)
				}
				w.WriteHeader(code)
			}
		}
	}
	for _, http2 := range []bool{true, false} {
		server := startAPIServer(t, func(s *httptest.Server) { s.EnableHTTP2 = http2 })
		for name, answer := range answers {
			t.Run(fmt.Sprintf("%s, HTTP/2 %v", name, http2), func(t *testing.T) {
				server.answerWith(answer)
				expectAway(t, newCheckerOf(t, server.kubeconfig(nil)), false)
			})
		}
	}
}

func TestAQuestionThatIsLateOrWhoseCallerLeavesIsNotAway(t *testing.T) {
	t.Parallel() // it takes as long as a question may
	server := startAPIServer(t, nil)
	release := make(chan struct{})
	server.answerWith(func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	checker, _ := newChecker(t, server, 0)
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := checker.Check(gone, token, audiences, subject); err == nil || isAway(err) {
		t.Errorf("expected a caller who left not to find the cluster away, got %v", err)
	}
	expectAway(t, checker, false)
}

// limited closes the connections above a limit at once, as balancers do.
type limited struct {
	net.Listener
	open atomic.Int64
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		connection, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) == 1 {
			return &limitedConn{Conn: connection, of: l}, nil
		}
		l.open.Add(-1)
		_ = connection.Close()
	}
}

type limitedConn struct {
	net.Conn
	of   *limited
	once sync.Once
}

func (c *limitedConn) Close() error {
	c.once.Do(func() { c.of.open.Add(-1) })
	return c.Conn.Close()
}

// Many dead tokens at once make us open connections, and where there is a limit of
// these, whoever holds the tokens can reach it. The cluster answers all the while.
func TestALimitOfConnectionsDoesNotMakeAClusterAway(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		t.Run(fmt.Sprintf("HTTP/2 %v", http2), func(t *testing.T) {
			server := startAPIServer(t, func(s *httptest.Server) {
				s.EnableHTTP2 = http2
				s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 2}
				s.Listener = &limited{Listener: s.Listener}
			})
			const crowd = 40
			all := make(chan struct{}) // closed once everybody asks
			server.answerWith(func(w http.ResponseWriter, _ *http.Request) {
				<-all
				w.WriteHeader(http.StatusCreated)
				_, _ = w.Write([]byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"error":"deleted"}}`))
			})
			checker, _ := newChecker(t, server, 0)
			var asking atomic.Int64
			var group sync.WaitGroup
			for i := range crowd {
				group.Go(func() {
					if asking.Add(1) == crowd {
						close(all)
					}
					account := fmt.Sprintf("system:serviceaccount:ci:a%d", i)
					if _, err := checker.Check(t.Context(), newToken(fmt.Sprint(i)), audiences, account); isAway(err) {
						t.Errorf("expected the cluster not to be away, got %v", err)
					}
				})
			}
			group.Wait()
		})
	}
}

// Each attempt to connect lasts 3 seconds where nobody answers, and there is one at a
// time: whoever waits for others' must not come to think that there is no answer to a
// question which was never sent.
func TestEverybodyOfACrowdFindsASilentClusterAway(t *testing.T) {
	server := startAPIServer(t, nil)
	for _, test := range []struct {
		name     string
		crowd    int
		attempts int64
	}{
		{"as many as may connect wait for one attempt", 16, 1},
		{"those beyond make another, which they do not live to see", 64, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // it takes as long as a question may
			address, attempts := silent(t)
			checker := newCheckerOf(t, server.kubeconfig(func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) { c.Server = "https://" + address }))
			var group sync.WaitGroup
			for i := range test.crowd {
				group.Go(func() {
					account := fmt.Sprintf("system:serviceaccount:ci:a%d", i)
					if _, err := checker.Check(t.Context(), newToken(fmt.Sprint(i)), audiences, account); !isAway(err) {
						t.Errorf("expected the cluster to be away, got %v", err)
					}
				})
			}
			group.Wait()
			if got := attempts(); got != test.attempts {
				t.Errorf("expected %d attempts to connect, got %d", test.attempts, got)
			}
		})
	}
}

// Whoever asks on a connection that is about to close may be what another one is
// refused for.
func TestAClusterIsAwayOnlyOnceItsLastConnectionIsGoneForAWhile(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		t.Run(fmt.Sprintf("HTTP/2 %v", http2), func(t *testing.T) {
			server := startAPIServer(t, func(s *httptest.Server) { s.EnableHTTP2 = http2 })
			checker, clock := newChecker(t, server, 0)
			expectAlive(t, checker, token)
			server.Close() // and its connections
			for _, after := range []struct {
				time time.Duration
				away bool
			}{{0, false}, {4 * time.Second, false}, {time.Second, true}} {
				clock.pass(after.time)
				if _, err := checker.Check(t.Context(), token, audiences, subject); err == nil || isAway(err) != after.away {
					t.Errorf("after another %s: expected an error that says away: %v, got %v", after.time, after.away, err)
				}
			}
		})
	}
}

func TestAConnectionByTheCredentialFromBeforeStands(t *testing.T) {
	server := startAPIServer(t, func(s *httptest.Server) { s.Listener = &limited{Listener: s.Listener} })
	file := writeKubeconfig(t, server.kubeconfig(nil))
	checker := liveness.New(liveness.Config{Kubeconfig: file}, liveness.Options{Now: new(testClock).Now})
	crowd := gather(t, server, checker, 1, 1)
	write(t, file, server.kubeconfig(func(_ *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) { user.Token = "another" }))
	if _, err := checker.Check(t.Context(), token, audiences, subject); err == nil || isAway(err) {
		t.Errorf("expected the cluster, which is about to answer, not to be away, got %v", err)
	}
	crowd.leave()
}

// What is asked on when the kubeconfig changes is kept open by nobody afterwards.
func TestAConnectionByTheKubeconfigFromBeforeStandsNoLongerThanItsQuestions(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		t.Run(fmt.Sprintf("HTTP/2 %v", http2), func(t *testing.T) {
			server := startAPIServer(t, func(s *httptest.Server) { s.EnableHTTP2 = http2 })
			file, clock := writeKubeconfig(t, server.kubeconfig(nil)), new(testClock)
			checker := liveness.New(liveness.Config{Kubeconfig: file}, liveness.Options{Now: clock.Now})
			crowd := gather(t, server, checker, 1, 1)
			write(t, file, server.kubeconfig(func(cluster *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) { cluster.Server = "https://127.0.0.1:1" }))
			if _, err := checker.Check(t.Context(), token, audiences, subject); err == nil || isAway(err) {
				t.Errorf("expected the cluster not to be away while it is asked, got %v", err)
			}
			crowd.leave()
			// Without HTTP/2 the connection is closed a moment after its answer is read.
			for deadline := time.Now().Add(30 * time.Second); ; {
				clock.pass(5 * time.Second)
				_, err := checker.Check(t.Context(), token, audiences, subject)
				if isAway(err) {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("expected the cluster to be away, got %v", err)
				}
			}
		})
	}
}

// An API server closes connections that nobody uses, and may do so just when a
// question is sent.
func TestAQuestionThatMeetsAClosedConnectionIsAskedAgain(t *testing.T) {
	server := startAPIServer(t, func(s *httptest.Server) { s.EnableHTTP2 = false })
	checker, _ := newChecker(t, server, 0)
	var first atomic.Value
	server.answerWith(func(w http.ResponseWriter, r *http.Request) {
		if !first.CompareAndSwap(nil, r.RemoteAddr) && first.Load() == r.RemoteAddr {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusCreated)
		if err := json.NewEncoder(w).Encode(authenticationv1.TokenReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"}, Status: alive(),
		}); err != nil {
			t.Error(err)
		}
	})
	expectAlive(t, checker, token)
	expectAlive(t, checker, token)
	server.expectQuestions(t, 3)
}
