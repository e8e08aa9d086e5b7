package entra_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tokenreview.dev/webhook/internal/entratest"
	"tokenreview.dev/webhook/pkg/entra"
)

func TestRetryAfterIsObeyed(t *testing.T) {
	for name, test := range map[string]struct {
		status     int
		retryAfter string
		expected   time.Duration
	}{
		"seconds":                      {http.StatusTooManyRequests, "30", 30 * time.Second},
		"a date":                       {http.StatusTooManyRequests, "Sun, 22 Nov 2026 12:02:00 GMT", 2 * time.Minute},
		"seconds of an outage":         {http.StatusServiceUnavailable, "30", 30 * time.Second},
		"none":                         {http.StatusTooManyRequests, "", time.Second},
		"an hour":                      {http.StatusTooManyRequests, "3600", 10 * time.Minute},
		"an outage that does not tell": {http.StatusServiceUnavailable, "", time.Second},
		"of another failure":           {http.StatusInternalServerError, "30", 30 * time.Second},
	} {
		answer := entratest.Unavailable(test.status, "TooManyRequests", test.retryAfter)
		for _, host := range []string{"graph.microsoft.com", "login.microsoftonline.com"} {
			t.Run(name+" from "+host, func(t *testing.T) {
				server := startServer(t)
				clock := newNow()
				graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport(), Now: clock.Now})
				if host == "graph.microsoft.com" {
					server.AnswerGraph(answer)
				} else {
					server.AnswerLogin(answer)
				}
				until := clock.Now().Add(test.expected).Format(time.RFC3339)
				expectError(t, graph, jane, fmt.Sprintf("%s answered %d", host, test.status), "; next request after "+until)
				asked := server.Requests()
				server.AnswerGraph(nil)
				server.AnswerLogin(nil)

				clock.pass(test.expected - time.Nanosecond)
				expectError(t, graph, joe, fmt.Sprintf("no request before %s: ", until), fmt.Sprintf("%s answered %d", host, test.status))
				expectError(t, graph, robot, "no request before "+until)
				expectRequests(t, server, asked)

				clock.pass(time.Nanosecond)
				expectGroups(t, graph, jane, admins, mailing)
			})
		}
	}
}

func TestAnswersOfGraphThatAreNone(t *testing.T) {
	ids := func(n int, id string) string {
		return `{"value":[` + strings.TrimSuffix(strings.Repeat(`"`+id+`",`, n), ",") + `]}`
	}
	body := func(status int, text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
		})
	}
	for name, test := range map[string]struct {
		answer http.Handler
		id     string
		text   string
		pauses bool
	}{
		"permission is missing for users": {
			entratest.GraphError(403, "Authorization_RequestDenied", "Insufficient privileges."), jane,
			"answered 403 Authorization_RequestDenied: grant application " + clientID + " the application permissions GroupMember.Read.All and User.ReadBasic.All for Microsoft Graph, with an administrator's consent", false,
		},
		"permission is missing for service principals": {
			entratest.GraphError(403, "Authorization_RequestDenied", "Insufficient privileges."), robot,
			"the application permission Application.Read.All for Microsoft Graph", false,
		},
		"too many groups": {
			entratest.GraphError(400, "Directory_ResultSizeLimitExceeded", "x"), jane,
			"answered 400 Directory_ResultSizeLimitExceeded: a member of more than 11000 groups", false,
		},
		"a request it does not like":     {entratest.GraphError(400, "Request_BadRequest", "x"), jane, "answered 400 Request_BadRequest", false},
		"no such path":                   {entratest.GraphError(404, "BadRequest", "x"), jane, "answered 404 BadRequest", true},
		"a 404 of somebody else":         {body(404, "<html>"), jane, "graph.microsoft.com answered 404;", true},
		"an outage":                      {entratest.GraphError(500, "InternalServerError", "x"), jane, "answered 500 InternalServerError", true},
		"a gateway's outage":             {body(502, "<html>"), jane, "graph.microsoft.com answered 502;", true},
		"a redirect":                     {http.RedirectHandler("https://graph.microsoft.com/v1.0/users/"+joe+"/getMemberGroups", http.StatusTemporaryRedirect), jane, "answered 307", true},
		"a redirect elsewhere":           {http.RedirectHandler("https://evil.example/", http.StatusFound), jane, "answered 302", true},
		"no content":                     {body(204, ""), jane, "answered 204", true},
		"a code that is no code":         {entratest.GraphError(500, "opaque-access-token \r\n", "opaque-access-token"), jane, "graph.microsoft.com answered 500;", true},
		"a connection closed":            {http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), jane, "graph.microsoft.com: EOF", true},
		"a web page":                     {body(200, "<html>"), jane, "not the JSON that was expected", true},
		"nothing":                        {body(200, ""), jane, "not the JSON that was expected", true},
		"half an answer":                 {body(200, `{"value":["`+admins.ID), jane, "not the JSON that was expected", true},
		"no value":                       {body(200, `{}`), jane, "it has no value", true},
		"a null value":                   {body(200, `{"value":null}`), jane, "it has no value", true},
		"two values":                     {body(200, `{"value":[],"value":[]}`), jane, "not the JSON that was expected", true},
		"a value that is no list":        {body(200, `{"value":"`+admins.ID+`"}`), jane, "not the JSON that was expected", true},
		"groups that are objects":        {body(200, `{"value":[{"id":"`+admins.ID+`"}]}`), jane, "not the JSON that was expected", true},
		"a group by name":                {body(200, `{"value":["system:masters"]}`), jane, "a group's id is not a GUID", true},
		"the first of several pages":     {body(200, `{"value":["`+admins.ID+`"],"@odata.nextLink":"https://graph.microsoft.com/x"}`), jane, "only a part of the groups", true},
		"more groups than there can be":  {body(200, ids(11001, admins.ID)), jane, "it has 11001 groups, more than 11000", true},
		"an answer without end":          {body(200, `{"value":[`+strings.Repeat(" ", 2<<20)+`]}`), jane, "the answer is longer than 1 MiB", true},
		"an error without end":           {body(500, strings.Repeat("x", 2<<20)), jane, "the answer is longer than 1 MiB", true},
		"groups after a long wait":       {body(200, ids(1, admins.ID)+strings.Repeat(" ", 1<<20)), jane, "the answer is longer than 1 MiB", true},
		"a body of exactly one MiB + 1 ": {body(200, ids(0, "")+strings.Repeat(" ", 1<<20-12)+"x"), jane, "longer than 1 MiB", true},
	} {
		t.Run(name, func(t *testing.T) {
			server := startServer(t)
			clock := newNow()
			graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport(), Now: clock.Now})
			server.AnswerGraph(test.answer)
			expectError(t, graph, test.id, "look up groups: graph.microsoft.com", test.text)
			expectRequests(t, server, entratest.Requests{Discovery: 1, Token: 1, Graph: 1})
			server.AnswerGraph(nil)
			if test.pauses {
				expectError(t, graph, test.id, "no request for this principal before 2026-11-22T12:00:01Z: graph.microsoft.com")
				expectRequests(t, server, entratest.Requests{Discovery: 1, Token: 1, Graph: 1})
			}
			expectGroups(t, graph, joe) // nobody else pauses
			clock.pass(time.Second)
			expectGroups(t, graph, jane, admins, mailing)
		})
	}
}

