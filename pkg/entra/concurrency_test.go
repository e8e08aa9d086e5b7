package entra_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tokenreview.dev/webhook/internal/entratest"
	"tokenreview.dev/webhook/pkg/entra"
)

// direct is a transport without a network, so that a bubble knows when everything
// waits.
func direct(handler http.Handler) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		inbound := r.Clone(r.Context())
		inbound.Host = r.URL.Host
		recorder := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			handler.ServeHTTP(recorder, inbound)
		}()
		select {
		case <-done:
			return recorder.Result(), nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	})
}

// hold keeps requests back until release is closed or they are given up.
func hold(server *entratest.Server, release <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
			server.Genuine(w, r)
		case <-r.Context().Done():
		}
	})
}

// result is what one call of Groups returned.
type result struct {
	groups []string
	known  bool
	err    error
}

func ask(ctx context.Context, graph *entra.Graph, id string) <-chan result {
	out := make(chan result, 1)
	go func() {
		groups, known, err := graph.Groups(ctx, id, false)
		out <- result{groups, known, err}
	}()
	return out
}

func TestCallersForOnePrincipalShareALookup(t *testing.T) {
	server := startServer(t)
	synctest.Test(t, func(t *testing.T) {
		graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: direct(server)})
		release := make(chan struct{})
		server.AnswerGraph(hold(server, release))
		var asked []<-chan result
		for range 100 {
			asked = append(asked, ask(t.Context(), graph, jane))
		}
		synctest.Wait()
		close(release)
		for i, out := range asked {
			if got := <-out; got.err != nil || len(got.groups) != 2 || got.groups[0] != admins.ID {
				t.Errorf("caller %d: expected the groups, got %+v", i, got)
			}
		}
		expectRequests(t, server, entratest.Requests{Discovery: 1, Token: 1, Graph: 1})
	})
}

func TestAUserAndAServicePrincipalShareNoLookup(t *testing.T) {
	server := startServer(t)
	server.AddServicePrincipal(jane, viewers)
	synctest.Test(t, func(t *testing.T) {
		graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: direct(server)})
		release := make(chan struct{})
		server.AnswerGraph(hold(server, release))
		user := ask(t.Context(), graph, jane)
		synctest.Wait()
		service := make(chan result, 1)
		go func() {
			groups, known, err := graph.Groups(t.Context(), jane, true)
			service <- result{groups, known, err}
		}()
		synctest.Wait()
		close(release)
		if got := <-user; got.err != nil || len(got.groups) != 2 {
			t.Errorf("expected the user's groups, got %+v", got)
		}
		if got := <-service; got.err != nil || len(got.groups) != 1 {
			t.Errorf("expected the service principal's groups, got %+v", got)
		}
	})
}

func TestCallersForManyPrincipalsShareAnAccessToken(t *testing.T) {
	server := startServer(t)
	synctest.Test(t, func(t *testing.T) {
		graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: direct(server)})
		release := make(chan struct{})
		server.AnswerLogin(hold(server, release))
		var asked []<-chan result
		for i := range 10 {
			asked = append(asked, ask(t.Context(), graph, fmt.Sprintf("00000000-0000-4000-8000-%012x", i)))
		}
		synctest.Wait()
		close(release)
		for _, out := range asked {
			if got := <-out; got.err != nil || got.known {
				t.Errorf("expected nobody to be known, got %+v", got)
			}
		}
		expectRequests(t, server, entratest.Requests{Discovery: 1, Token: 1, Graph: 10})
	})
}

func TestACallerThatLeavesTakesNobodyAlong(t *testing.T) {
	server := startServer(t)
	synctest.Test(t, func(t *testing.T) {
		graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: direct(server)})
		release := make(chan struct{})
		server.AnswerGraph(hold(server, release))
		ctx, cancel := context.WithCancel(t.Context())
		first := ask(ctx, graph, jane)
		synctest.Wait()
		second := ask(t.Context(), graph, jane)
		synctest.Wait()

		cancel()
		if got := <-first; !errors.Is(got.err, context.Canceled) {
			t.Errorf("expected the caller that left to be told so, got %+v", got)
		}
		synctest.Wait()
		select {
		case got := <-second:
			t.Fatalf("expected the other to wait still, got %+v", got)
		default:
		}
		close(release)
		if got := <-second; got.err != nil || len(got.groups) != 2 {
			t.Errorf("expected the groups for the other, got %+v", got)
		}
		expectRequests(t, server, entratest.Requests{Discovery: 1, Token: 1, Graph: 1})
	})
}

