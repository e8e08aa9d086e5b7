package liveness_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/klog/v2"

	"tokenreview.dev/webhook/pkg/liveness"
)

// testClock is a clock that tests set.
type testClock struct{ ahead atomic.Int64 }

func (c *testClock) Now() time.Time {
	return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(c.ahead.Load()))
}

func (c *testClock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

func newChecker(t *testing.T, server *apiServer, ttl time.Duration) (*liveness.Checker, *testClock) {
	t.Helper()
	clock := new(testClock)
	config := liveness.Config{Kubeconfig: writeKubeconfig(t, server.kubeconfig(nil)), CacheTTL: ttl}
	return liveness.New(config, liveness.Options{Now: clock.Now}), clock
}

func expectAlive(t *testing.T, checker *liveness.Checker, token string) {
	t.Helper()
	if problem, err := checker.Check(t.Context(), token, audiences, subject); problem != "" || err != nil {
		t.Errorf("expected the token to be alive, got problem %q, error %v", problem, err)
	}
}

func expectError(t *testing.T, checker *liveness.Checker, token, text string) {
	t.Helper()
	problem, err := checker.Check(t.Context(), token, audiences, subject)
	if err == nil || problem != "" || !strings.Contains(err.Error(), text) {
		t.Errorf("expected an error with %q, got problem %q, error %v", text, problem, err)
	}
	expectNoSecret(t, fmt.Sprint(err), token)
}

// expectNoSecret looks for pieces of the token and of the webhook's own credential. A
// JWT's first bytes are no secret.
func expectNoSecret(t *testing.T, text, token string) {
	t.Helper()
	const piece = 16
	for _, secret := range []string{token, credential} {
		for i := range len(secret) - piece + 1 {
			if strings.Contains(text, secret[i:i+piece]) {
				t.Fatalf("a piece of a secret is in %q", text)
			}
		}
	}
}

func TestTheClusterDecidesWhetherATokenIsAlive(t *testing.T) {
	const notHonoured = "the cluster that issued the token does not honour it"
	for name, test := range map[string]struct {
		change  func(*authenticationv1.TokenReviewStatus)
		problem string
	}{
		"alive for all of its audiences": {func(*authenticationv1.TokenReviewStatus) {}, ""},
		"alive for one of its audiences": {func(s *authenticationv1.TokenReviewStatus) { s.Audiences = []string{"x", audiences[1]} }, ""},
		"not authenticated, without a word": {
			func(s *authenticationv1.TokenReviewStatus) { s.Authenticated = false }, notHonoured,
		},
		"not authenticated, with an error": {
			func(s *authenticationv1.TokenReviewStatus) {
				*s = authenticationv1.TokenReviewStatus{Error: "[invalid bearer token, service account token has been invalidated]"}
			},
			notHonoured + ": [invalid bearer token, service account token has been invalidated]",
		},
		"not authenticated, with an error of many lines and signs": {
			func(s *authenticationv1.TokenReviewStatus) {
				*s = authenticationv1.TokenReviewStatus{Error: "one\r\n\ttwo\x1b[31m \u202ethree\u2028four\x00"}
			},
			notHonoured + ": one two [31m three four",
		},
		"not authenticated, with an error without end": {
			func(s *authenticationv1.TokenReviewStatus) {
				*s = authenticationv1.TokenReviewStatus{Error: "a" + strings.Repeat("é", 20000)}
			},
			notHonoured + ": a" + strings.Repeat("é", 149) + "...",
		},
		"not authenticated, with an error that repeats the token": {
			func(s *authenticationv1.TokenReviewStatus) {
				*s = authenticationv1.TokenReviewStatus{Error: "invalid token " + token}
			},
			notHonoured + ": (a text that repeats a secret)",
		},
		"not authenticated, with an error that repeats a piece of the token on two lines": {
			func(s *authenticationv1.TokenReviewStatus) {
				*s = authenticationv1.TokenReviewStatus{Error: "bad signature " + token[len(token)-30:len(token)-15] + "\n" + token[len(token)-15:]}
			},
			notHonoured + ": (a text that repeats a secret)",
		},
		"not authenticated, with an error that repeats the token at the cut": {
			func(s *authenticationv1.TokenReviewStatus) {
				*s = authenticationv1.TokenReviewStatus{Error: strings.Repeat("- ", 140) + token}
			},
			notHonoured + ": (a text that repeats a secret)",
		},
		"authenticated as another account": {
			func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:serviceaccount:ci:other" },
			`the cluster that issued the token takes it for "system:serviceaccount:ci:other", expected "system:serviceaccount:ci:deployer"`,
		},
		"authenticated as nobody": {
			func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "" },
			`the cluster that issued the token takes it for "", expected "system:serviceaccount:ci:deployer"`,
		},
		"authenticated as a user named like the token": {
			func(s *authenticationv1.TokenReviewStatus) { s.User.Username = token },
			`the cluster that issued the token takes it for "(a text that repeats a secret)", expected "system:serviceaccount:ci:deployer"`,
		},
		"authenticated without a word on audiences": {
			func(s *authenticationv1.TokenReviewStatus) { s.Audiences = nil },
			"the cluster that issued the token does not say for which audiences it honours it",
		},
		"authenticated for another audience": {
			func(s *authenticationv1.TokenReviewStatus) { s.Audiences = []string{"https://kubernetes.default.svc"} },
			"the cluster that issued the token does not honour it for any of its audiences",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := startAPIServer(t, nil)
			status := alive()
			test.change(&status)
			server.answerStatus(status)
			checker, _ := newChecker(t, server, time.Minute)
			for range 2 { // the second time from memory
				problem, err := checker.Check(t.Context(), token, audiences, subject)
				if err != nil || problem != test.problem {
					t.Errorf("expected problem %q, got %q, error %v", test.problem, problem, err)
				}
				expectNoSecret(t, problem, token)
			}
			server.expectQuestions(t, 1)
		})
	}
}

