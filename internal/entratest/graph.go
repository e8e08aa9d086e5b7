package entratest

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// maxGroups is how many groups getMemberGroups returns at most.
const maxGroups = 11000

type directoryObject struct{ groups []Group }

// memberGroups is POST /v1.0/{users|servicePrincipals}/{id}/getMemberGroups
// (https://learn.microsoft.com/graph/api/directoryobject-getmembergroups).
func (s *Server) memberGroups(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code, text string) { GraphError(status, code, text).ServeHTTP(w, r) }
	path, ok := strings.CutPrefix(r.URL.Path, "/v1.0/")
	path, action := strings.CutSuffix(path, "/getMemberGroups")
	var body struct {
		SecurityEnabledOnly *bool `json:"securityEnabledOnly"`
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	switch {
	case !s.authorized(r):
		refuse(http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token is empty, expired or not valid.")
		return
	case !ok || !action || r.Method != http.MethodPost || r.URL.RawQuery != "":
		refuse(http.StatusBadRequest, "BadRequest", "Resource not found for the segment.")
		return
	case r.Header.Get("Content-Type") != "application/json", decoder.Decode(&body) != nil, body.SecurityEnabledOnly == nil:
		refuse(http.StatusBadRequest, "Request_BadRequest", "Unable to read JSON request payload.")
		return
	}
	s.mu.Lock()
	object, ok := s.directory[strings.ToLower(path)]
	s.mu.Unlock()
	if !ok {
		refuse(http.StatusNotFound, "Request_ResourceNotFound", "Resource '"+path+"' does not exist or one of its queried reference-property objects are not present.")
		return
	}
	groups := []string{}
	for _, group := range object.groups {
		if group.SecurityEnabled || !*body.SecurityEnabledOnly {
			groups = append(groups, group.ID)
		}
	}
	if len(groups) > maxGroups {
		refuse(http.StatusBadRequest, "Directory_ResultSizeLimitExceeded", "The result size limit was exceeded.")
		return
	}
	answer(w, http.StatusOK, map[string]any{"@odata.context": "https://" + r.Host + "/v1.0/$metadata#Collection(Edm.String)", "value": groups})
}

// authorized reports whether the request has an access token for this Graph that is
// still good.
func (s *Server) authorized(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	issued := s.tokens[token]
	return ok && issued.graphHost == r.Host && time.Now().Before(issued.expires)
}

// GraphError answers with an error of Graph's
// (https://learn.microsoft.com/graph/errors).
func GraphError(status int, code, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, status, map[string]any{"error": map[string]any{"code": code, "message": text, "innerError": map[string]any{
			"date": "2026-01-01T00:00:00", "request-id": "0c4d5a6e-93b8-4a5f-8a0a-1d3c7e5f9b21", "client-request-id": "0c4d5a6e-93b8-4a5f-8a0a-1d3c7e5f9b21",
		}}})
	})
}

// Throttled answers 429 as Graph does
// (https://learn.microsoft.com/graph/throttling), with a Retry-After unless it is
// empty.
func Throttled(retryAfter string) http.Handler {
	return Unavailable(http.StatusTooManyRequests, "TooManyRequests", retryAfter)
}

// Unavailable answers with an error and, unless it is empty, a Retry-After.
func Unavailable(status int, code, retryAfter string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		GraphError(status, code, "Too many requests.").ServeHTTP(w, r)
	})
}