func TestACallerMayWaitShorterThanTheLookup(t *testing.T) {
	server := startServer(t)
	synctest.Test(t, func(t *testing.T) {
		graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: direct(server)})
		server.AnswerGraph(hold(server, nil))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		if got := <-ask(ctx, graph, jane); !errors.Is(got.err, context.DeadlineExceeded) || time.Since(began) != 2*time.Second {
			t.Errorf("expected the caller's own deadline, got %+v after %s", got, time.Since(began))
		}
		time.Sleep(3 * time.Second)
		synctest.Wait() // and the bubble ends with no goroutine left
	})
}

func TestALookupEndsAfterFiveSeconds(t *testing.T) {
	for name, test := range map[string]struct {
		silence func(*entratest.Server)
		pause   string
	}{
		"Graph":          {func(s *entratest.Server) { s.AnswerGraph(hold(s, nil)) }, "no request for this principal before "},
		"the login host": {func(s *entratest.Server) { s.AnswerLogin(hold(s, nil)) }, "no request before "},
	} {
		t.Run(name+" is silent", func(t *testing.T) {
			server := startServer(t)
			test.silence(server)
			synctest.Test(t, func(t *testing.T) {
				graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: direct(server)})
				began := time.Now()
				expectError(t, graph, jane, "context deadline exceeded")
				if took := time.Since(began); took != 5*time.Second {
					t.Errorf("expected 5s, got %s", took)
				}
				// It was a failure like any other.
				asked := server.Requests()
				expectError(t, graph, jane, test.pause)
				expectRequests(t, server, asked)
			})
		})
	}
}

// A transport that does not end in time holds up only those who share it.
func TestALookupDoesNotWaitForOthersForEver(t *testing.T) {
	for host, test := range map[string]struct {
		others int
		text   string
	}{
		"graph.microsoft.com":       {16, "16 other lookups are under way: context deadline exceeded"},
		"login.microsoftonline.com": {1, "wait for an access token: context deadline exceeded"},
	} {
		t.Run(host, func(t *testing.T) {
			server := startServer(t)
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				stuck := roundTrip(func(r *http.Request) (*http.Response, error) {
					if r.URL.Host == host {
						<-release
					}
					return direct(server).RoundTrip(r)
				})
				graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: stuck})
				for i := range test.others {
					ask(t.Context(), graph, fmt.Sprintf("00000000-0000-4000-8000-%012x", i))
				}
				synctest.Wait()
				began := time.Now()
				expectError(t, graph, jane, test.text)
				if took := time.Since(began); took != 5*time.Second {
					t.Errorf("expected 5s, got %s", took)
				}
				close(release)
			})
		})
	}
}

func TestADeadGraphIsAskedByAFewAtATimeAndOnceForEach(t *testing.T) {
	server := startServer(t)
	synctest.Test(t, func(t *testing.T) {
		graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: direct(server)})
		expectGroups(t, graph, jane, admins, mailing)
		release := make(chan struct{})
		server.AnswerGraph(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-release
			entratest.GraphError(500, "InternalServerError", "x").ServeHTTP(w, r)
		}))
		expectErrors := func(meanwhile func()) {
			var asked []<-chan result
			for i := range 100 {
				asked = append(asked, ask(t.Context(), graph, fmt.Sprintf("00000000-0000-4000-8000-%012x", i)))
			}
			synctest.Wait()
			meanwhile()
			for _, out := range asked {
				if got := <-out; got.err == nil {
					t.Errorf("expected an error, got %+v", got)
				}
			}
		}
		expectErrors(func() {
			if requests := server.Requests().Graph; requests != 1+16 {
				t.Errorf("expected 16 of 100 lookups to ask at a time, got %d", requests-1)
			}
			close(release)
		})
		expectErrors(func() {})
		if requests := server.Requests().Graph; requests != 1+100 {
			t.Errorf("expected one request for each of 100, got %d", requests-1)
		}
	})
}

