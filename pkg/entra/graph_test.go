package entra_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tokenreview.dev/webhook/internal/entratest"
	"tokenreview.dev/webhook/pkg/entra"
)

const (
	tenant   = "de5169f1-9a13-45fe-a4cf-07feee258b7f"
	clientID = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"
	secret   = "abc8Q~secret-of-the-application_0123456789"
	jane     = "1a1a1a1a-1111-4111-8111-111111111111"
	joe      = "22222222-2222-4222-8222-222222222222"
	robot    = "33333333-3333-4333-8333-333333333333"
	nobody   = "44444444-4444-4444-8444-444444444444"
)

var (
	admins  = entratest.Group{ID: "921b8d0f-a256-4a59-8baa-65c90ec581ac", SecurityEnabled: true}
	viewers = entratest.Group{ID: "c23b7510-9d24-4c94-882c-2afff5be1562", SecurityEnabled: true}
	mailing = entratest.Group{ID: "5d27edea-60ae-4abd-8adc-c2928358cb3d"}
)

// now is a clock that stands until it is moved.
type now struct {
	mu   sync.Mutex
	time time.Time
}

func newNow() *now { return &now{time: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

func (n *now) Now() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.time
}

func (n *now) pass(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.time = n.time.Add(d)
}

// startServer runs Entra with two users and a service principal in it.
func startServer(t *testing.T) *entratest.Server {
	t.Helper()
	server := entratest.Start(tenant, clientID)
	t.Cleanup(server.Close)
	server.SetSecrets(secret)
	server.AddUser(jane, admins, mailing)
	server.AddUser(joe)
	server.AddServicePrincipal(robot, viewers)
	return server
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// config is that of an application with the right secret.
func config(t *testing.T) entra.GraphConfig {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	writeFile(t, file, secret+"\n")
	return entra.GraphConfig{Tenant: tenant, Cloud: entra.CloudPublic, ClientID: clientID, ClientSecretFile: file}
}

func expectGroups(t *testing.T, graph *entra.Graph, id string, expected ...entratest.Group) {
	t.Helper()
	groups, known, err := graph.Groups(t.Context(), id, id == robot)
	if err != nil || !known {
		t.Fatalf("expected groups, got known %v, error %v", known, err)
	}
	ids := []string{}
	for _, group := range expected {
		ids = append(ids, group.ID)
	}
	if diff := cmp.Diff(ids, groups); diff != "" {
		t.Errorf("groups (-want +got)\n%s", diff)
	}
}

// expectError wants an error with every text in it, in one bounded line, that tells
// no secret.
func expectError(t *testing.T, graph *entra.Graph, id string, texts ...string) {
	t.Helper()
	groups, known, err := graph.Groups(t.Context(), id, id == robot)
	if err == nil || groups != nil || known {
		t.Fatalf("expected an error alone, got %v, %v, %v", groups, known, err)
	}
	text := err.Error()
	for _, expected := range texts {
		if !strings.Contains(text, expected) {
			t.Errorf("expected an error with %q, got %q", expected, text)
		}
	}
	for _, forbidden := range []string{secret, "secret-of", "assertion-", "opaque-access-token", "Trace ID", "\n", "\r", "\x00"} {
		if strings.Contains(text, forbidden) {
			t.Errorf("expected no %q in the error, got %q", forbidden, text)
		}
	}
	if len(text) > 600 {
		t.Errorf("expected a bounded error, got %d bytes", len(text))
	}
}

func expectRequests(t *testing.T, server *entratest.Server, expected entratest.Requests) {
	t.Helper()
	if diff := cmp.Diff(expected, server.Requests()); diff != "" {
		t.Errorf("requests (-want +got)\n%s", diff)
	}
}

func TestGroupsOfAUserAndOfAServicePrincipal(t *testing.T) {
	server := startServer(t)
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport()})
	expectGroups(t, graph, jane, admins, mailing)
	expectGroups(t, graph, strings.ToUpper(jane), admins, mailing)
	expectGroups(t, graph, joe)
	expectGroups(t, graph, robot, viewers)
	expectRequests(t, server, entratest.Requests{Discovery: 1, Token: 1, Graph: 4})
}

func TestOnlySecurityGroupsIfSoConfigured(t *testing.T) {
	server := startServer(t)
	config := config(t)
	config.SecurityEnabledOnly = true
	expectGroups(t, entra.NewGraph(config, entra.GraphOptions{Transport: server.Transport()}), jane, admins)
}

func TestGroupsAreInLowerCase(t *testing.T) {
	server := startServer(t)
	server.AddUser(joe, entratest.Group{ID: strings.ToUpper(admins.ID)})
	expectGroups(t, entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport()}), joe, admins)
}

func TestATenantInCapitalsIsTheSame(t *testing.T) {
	server := startServer(t)
	config := config(t)
	config.Tenant = strings.ToUpper(tenant)
	expectGroups(t, entra.NewGraph(config, entra.GraphOptions{Transport: server.Transport()}), jane, admins, mailing)
}