func TestATokenOfNobodyOrForNobodyIsNotAskedAbout(t *testing.T) {
	server := startAPIServer(t, nil)
	checker, _ := newChecker(t, server, 0)
	for name, check := range map[string]func() (string, error){
		"without a subject":   func() (string, error) { return checker.Check(t.Context(), token, audiences, "") },
		"without an audience": func() (string, error) { return checker.Check(t.Context(), token, nil, subject) },
		"empty":               func() (string, error) { return checker.Check(t.Context(), "", audiences, subject) },
	} {
		if problem, err := check(); problem != "a token without a subject or an audience cannot be asked about" || err != nil {
			t.Errorf("%s: got problem %q, error %v", name, problem, err)
		}
	}
	server.expectQuestions(t, 0)
}

func TestAnAnswerIsRemembered(t *testing.T) {
	dead := authenticationv1.TokenReviewStatus{}
	for name, status := range map[string]authenticationv1.TokenReviewStatus{"alive": alive(), "not alive": dead} {
		t.Run(name, func(t *testing.T) {
			server := startAPIServer(t, nil)
			server.answerStatus(status)
			checker, clock := newChecker(t, server, time.Minute)
			check := func(token, subject string, questions int64) {
				t.Helper()
				if _, err := checker.Check(t.Context(), token, audiences, subject); err != nil {
					t.Error(err)
				}
				server.expectQuestions(t, questions)
			}
			check(token, subject, 1)
			check(token, subject, 1)
			check(newToken("2"), subject, 2)
			check(token, "system:serviceaccount:ci:other", 3)
			clock.pass(time.Minute)
			check(token, subject, 3)
			clock.pass(time.Nanosecond)
			check(token, subject, 4)
		})
	}
	t.Run("for its audiences alone", func(t *testing.T) {
		server := startAPIServer(t, nil)
		checker, _ := newChecker(t, server, time.Minute)
		expectAlive(t, checker, token)
		all := audiences
		defer func() { audiences = all }()
		for i, other := range [][]string{{"cluster"}, {"clusterhttps://cluster.example"}} {
			audiences = other // which the server expects
			if _, err := checker.Check(t.Context(), token, other, subject); err != nil {
				t.Error(err)
			}
			server.expectQuestions(t, int64(i)+2)
		}
	})
}