func TestARefusedAccessTokenIsReplacedOnceForAll(t *testing.T) {
	server := startServer(t)
	synctest.Test(t, func(t *testing.T) {
		graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: direct(server)})
		expectGroups(t, graph, jane, admins, mailing)
		server.RevokeTokens()
		var asked []<-chan result
		for i := range 10 {
			asked = append(asked, ask(t.Context(), graph, fmt.Sprintf("00000000-0000-4000-8000-%012x", i)))
		}
		for _, out := range asked {
			if got := <-out; got.err != nil || got.known {
				t.Errorf("expected nobody to be known, got %+v", got)
			}
		}
		if requests := server.Requests(); requests.Token != 2 {
			t.Errorf("expected one new token for all, got %+v", requests)
		}
	})
}

func TestAnAccessTokenLastsUntilFiveMinutesBeforeItExpires(t *testing.T) {
	server := startServer(t)
	synctest.Test(t, func(t *testing.T) {
		graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: direct(server)})
		expectGroups(t, graph, jane, admins, mailing)
		time.Sleep(54 * time.Minute)
		expectGroups(t, graph, jane, admins, mailing)
		if requests := server.Requests(); requests.Token != 1 {
			t.Errorf("expected the token to be used again, got %+v", requests)
		}
		time.Sleep(2 * time.Minute)
		expectGroups(t, graph, jane, admins, mailing)
		if requests := server.Requests(); requests.Token != 2 {
			t.Errorf("expected a new token, got %+v", requests)
		}
	})
}

// Entra suggests to refresh tokens that last long when half their time is over. A token
// that is good is no reason to ask a login host that is away.
func TestAGoodAccessTokenOutlivesTheLoginHost(t *testing.T) {
	for name, away := range map[string]http.Handler{
		"silent":      http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		"unavailable": entratest.LoginError(http.StatusServiceUnavailable, "temporarily_unavailable", 90033, "A transient error has occurred."),
	} {
		t.Run(name, func(t *testing.T) {
			server := startServer(t)
			server.SetRefreshIn(30 * time.Minute)
			synctest.Test(t, func(t *testing.T) {
				graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: direct(server)})
				expectGroups(t, graph, jane, admins, mailing)
				server.AnswerLogin(away)
				time.Sleep(40 * time.Minute)
				began := time.Now()
				for range 3 {
					expectGroups(t, graph, jane, admins, mailing)
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("expected nobody to wait, took %s", took)
				}
				if requests := server.Requests(); requests.Token != 1 {
					t.Errorf("expected no request for another token, got %+v", requests)
				}
			})
		})
	}
}

func TestAGraphIsSafeForConcurrentUse(t *testing.T) {
	server := startServer(t)
	config := config(t)
	config.CacheTTL = time.Minute
	clock := newNow()
	graph := entra.NewGraph(config, entra.GraphOptions{Transport: server.Transport(), Now: clock.Now})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 20 {
				expectConcurrently(t, graph, []string{jane, joe, robot, nobody}[i%4])
				clock.pass(7 * time.Second)
				if i == 10 {
					server.RevokeTokens()
				}
			}
		})
	}
	group.Wait()
}

func TestCallersWhoMissALookupThatJustEndedFindItsAnswer(t *testing.T) {
	server := startServer(t)
	config := config(t)
	config.CacheTTL = time.Hour
	graph := entra.NewGraph(config, entra.GraphOptions{Transport: direct(server)})
	const principals = 1000
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range principals {
				expectConcurrently(t, graph, fmt.Sprintf("00000000-0000-4000-8000-%012x", i))
			}
		})
	}
	group.Wait()
	expectRequests(t, server, entratest.Requests{Discovery: 1, Token: 1, Graph: principals})
}

// expectConcurrently accepts the 401 of a token that was revoked twice meanwhile.
func expectConcurrently(t *testing.T, graph *entra.Graph, id string) {
	t.Helper()
	_, known, err := graph.Groups(t.Context(), id, id == robot)
	if err != nil && !strings.Contains(err.Error(), "answered 401") {
		t.Errorf("expected groups, got %v", err)
	}
	if listed := id == jane || id == joe || id == robot; err == nil && known != listed {
		t.Errorf("%s: expected the truth, got known %v", id, known)
	}
}
