package entratest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (s *Server) discoveryPath() string {
	return "/" + s.tenant + "/v2.0/.well-known/openid-configuration"
}

func (s *Server) tokenPath() string { return "/" + s.tenant + "/oauth2/v2.0/token" }

// discovery is the tenant's OpenID Connect discovery document.
func (s *Server) discovery(w http.ResponseWriter, r *http.Request) {
	origin := "https://" + r.Host + "/" + s.tenant
	answer(w, http.StatusOK, map[string]any{
		"issuer":                 origin + "/v2.0",
		"authorization_endpoint": origin + "/oauth2/v2.0/authorize",
		"token_endpoint":         origin + "/oauth2/v2.0/token",
		"jwks_uri":               origin + "/discovery/v2.0/keys",
	})
}

// token is the client credentials grant
// (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code string, number int, text string) {
		LoginError(status, code, number, text).ServeHTTP(w, r)
	}
	if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		refuse(http.StatusBadRequest, "invalid_request", 900561, "The endpoint only accepts POST requests.")
		return
	}
	form := func(name string) string { return r.PostFormValue(name) }
	graphHost := strings.TrimSuffix(strings.TrimPrefix(scope(form("scope")), "https://"), "/.default")
	switch {
	case r.URL.RawQuery != "":
		refuse(http.StatusBadRequest, "invalid_request", 90014, "Parameters belong into the body.")
	case form("grant_type") != "client_credentials":
		refuse(http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
	case form("client_id") != s.clientID:
		refuse(http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier was not found in the directory.")
	case !slices.Contains(loginHosts[r.Host], graphHost):
		refuse(http.StatusBadRequest, "invalid_scope", 1002012, "The provided value for scope is not valid.")
	case form("client_assertion") != "":
		if form("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || !s.accepts(&s.assertions, form("client_assertion")) {
			refuse(http.StatusUnauthorized, "invalid_client", 700213, "No matching federated identity record found for presented assertion subject 'system:serviceaccount:a:b'.")
			return
		}
		s.issue(w, graphHost)
	case form("client_secret") == "":
		refuse(http.StatusUnauthorized, "invalid_client", 7000216, "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.")
	case !s.accepts(&s.secrets, form("client_secret")):
		refuse(http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided.")
	default:
		s.issue(w, graphHost)
	}
}

// scope takes out the scopes of OpenID Connect, which MSAL adds and Entra ignores
// here.
func scope(scopes string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(scopes), func(scope string) bool {
		return scope == "openid" || scope == "offline_access" || scope == "profile"
	}), " ")
}

func (s *Server) accepts(accepted *[]string, credential string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(*accepted, credential)
}

func (s *Server) issue(w http.ResponseWriter, graphHost string) {
	s.mu.Lock()
	s.serial++
	token := fmt.Sprintf("opaque-access-token-%d", s.serial)
	s.tokens[token] = accessToken{graphHost: graphHost, expires: time.Now().Add(s.lifetime)}
	lifetime := int(s.lifetime / time.Second)
	document := map[string]any{"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}
	if s.refreshIn > 0 {
		document["refresh_in"] = int(s.refreshIn / time.Second)
	}
	s.mu.Unlock()
	answer(w, http.StatusOK, document)
}

// LoginError answers as the token endpoint does when it refuses: with an OAuth 2.0
// error (RFC 6749 §5.2) whose description begins with AADSTS and number.
func LoginError(status int, code string, number int, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		const id = "0c4d5a6e-93b8-4a5f-8a0a-1d3c7e5f9b21"
		answer(w, status, map[string]any{
			"error":             code,
			"error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: 2026-01-01 00:00:00Z", number, text, id, id),
			"error_codes":       []int{number}, "timestamp": "2026-01-01 00:00:00Z", "trace_id": id, "correlation_id": id,
			"error_uri": fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", number),
		})
	})
}

func answer(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document)
}