// A pod that is gone and a cluster that could not look for it are told alike.
func TestAnAnswerWithAnErrorIsRememberedForTenSeconds(t *testing.T) {
	server := startAPIServer(t, nil)
	checker, clock := newChecker(t, server, time.Hour)
	check := func(alive bool, questions int64) {
		t.Helper()
		problem, err := checker.Check(t.Context(), token, audiences, subject)
		if err != nil || (problem == "") != alive {
			t.Errorf("expected an answer that says alive: %v, got problem %q, error %v", alive, problem, err)
		}
		server.expectQuestions(t, questions)
	}
	server.answerStatus(authenticationv1.TokenReviewStatus{Error: "etcdserver: request timed out"})
	check(false, 1)
	server.answerStatus(alive())
	clock.pass(9 * time.Second)
	check(false, 1)
	clock.pass(time.Second + time.Nanosecond)
	check(true, 2)
	clock.pass(59 * time.Minute)
	check(true, 2)
}

func TestNothingIsRememberedWithoutACacheTTL(t *testing.T) {
	server := startAPIServer(t, nil)
	checker, _ := newChecker(t, server, 0)
	expectAlive(t, checker, token)
	server.answerStatus(authenticationv1.TokenReviewStatus{})
	if problem, err := checker.Check(t.Context(), token, audiences, subject); problem == "" || err != nil {
		t.Errorf("expected a problem, got %q, error %v", problem, err)
	}
	server.expectQuestions(t, 2)
}

func TestAFailureIsRepeatedForAWhile(t *testing.T) {
	for name, test := range map[string]struct {
		retryAfter string
		pause      time.Duration
	}{
		"a second":                               {"", time.Second},
		"a second at least":                      {"0", time.Second},
		"as long as the cluster wants":           {"7", 7 * time.Second},
		"no longer than half a minute":           {"3600", 30 * time.Second},
		"no longer where it counts to the moon":  {"99999999999999999999", 30 * time.Second},
		"a second where the cluster counts back": {"-5", time.Second},
		"until the cluster says":                 {"Sun, 01 Nov 2026 12:00:07 GMT", 7 * time.Second},
		"no longer where it names a day":         {"Fri, 31 Dec 2027 23:59:59 GMT", 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			server := startAPIServer(t, nil)
			checker, clock := newChecker(t, server, time.Hour)
			known := newToken("known")
			expectAlive(t, checker, known)
			server.answerWith(func(w http.ResponseWriter, _ *http.Request) {
				if test.retryAfter != "" {
					w.Header().Set("Retry-After", test.retryAfter)
				}
				w.WriteHeader(http.StatusTooManyRequests)
			})
			expectError(t, checker, token, "429 Too Many Requests")
			server.answerStatus(alive())
			clock.pass(test.pause - time.Nanosecond)
			expectError(t, checker, token, "429 Too Many Requests")
			expectError(t, checker, newToken("other"), "429 Too Many Requests")
			expectAlive(t, checker, known)
			server.expectQuestions(t, 2)
			clock.pass(time.Nanosecond * 2)
			expectAlive(t, checker, token)
			server.expectQuestions(t, 3)
		})
	}
}

// Or whoever holds such a token could keep all others out.
func TestAFailureThatATokenMayHaveCausedIsRepeatedForThatTokenAlone(t *testing.T) {
	for text, answer := range map[string]http.HandlerFunc{
		"400 Bad Request":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) },
		"500 Internal Server Error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"502 Bad Gateway":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"504 Gateway Timeout":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) },
		"stream error":              func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(text, func(t *testing.T) {
			server := startAPIServer(t, nil)
			checker, clock := newChecker(t, server, 0)
			server.answerWith(answer)
			expectError(t, checker, token, text)
			server.answerStatus(alive())
			expectAlive(t, checker, newToken("other"))
			expectError(t, checker, token, text)
			server.expectQuestions(t, 2)
			clock.pass(time.Second + time.Nanosecond)
			expectAlive(t, checker, token)
		})
	}
}

