package entra_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tokenreview.dev/webhook/internal/entratest"
	"tokenreview.dev/webhook/pkg/entra"
)

// withAssertion is a configuration whose credential is a federated token.
func withAssertion(t *testing.T, assertion string) entra.GraphConfig {
	t.Helper()
	config := config(t)
	config.ClientSecretFile = ""
	config.ClientAssertionFile = filepath.Join(t.TempDir(), "assertion")
	writeFile(t, config.ClientAssertionFile, assertion)
	return config
}

func TestAFederatedCredentialIsAccepted(t *testing.T) {
	server := startServer(t)
	server.SetAssertions("assertion-1")
	graph := entra.NewGraph(withAssertion(t, "assertion-1\n"), entra.GraphOptions{Transport: server.Transport()})
	expectGroups(t, graph, jane, admins, mailing)
}

func TestAnAccessTokenIsUsedAgain(t *testing.T) {
	for name, config := range map[string]func(*testing.T) entra.GraphConfig{
		"secret":    config,
		"assertion": func(t *testing.T) entra.GraphConfig { return withAssertion(t, "assertion-1") },
	} {
		t.Run(name, func(t *testing.T) {
			server := startServer(t)
			server.SetAssertions("assertion-1")
			graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport()})
			for range 3 {
				expectGroups(t, graph, jane, admins, mailing)
			}
			expectRequests(t, server, entratest.Requests{Discovery: 1, Token: 1, Graph: 3})
		})
	}
}

func TestAnAccessTokenIsRenewedShortlyBeforeItExpires(t *testing.T) {
	server := startServer(t)
	server.SetTokenLifetime(4 * time.Minute) // less than MSAL's margin of five
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport()})
	expectGroups(t, graph, jane, admins, mailing)
	expectGroups(t, graph, jane, admins, mailing)
	expectRequests(t, server, entratest.Requests{Discovery: 1, Token: 2, Graph: 2})
}

func TestARevokedAccessTokenIsReplacedOnce(t *testing.T) {
	server := startServer(t)
	clock := newNow()
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport(), Now: clock.Now})
	expectGroups(t, graph, jane, admins, mailing)
	server.RevokeTokens()
	expectGroups(t, graph, jane, admins, mailing)
	if requests := server.Requests(); requests.Token != 2 || requests.Graph != 3 {
		t.Errorf("expected a second token and one more attempt, got %+v", requests)
	}

	server.AnswerGraph(entratest.GraphError(http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token validation failure."))
	expectError(t, graph, jane, "graph.microsoft.com answered 401 InvalidAuthenticationToken; next request after 2026-11-22T12:00:01Z")
	if requests := server.Requests(); requests.Token != 3 || requests.Graph != 5 {
		t.Errorf("expected no third attempt, got %+v", requests)
	}
}

func TestAPermissionThatWasGrantedIsNoticed(t *testing.T) {
	server := startServer(t)
	clock := newNow()
	graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport(), Now: clock.Now})
	server.AnswerGraph(entratest.GraphError(http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges."))
	for range 3 { // which asks for no token each time
		expectError(t, graph, jane, "answered 403")
		clock.pass(time.Second)
	}
	clock.pass(time.Minute)
	expectError(t, graph, jane, "answered 403")
	if requests := server.Requests(); requests.Token != 1 {
		t.Errorf("expected one token, got %+v", requests)
	}
	server.AnswerGraph(nil)
	clock.pass(time.Second)
	expectGroups(t, graph, jane, admins, mailing)
	if requests := server.Requests(); requests.Token != 2 {
		t.Errorf("expected a token that knows the new permission, got %+v", requests)
	}
}

func TestARotatedSecretIsUsed(t *testing.T) {
	server := startServer(t)
	config := config(t)
	graph := entra.NewGraph(config, entra.GraphOptions{Transport: server.Transport()})
	expectGroups(t, graph, jane, admins, mailing)
	server.SetSecrets("the-next-secret")
	writeFile(t, config.ClientSecretFile, "the-next-secret")
	expectGroups(t, graph, jane, admins, mailing)
	expectGroups(t, graph, jane, admins, mailing)
	if requests := server.Requests(); requests.Token != 2 {
		t.Errorf("expected one token for each secret, got %+v", requests)
	}
}

func TestARotatedAssertionIsUsedForTheNextAccessToken(t *testing.T) {
	server := startServer(t)
	server.SetAssertions("assertion-1")
	config := withAssertion(t, "assertion-1")
	graph := entra.NewGraph(config, entra.GraphOptions{Transport: server.Transport()})
	expectGroups(t, graph, jane, admins, mailing)
	server.SetAssertions("assertion-2")
	writeFile(t, config.ClientAssertionFile, "assertion-2")
	expectGroups(t, graph, jane, admins, mailing)
	if requests := server.Requests(); requests.Token != 1 {
		t.Errorf("expected the first token to be good still, got %+v", requests)
	}
	server.RevokeTokens()
	expectGroups(t, graph, jane, admins, mailing)
}

func TestACredentialThatIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		config func(*testing.T) entra.GraphConfig
		texts  []string
	}{
		"a wrong secret": {
			func(t *testing.T) entra.GraphConfig {
				config := config(t)
				writeFile(t, config.ClientSecretFile, "wrong-secret-of-somebody")
				return config
			},
			[]string{"look up groups: access token: login.microsoftonline.com answered 401: AADSTS7000215: Invalid client secret provided.; next request after 2026-11-22T12:00:01Z"},
		},
		"an assertion of somebody else": {
			func(t *testing.T) entra.GraphConfig { return withAssertion(t, "assertion-of-somebody-else") },
			[]string{"answered 401: AADSTS700213: No matching federated identity record found for presented assertion subject 'system:serviceaccount:a:b'."},
		},
		"another application": {
			func(t *testing.T) entra.GraphConfig {
				config := config(t)
				config.ClientID = nobody
				return config
			},
			[]string{"answered 400: AADSTS700016: Application"},
		},
		"another tenant": {
			func(t *testing.T) entra.GraphConfig {
				config := config(t)
				config.Tenant = nobody
				return config
			},
			[]string{"answered 400: AADSTS90002: Tenant not found."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := startServer(t)
			graph := entra.NewGraph(test.config(t), entra.GraphOptions{Transport: server.Transport(), Now: newNow().Now})
			expectError(t, graph, jane, test.texts...)
			if requests := server.Requests(); requests.Graph != 0 {
				t.Errorf("expected Graph not to be asked, got %+v", requests)
			}
		})
	}
}