func TestAPrincipalThatEntraDoesNotKnow(t *testing.T) {
	server := startServer(t)
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport()})
	for name, ask := range map[string]func() ([]string, bool, error){
		"nobody":                               func() ([]string, bool, error) { return graph.Groups(t.Context(), nobody, false) },
		"a user taken for a service":           func() ([]string, bool, error) { return graph.Groups(t.Context(), jane, true) },
		"a service principal taken for a user": func() ([]string, bool, error) { return graph.Groups(t.Context(), robot, false) },
	} {
		if groups, known, err := ask(); known || groups != nil || err != nil {
			t.Errorf("%s: expected not to be known, got %v, %v, %v", name, groups, known, err)
		}
	}
	expectGroups(t, graph, jane, admins, mailing) // and nothing pauses
}

func TestAnObjectIDThatIsNoGUIDIsNeverSent(t *testing.T) {
	server := startServer(t)
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport()})
	for _, id := range []string{"", "me", "jane@contoso.example", jane + "/../" + joe, jane + "\n", "{" + jane + "}", jane + "?$select=id"} {
		if groups, known, err := graph.Groups(t.Context(), id, false); known || groups != nil || err != nil {
			t.Errorf("%q: expected not to be known, got %v, %v, %v", id, groups, known, err)
		}
	}
	expectRequests(t, server, entratest.Requests{})
}

func TestEachCloudIsAskedAtItsOwnHosts(t *testing.T) {
	// A region would lead MSAL to hosts of its own.
	t.Setenv("MSAL_FORCE_REGION", "westeurope")
	for _, cloud := range entra.Clouds() {
		t.Run(string(cloud), func(t *testing.T) {
			server := startServer(t)
			config := config(t)
			config.Cloud = cloud
			graph := entra.NewGraph(config, entra.GraphOptions{Transport: server.Transport()})
			expectGroups(t, graph, jane, admins, mailing)
			expected := []string{cloud.LoginHost(), cloud.GraphHost()}
			slices.Sort(expected)
			if diff := cmp.Diff(expected, server.Hosts()); diff != "" {
				t.Errorf("hosts (-want +got)\n%s", diff)
			}
			expectRequests(t, server, entratest.Requests{Discovery: 1, Token: 1, Graph: 1})
		})
	}
}

func TestAnswersAreCached(t *testing.T) {
	server := startServer(t)
	clock := newNow()
	config := config(t)
	config.CacheTTL = time.Minute
	graph := entra.NewGraph(config, entra.GraphOptions{Transport: server.Transport(), Now: clock.Now})
	expectUnknown := func() {
		t.Helper()
		if _, known, err := graph.Groups(t.Context(), nobody, false); known || err != nil {
			t.Errorf("expected nobody to be unknown, got %v, %v", known, err)
		}
	}
	expectGroups(t, graph, jane, admins, mailing)
	expectUnknown()

	server.AddUser(jane, viewers)
	server.AddUser(nobody, viewers)
	clock.pass(10 * time.Second)
	expectUnknown()
	if graphRequests := server.Requests().Graph; graphRequests != 2 {
		t.Errorf("expected 2 requests within ten seconds, got %d", graphRequests)
	}

	// Whoever has just been made is not found everywhere at once.
	clock.pass(time.Nanosecond)
	expectGroups(t, graph, nobody, viewers)
	clock.pass(50*time.Second - time.Nanosecond)
	expectGroups(t, graph, jane, admins, mailing)
	expectGroups(t, graph, strings.ToUpper(jane), admins, mailing)
	if graphRequests := server.Requests().Graph; graphRequests != 3 {
		t.Errorf("expected 3 requests within the TTL, got %d", graphRequests)
	}

	clock.pass(time.Nanosecond)
	expectGroups(t, graph, jane, viewers)
}

// Graph closes connections that nobody uses, and may do so just when a lookup is sent.
func TestALookupThatMeetsAClosedConnectionIsRepeated(t *testing.T) {
	server := startServer(t)
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport()})
	var first atomic.Value
	server.AnswerGraph(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !first.CompareAndSwap(nil, r.RemoteAddr) && first.Load() == r.RemoteAddr {
			panic(http.ErrAbortHandler)
		}
		server.Genuine(w, r)
	}))
	expectGroups(t, graph, jane, admins, mailing)
	expectGroups(t, graph, joe)
	expectRequests(t, server, entratest.Requests{Discovery: 1, Token: 1, Graph: 3})
}