func TestAFailureOfAllIsRepeatedForAll(t *testing.T) {
	for text, code := range map[string]int{
		"401 Unauthorized": 401, "403 Forbidden": 403, "404 Not Found": 404, "429 Too Many Requests": 429, "503 Service Unavailable": 503,
		"500 Internal Server Error": 500, // with the Retry-After
	} {
		t.Run(text, func(t *testing.T) {
			server := startAPIServer(t, nil)
			checker, clock := newChecker(t, server, 0)
			server.answerWith(func(w http.ResponseWriter, _ *http.Request) {
				if code == http.StatusInternalServerError {
					w.Header().Set("Retry-After", "1")
				}
				w.WriteHeader(code)
			})
			expectError(t, checker, token, text)
			server.answerStatus(alive())
			expectError(t, checker, newToken("other"), text)
			server.expectQuestions(t, 1)
			clock.pass(time.Second)
			expectAlive(t, checker, newToken("other"))
		})
	}
}

func TestManyWhoAskAboutATokenAskOnce(t *testing.T) {
	server := startAPIServer(t, nil)
	checker, _ := newChecker(t, server, time.Minute)
	tokens := []string{token, newToken("2"), newToken("3")}
	var group sync.WaitGroup
	for i := range 60 {
		group.Go(func() {
			expectAlive(t, checker, tokens[i%len(tokens)])
		})
	}
	group.Wait()
	server.expectQuestions(t, int64(len(tokens)))
}

// Nothing is remembered here, so that all who ask while the question is under way
// must have joined it.
func TestAQuestionUnderWayIsJoined(t *testing.T) {
	server := startAPIServer(t, nil)
	checker, _ := newChecker(t, server, 0)
	gone, leave := context.WithCancel(t.Context())
	leave()
	server.answerWith(func(w http.ResponseWriter, r *http.Request) {
		for range 10 {
			if _, err := checker.Check(gone, token, audiences, subject); !errors.Is(err, context.Canceled) {
				t.Errorf("expected to wait no longer than the caller, got %v", err)
			}
		}
		server.answerStatus(alive())
		server.answer(w, r)
	})
	expectAlive(t, checker, token)
	server.expectQuestions(t, 1)
}

func TestAQuestionOutlivesWhoAskedFirst(t *testing.T) {
	server := startAPIServer(t, nil)
	checker, _ := newChecker(t, server, time.Minute)
	first, leave := context.WithCancel(t.Context())
	left := make(chan struct{})
	server.answerWith(func(w http.ResponseWriter, r *http.Request) {
		leave()
		<-left
		if r.Context().Err() != nil {
			t.Error("the question ended with its first caller")
		}
		server.answerStatus(alive())
		server.answer(w, r)
	})
	if _, err := checker.Check(first, token, audiences, subject); !errors.Is(err, context.Canceled) {
		t.Errorf("expected the first caller to wait no longer, got %v", err)
	}
	close(left)
	expectAlive(t, checker, token)
	server.expectQuestions(t, 1)
}

// The kubeconfig leads to the cluster whose API server asks the webhook: it asks
// about the very token before it answers. This takes as long as one question may.
func TestALoopEndsAtTheDeadlineOfTheFirstQuestion(t *testing.T) {
	t.Parallel()
	server := startAPIServer(t, nil)
	checker, _ := newChecker(t, server, 0)
	inner := make(chan error, 1)
	server.answerWith(func(_ http.ResponseWriter, _ *http.Request) {
		_, err := checker.Check(context.Background(), token, audiences, subject)
		inner <- err
	})
	start := time.Now()
	expectError(t, checker, token, "no answer in 5s: context deadline exceeded")
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("expected an end after 5s, not %s", took)
	}
	if err := <-inner; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("expected the inner question to share the outer one's end, got %v", err)
	}
	server.expectQuestions(t, 1)
	server.answerStatus(alive())
	expectAlive(t, checker, newToken("other")) // only the token that was too slow has to pause
}