func TestACredentialThatCannotBeRead(t *testing.T) {
	for name, test := range map[string]struct {
		write func(t *testing.T, path string)
		text  string
	}{
		"no file":       {func(*testing.T, string) {}, "no such file or directory"},
		"an empty file": {func(t *testing.T, path string) { writeFile(t, path, " \n") }, "is empty"},
		"a large file":  {func(t *testing.T, path string) { writeFile(t, path, strings.Repeat("assertion-", 7000)) }, "is larger than 65536 bytes"},
		"a directory":   {func(t *testing.T, path string) { mustSucceed(t, os.Mkdir(path, 0o700)) }, "is not a regular file"},
		"a pipe":        {func(t *testing.T, path string) { mustSucceed(t, unix.Mkfifo(path, 0o600)) }, "is not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			server := startServer(t)
			path := filepath.Join(t.TempDir(), "credential")
			test.write(t, path)
			for _, config := range []entra.GraphConfig{
				{Tenant: tenant, Cloud: entra.CloudPublic, ClientID: clientID, ClientSecretFile: path},
				{Tenant: tenant, Cloud: entra.CloudPublic, ClientID: clientID, ClientAssertionFile: path},
			} {
				graph := entra.NewGraph(config, entra.GraphOptions{Transport: server.Transport()})
				expectError(t, graph, jane, "access token: read the application's credential: ", path, test.text)
				if err := graph.CheckFiles(); err == nil || !strings.HasPrefix(err.Error(), "access token: read the application's credential: ") ||
					!strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), test.text) {
					t.Errorf("expected the error to be seen beforehand, got %v", err)
				}
				// Nothing was asked, so nothing has to be waited for.
				mustSucceed(t, os.RemoveAll(path))
				writeFile(t, path, secret)
				server.SetAssertions(secret)
				mustSucceed(t, graph.CheckFiles())
				expectGroups(t, graph, jane, admins, mailing)
				mustSucceed(t, os.RemoveAll(path))
				test.write(t, path)
			}
			if requests := server.Requests(); requests.Token != 2 {
				t.Errorf("expected no request without a credential, got %+v", requests)
			}
		})
	}
}