func TestAsManyGroupsAsThereCanBe(t *testing.T) {
	server := startServer(t)
	groups := make([]entratest.Group, 11001)
	for i := range groups {
		groups[i] = entratest.Group{ID: fmt.Sprintf("00000000-0000-4000-8000-%012x", i), SecurityEnabled: true}
	}
	server.AddUser(joe, groups[:11000]...)
	server.AddUser(jane, groups...)
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport()})
	expectGroups(t, graph, joe, groups[:11000]...)
	expectError(t, graph, jane, "Directory_ResultSizeLimitExceeded")
}

func TestALongerPauseIsNotShortened(t *testing.T) {
	server := startServer(t)
	clock := newNow()
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport(), Now: clock.Now})
	// Jane's answer is held back until joe was told to wait for a minute.
	janeAsked, joeAnswered := make(chan struct{}), make(chan struct{})
	server.AnswerGraph(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, jane) {
			close(janeAsked)
			<-joeAnswered
			entratest.Unavailable(503, "ServiceUnavailable", "1").ServeHTTP(w, r)
			return
		}
		entratest.Throttled("60").ServeHTTP(w, r)
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = graph.Groups(t.Context(), jane, false)
	}()
	<-janeAsked
	expectError(t, graph, joe, "next request after 2026-11-22T12:01:00Z")
	close(joeAnswered)
	<-done
	expectError(t, graph, robot, "no request before 2026-11-22T12:01:00Z: graph.microsoft.com answered 429")
}

// There are accounts whose groups Graph cannot tell: it must still tell others'.
func TestOnePrincipalWhoseLookupFailsKeepsNobodyOut(t *testing.T) {
	for name, fail := range map[string]http.HandlerFunc{
		"500":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"502":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"504":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) },
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			server := startServer(t)
			var failed atomic.Int64
			server.AnswerGraph(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.URL.Path, joe) {
					server.Genuine(w, r)
					return
				}
				failed.Add(1)
				fail(w, r)
			}))
			synctest.Test(t, func(t *testing.T) {
				graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: direct(server)})
				until := time.Now().Add(time.Minute)
				done := make(chan struct{})
				go func() { // joe tries ten times a second
					defer close(done)
					for time.Now().Before(until) {
						expectError(t, graph, joe, "for this principal")
						time.Sleep(100 * time.Millisecond)
					}
				}()
				for time.Now().Before(until) {
					expectGroups(t, graph, jane, admins, mailing)
					time.Sleep(50 * time.Millisecond)
				}
				<-done
				if n := failed.Load(); n > 60 {
					t.Errorf("expected one lookup of joe's a second at most, got %d in a minute", n)
				}
			})
		})
	}
}

func TestAFailureOfTheConnectionPausesAll(t *testing.T) {
	server := startServer(t)
	genuine := server.Transport()
	clock := newNow()
	broken := roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "graph.microsoft.com" {
			return nil, errors.New("dial tcp: connection refused")
		}
		return genuine.RoundTrip(r)
	})
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: broken, Now: clock.Now})
	expectError(t, graph, jane, "connection refused; next request after 2026-11-22T12:00:01Z")
	expectError(t, graph, joe, "no request before 2026-11-22T12:00:01Z: graph.microsoft.com: dial tcp: connection refused")
	clock.pass(time.Second)
	expectError(t, graph, joe, "connection refused; next request after 2026-11-22T12:00:02Z")
}

func TestAnAccessTokenThatIsNeverAcceptedPausesAll(t *testing.T) {
	server := startServer(t)
	clock := newNow()
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport(), Now: clock.Now})
	server.AnswerGraph(entratest.GraphError(401, "InvalidAuthenticationToken", "x"))
	expectError(t, graph, jane, "answered 401 InvalidAuthenticationToken; next request after 2026-11-22T12:00:01Z")
	expectError(t, graph, joe, "no request before 2026-11-22T12:00:01Z")
}