func TestUsersAndServicePrincipalsAreCachedApart(t *testing.T) {
	server := startServer(t)
	server.AddServicePrincipal(jane, viewers)
	config := config(t)
	config.CacheTTL = time.Minute
	graph := entra.NewGraph(config, entra.GraphOptions{Transport: server.Transport()})
	expectGroups(t, graph, jane, admins, mailing)
	if groups, known, err := graph.Groups(t.Context(), jane, true); err != nil || !known || !slices.Equal(groups, []string{viewers.ID}) {
		t.Errorf("expected the service principal's groups, got %v, %v, %v", groups, known, err)
	}
	expectGroups(t, graph, jane, admins, mailing)
	if requests := server.Requests(); requests.Graph != 2 {
		t.Errorf("expected a request for each, got %+v", requests)
	}
}

func TestErrorsAreNotCached(t *testing.T) {
	server := startServer(t)
	config := config(t)
	config.CacheTTL = time.Hour
	clock := newNow()
	graph := entra.NewGraph(config, entra.GraphOptions{Transport: server.Transport(), Now: clock.Now})
	server.AnswerGraph(entratest.GraphError(http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges."))
	for range 3 { // which asks once a pause
		expectError(t, graph, jane, "Authorization_RequestDenied")
	}
	if requests := server.Requests(); requests.Graph != 1 {
		t.Errorf("expected one request, got %+v", requests)
	}
	server.AnswerGraph(nil)
	clock.pass(time.Second)
	expectGroups(t, graph, jane, admins, mailing)
}

// proxy is one for all tests: net/http reads HTTPS_PROXY once.
var proxy = sync.OnceValues(func() (net.Listener, chan string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	hosts := make(chan string, 1)
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case hosts <- r.Method + " " + r.Host:
			default:
			}
			http.Error(w, "no", http.StatusForbidden)
		}))
	}()
	return listener, hosts
})

func TestWithoutATransportTheProxyOfTheEnvironmentIsUsed(t *testing.T) {
	listener, hosts := proxy()
	t.Setenv("HTTPS_PROXY", "http://"+listener.Addr().String())
	t.Setenv("https_proxy", "http://"+listener.Addr().String())
	t.Setenv("NO_PROXY", "")
	t.Setenv("no_proxy", "")
	expectError(t, entra.NewGraph(config(t), entra.GraphOptions{}), jane, "access token: login.microsoftonline.com: Forbidden")
	if host := <-hosts; host != "CONNECT login.microsoftonline.com:443" {
		t.Errorf("expected the login host to be asked through the proxy, got %q", host)
	}
}

func TestTheFakeRefusesOtherHosts(t *testing.T) {
	server := startServer(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://graph.microsoft.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Transport().RoundTrip(request); err == nil || !strings.Contains(err.Error(), "not a host of Entra's") {
		t.Errorf("expected to be refused, got %v", err)
	}
}

// roundTrip is a transport made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestANetworkErrorIsTold(t *testing.T) {
	broken := roundTrip(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("dial tcp:\nno route to host (%s)", r.Header.Get("Authorization"))
	})
	expectError(t, entra.NewGraph(config(t), entra.GraphOptions{Transport: broken}), jane,
		"access token: login.microsoftonline.com: dial tcp: no route to host")

	server := startServer(t)
	genuine := server.Transport()
	half := roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "graph.microsoft.com" {
			return nil, errors.New("cannot send " + r.Header.Get("Authorization"))
		}
		return genuine.RoundTrip(r)
	})
	expectError(t, entra.NewGraph(config(t), entra.GraphOptions{Transport: half}), jane,
		"graph.microsoft.com: (a text that repeats a secret)")
}

func TestAPanicIsAnErrorOfItsLookupAlone(t *testing.T) {
	server := startServer(t)
	genuine := server.Transport()
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.Path, jane) {
			panic(r.Header.Get("Authorization"))
		}
		return genuine.RoundTrip(r)
	})})
	for range 20 { // more than there are slots
		expectError(t, graph, jane, "look up groups: panic: string")
	}
	expectGroups(t, graph, joe)
}

func TestAPanicWhileAnAccessTokenIsFetchedHoldsUpNobody(t *testing.T) {
	server := startServer(t)
	genuine := server.Transport()
	broken := true
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if broken {
			panic(secret)
		}
		return genuine.RoundTrip(r)
	})})
	expectError(t, graph, jane, "look up groups: panic: ")
	broken = false
	expectGroups(t, graph, jane, admins, mailing)
}

func TestCloseClosesConnectionsThatNobodyUses(t *testing.T) {
	server := startServer(t)
	var opened, closed atomic.Int64
	transport := server.Transport().(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := dial(ctx, network, address)
		opened.Add(1)
		return &countedConn{connection, sync.OnceFunc(func() { closed.Add(1) })}, err
	}
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: transport})
	expectGroups(t, graph, jane, admins, mailing)
	if opened.Load() != 2 || closed.Load() != 0 {
		t.Fatalf("expected a connection to each host, got %d opened and %d closed", opened.Load(), closed.Load())
	}
	graph.Close()
	if closed.Load() != 2 {
		t.Errorf("expected both connections to be closed, got %d", closed.Load())
	}
	expectGroups(t, graph, joe) // by a new one
}

// countedConn tells when it is closed.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}