func TestAPanicIsAnErrorOfItsQuestionAlone(t *testing.T) {
	server := startAPIServer(t, nil)
	var asked atomic.Int64
	checker := liveness.New(liveness.Config{Kubeconfig: writeKubeconfig(t, server.kubeconfig(nil))}, liveness.Options{
		Now: func() time.Time {
			if asked.Add(1) == 2 { // the first time is before the question
				panic(token)
			}
			return time.Now()
		},
	})
	expectError(t, checker, token, "asking the cluster: panic: string")
	server.expectQuestions(t, 0)
	expectAlive(t, checker, token)
}

func TestAFailureIsAnError(t *testing.T) {
	body := func(code int, contentType, format string, args ...any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(code)
			_, _ = fmt.Fprintf(w, format, args...)
		}
	}
	const (
		jsonType = "application/json"
		cure     = "the kubeconfig's user needs a ClusterRoleBinding to system:auth-delegator in that cluster"
		noReview = "the answer is not a TokenReview of authentication.k8s.io/v1"
	)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		text   string
	}{
		"401 for the webhook's credential": {
			body(401, jsonType, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`),
			"the answer is 401 Unauthorized (Unauthorized): renew the kubeconfig's credential, whose user needs a ClusterRoleBinding to system:auth-delegator in that cluster",
		},
		"403 for the webhook's credential": {
			body(403, jsonType, `{"kind":"Status","apiVersion":"v1","message":"tokenreviews.authentication.k8s.io is forbidden: User \"webhook\" cannot create resource \"tokenreviews\""}`),
			`the answer is 403 Forbidden (tokenreviews.authentication.k8s.io is forbidden: User "webhook" cannot create resource "tokenreviews"): ` + cure,
		},
		"403 without a word":               {body(403, "text/plain", ""), "the answer is 403 Forbidden: " + cure},
		"404":                              {body(404, "text/plain", "404 page not found"), "the answer is 404 Not Found: the kubeconfig's server is no Kubernetes API server"},
		"429":                              {body(429, "text/plain", "Too many requests"), "the answer is 429 Too Many Requests"},
		"500 that repeats the token":       {body(500, jsonType, `{"kind":"Status","message":"cannot review %s"}`, token), "the answer is 500 Internal Server Error ((a text that repeats a secret))"},
		"500 that repeats the bearer":      {body(500, jsonType, `{"kind":"Status","message":"cannot accept %s"}`, credential), "the answer is 500 Internal Server Error ((a text that repeats a secret))"},
		"503 with a web page":              {body(503, "text/html", "<html>%s</html>", token), "the answer is 503 Service Unavailable"},
		"500 without end":                  {body(500, jsonType, `{"kind":"Status","message":"%s"}`, strings.Repeat("a", 1<<20)), "the answer is 500 Internal Server Error"},
		"a web page":                       {body(200, "text/html", "<html>%s</html>", token), noReview},
		"nothing":                          {body(200, jsonType, ""), noReview},
		"a TokenReview of another version": {body(200, jsonType, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1beta1","status":{"authenticated":true}}`), noReview},
		"another kind":                     {body(200, jsonType, `{"kind":"Status","apiVersion":"authentication.k8s.io/v1","status":{"authenticated":true}}`), noReview},
		"a status of another type":         {body(200, jsonType, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":%q}`, token), noReview},
		"two statuses":                     {body(200, jsonType, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{},"status":{"authenticated":true}}`), noReview},
		"a review that breaks off":         {body(201, jsonType, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"authenticated":true`), noReview},
		"202":                              {body(202, jsonType, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"authenticated":true}}`), "the answer is 202 Accepted"},
		"an answer without end": {func(w http.ResponseWriter, _ *http.Request) {
			for err := error(nil); err == nil; {
				_, err = w.Write(bytes.Repeat([]byte(" "), 1<<10))
			}
		}, "the answer is longer than 262144 bytes"},
		"a connection that is closed": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "stream error"},
		"headers without end": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("a", 128<<10))
		}, "COMPRESSION_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			server := startAPIServer(t, nil)
			server.answerWith(test.answer)
			checker, _ := newChecker(t, server, time.Minute)
			expectError(t, checker, token, test.text)
			_, err := checker.Check(t.Context(), token, audiences, subject)
			if host := strings.TrimPrefix(server.URL, "https://"); err == nil || !strings.HasPrefix(err.Error(), "API server "+host+" (kubeconfig ") {
				t.Errorf("expected the error to name the API server and the kubeconfig, got %v", err)
			}
			server.expectQuestions(t, 1)
		})
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	elsewhere := startAPIServer(t, nil)
	for _, code := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		server := startAPIServer(t, nil)
		server.answerWith(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, code)
		})
		checker, _ := newChecker(t, server, 0)
		expectError(t, checker, token, fmt.Sprintf("the answer is %d %s", code, http.StatusText(code)))
	}
	elsewhere.expectQuestions(t, 0)
}

func TestAnEchoInPlaceOfAnAnswerShowsNoSecret(t *testing.T) {
	server := startAPIServer(t, func(s *httptest.Server) { s.EnableHTTP2 = false })
	for name, secret := range map[string]string{"the token": token, "the webhook's own credential": credential} {
		server.answerWith(func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = fmt.Fprintf(connection, "Authorization: %s\r\n\r\n", secret)
			_ = connection.Close()
		})
		checker, _ := newChecker(t, server, 0)
		problem, err := checker.Check(t.Context(), token, audiences, subject)
		if err == nil || problem != "" || !strings.HasSuffix(err.Error(), ": (a text that repeats a secret)") {
			t.Errorf("%s: expected an error without the echo, got problem %q, error %v", name, problem, err)
		}
		expectNoSecret(t, fmt.Sprint(err), token)
	}
}

func TestAServerThatIsNotThereOrNotTheRightOneIsAnError(t *testing.T) {
	server := startAPIServer(t, nil)
	for name, test := range map[string]struct {
		change func(*clientcmdapi.Cluster, *clientcmdapi.AuthInfo)
		text   string
	}{
		"nobody listens": {func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) { c.Server = "https://127.0.0.1:1" }, "): dial tcp 127.0.0.1:1: connect: connection refused"},
		"signed by another authority": {func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) {
			c.CertificateAuthorityData, _ = newClientCertificate(t, "ca")
		}, "certificate"},
		"unknown to the system's authorities": {func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) { c.CertificateAuthorityData = nil }, "x509: certificate signed by unknown authority"},
		"certified for another name":          {func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) { c.TLSServerName = "build.example.org" }, "build.example.org"},
		"without TLS": {func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) {
			c.Server = "https" + strings.TrimPrefix(plainServer(t), "http")
		}, "HTTP response to HTTPS"},
	} {
		t.Run(name, func(t *testing.T) {
			checker := liveness.New(liveness.Config{Kubeconfig: writeKubeconfig(t, server.kubeconfig(test.change))}, liveness.Options{})
			expectError(t, checker, token, test.text)
		})
	}
	server.expectQuestions(t, 0)
}

func plainServer(t *testing.T) string {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	return server.URL
}

// client-go's requests log bodies and headers when they are told to be talkative.
func TestNoSecretIsLogged(t *testing.T) {
	var lines bytes.Buffer
	flags := flag.NewFlagSet("", flag.PanicOnError)
	klog.InitFlags(flags)
	state := klog.CaptureState()
	defer state.Restore()
	for name, value := range map[string]string{"v": "10", "logtostderr": "false", "stderrthreshold": "FATAL"} {
		if err := flags.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	klog.SetOutput(&lines)
	server := startAPIServer(t, nil)
	checker, _ := newChecker(t, server, 0)
	server.answerWith(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Warning", `299 - "`+token+`"`)
		server.answerStatus(alive())
		server.answer(w, r)
	})
	expectAlive(t, checker, token)
	server.answerWith(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(token)) })
	expectError(t, checker, token, "not a TokenReview")
	klog.Flush()
	klog.SetOutput(new(bytes.Buffer))
	expectNoSecret(t, lines.String(), token)
}