func mustSucceed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A login host that misbehaves must neither get the credential elsewhere nor into
// an error.
func TestALoginHostThatMisbehaves(t *testing.T) {
	body := func(status int, format string, args ...any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, format, args...)
		}
	}
	document := func(endpoint string) string {
		return fmt.Sprintf(`{"issuer":"https://login.microsoftonline.com/x/v2.0","authorization_endpoint":"https://login.microsoftonline.com/a","token_endpoint":%q}`, endpoint)
	}
	for name, test := range map[string]struct {
		discovery, token http.Handler // nil: genuine
		text             string
		tokens           int
	}{
		"its discovery document names another host":        {discovery: body(200, "%s", document("https://evil.example/token")), text: `not one of the cloud's hosts: "evil.example"`},
		"its discovery document names another cloud":       {discovery: body(200, "%s", document("https://login.microsoftonline.us/"+tenant+"/oauth2/v2.0/token")), text: `not one of the cloud's hosts: "login.microsoftonline.us"`},
		"its discovery document names another port":        {discovery: body(200, "%s", document("https://login.microsoftonline.com:8443/token")), text: `not one of the cloud's hosts: "login.microsoftonline.com:8443"`},
		"its discovery document leads away from https":     {discovery: body(200, "%s", document("http://login.microsoftonline.com/token")), text: "not one of the cloud's hosts"},
		"its discovery document is a redirect":             {discovery: http.RedirectHandler("https://graph.microsoft.com/", http.StatusFound), text: "answered 302"},
		"its discovery document is a web page":             {discovery: body(200, "<html>"), text: "did not answer with the JSON that was expected"},
		"its discovery document names nothing":             {discovery: body(200, "{}"), text: "not found in the openid configuration"},
		"its discovery document has no end":                {discovery: body(200, "%s", strings.Repeat(" ", 2<<20)), text: "longer than 1 MiB"},
		"its discovery document is another issuer's":       {discovery: body(200, `{"issuer":"https://evil.example","authorization_endpoint":"https://login.microsoftonline.com/a","token_endpoint":"https://login.microsoftonline.com/t"}`), text: "https://evil.example"},
		"its discovery document is refused without a word": {discovery: body(500, ""), text: "login.microsoftonline.com answered 500;"},
		"it redirects":                                     {token: http.RedirectHandler("https://graph.microsoft.com/", http.StatusTemporaryRedirect), text: "answered 307", tokens: 1},
		"it answers without end":                           {token: body(200, "%s", strings.Repeat(" ", 2<<20)), text: "longer than 1 MiB", tokens: 1},
		"it refuses without end":                           {token: body(400, "%s", strings.Repeat("x", 2<<20)), text: "longer than 1 MiB", tokens: 1},
		"it answers with broken JSON":                      {token: body(200, `{"access_token":"opaque-access-token","expires_in":}`), text: "did not answer with the JSON that was expected", tokens: 1},
		"it answers with an expiry that is no time":        {token: body(200, `{"access_token":"opaque-access-token","expires_on":"opaque-access-token"}`), text: "did not answer with the JSON that was expected", tokens: 1},
		"it answers without a token":                       {token: body(200, `{"expires_in":3600}`), text: "missing access_token", tokens: 1},
		"it says 500":                                      {token: body(500, "<html>secret-of"), text: "login.microsoftonline.com answered 500;", tokens: 1},
		"it closes the connection":                         {token: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), text: "EOF", tokens: 1},
		"it repeats the request":                           {token: http.HandlerFunc(repeat), text: "login.microsoftonline.com answered 401: (a text that repeats a secret)", tokens: 1},
		"it repeats the request in a success that is none": {token: http.HandlerFunc(repeatInSuccess), text: "(a text that repeats a secret)", tokens: 1},
		"it says more than anybody wants to read":          {token: entratest.LoginError(401, "invalid_client", 7000215, strings.Repeat("long ", 1000)), text: "AADSTS7000215: long long", tokens: 1},
		"it says something that is no AADSTS":              {token: body(400, `{"error":"x","error_description":"secret-of whom"}`), text: "login.microsoftonline.com answered 400;", tokens: 1},
		"it quotes somebody's token":                       {token: entratest.LoginError(401, "invalid_client", 700213, "assertion eyJhbGciOiJSUzI1NiJ9xx.assertion-eyJpc3MiOiJ4In0.c2ln!"), text: "AADSTS700213: assertion [redacted]!", tokens: 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := startServer(t)
			server.AnswerLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				handler := test.token
				if r.Method == http.MethodGet {
					handler = test.discovery
				}
				if handler == nil {
					handler = http.HandlerFunc(server.Genuine)
				}
				handler.ServeHTTP(w, r)
			}))
			graph := entra.NewGraph(config(t), entra.GraphOptions{Transport: server.Transport(), Now: newNow().Now})
			expectError(t, graph, jane, "access token: ", test.text, "; next request after 2026-11-22T12:00:01Z")
			expectRequests(t, server, entratest.Requests{Discovery: 1, Token: test.tokens})
			// Whatever it was, a second is waited before the next request.
			expectError(t, graph, joe, "no request before 2026-11-22T12:00:01Z: ")
			expectRequests(t, server, entratest.Requests{Discovery: 1, Token: test.tokens})
		})
	}
}

// repeat is an error that holds what was sent.
func repeat(w http.ResponseWriter, r *http.Request) {
	entratest.LoginError(http.StatusUnauthorized, "invalid_client", 7000215, "you\r\nsent\x00 "+r.PostFormValue("client_secret")).ServeHTTP(w, r)
}

// repeatInSuccess is a 200 with an error in it, which MSAL reports in its own way.
func repeatInSuccess(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintf(w, `{"expires_in":3600,"error":"x","error_description":%q}`, r.PostFormValue("client_secret"))
}
