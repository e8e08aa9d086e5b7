package entra

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"

	"tokenreview.dev/webhook/internal/redact"
	"tokenreview.dev/webhook/internal/resend"
	"tokenreview.dev/webhook/internal/span"
)

const (
	// maxGroups is how many groups getMemberGroups returns at most.
	maxGroups = 11000
	// permissionsAge is how old an access token must be for another one to be worth
	// asking for when permission is missing: it may have been granted since.
	permissionsAge = time.Minute
)

// path is that of getMemberGroups
// (https://learn.microsoft.com/graph/api/directoryobject-getmembergroups).
func (p principal) path() string {
	kind := "users"
	if p.service {
		kind = "servicePrincipals"
	}
	return "/v1.0/" + kind + "/" + p.objectID + "/getMemberGroups"
}

// ask sends one request, and a second one if Graph does not accept the access
// token: it may have been revoked before its time.
func (g *Graph) ask(ctx context.Context, who principal) (answer, error) {
	for attempt := 1; ; attempt++ {
		token, err := g.tokens.get(ctx)
		if err != nil {
			return answer{}, err
		}
		response, err := g.post(ctx, who, token)
		if err != nil {
			text := fmt.Sprintf("%s: %s", g.config.Cloud.GraphHost(), redact.Line(redact.Cause(err).Error(), token))
			if response.connected || ctx.Err() != nil {
				return answer{}, g.pause.beginFor(who, text)
			}
			return answer{}, g.pause.begin(defaultPause, text)
		}
		switch response.status {
		case http.StatusUnauthorized:
			err = g.tokens.forget(ctx, token, 0)
		case http.StatusForbidden:
			// A token knows the permissions of when it was issued.
			err = g.tokens.forget(ctx, token, permissionsAge)
		}
		if err != nil {
			return answer{}, err
		}
		if response.status != http.StatusUnauthorized || attempt > 1 {
			return g.read(response, who)
		}
	}
}

// graphResponse is an answer of Graph's, its body read.
type graphResponse struct {
	// connected is whether Graph was reached, also where there is no answer.
	connected bool

	status int
	header http.Header
	body   []byte
}

func (g *Graph) post(ctx context.Context, who principal, token string) (_ graphResponse, err error) {
	// Its name and attributes say nothing of whom Graph is asked about.
	ctx, step := span.Ask(ctx, "getMemberGroups")
	defer func() { step.End(err) }()
	step.Set(semconv.ServerAddress(g.config.Cloud.GraphHost()))
	body, err := json.Marshal(map[string]bool{"securityEnabledOnly": g.config.SecurityEnabledOnly})
	if err != nil {
		return graphResponse{}, err
	}
	target := url.URL{Scheme: "https", Host: g.config.Cloud.GraphHost(), Path: who.path()}
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return graphResponse{}, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", userAgent)
	resend.Once(request)
	response, err := g.client.Do(request)
	if err != nil {
		return graphResponse{connected: connected.Load()}, err
	}
	defer func() { _ = response.Body.Close() }()
	step.Answered(response.StatusCode)
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return graphResponse{connected: true}, fmt.Errorf("read the answer: %w", err)
	}
	return graphResponse{connected: true, status: response.StatusCode, header: response.Header, body: data}, nil
}

// read makes an answer, or the right error, of what Graph said. What may be wrong with
// one principal alone begins no pause of all, which would keep all others out.
func (g *Graph) read(response graphResponse, who principal) (answer, error) {
	text := fmt.Sprintf("%s answered %d", g.config.Cloud.GraphHost(), response.status)
	code := errorCode(response.body)
	if code != "" {
		text += " " + code
	}
	switch response.status {
	case http.StatusOK:
		groups, err := parseGroups(response.body)
		if err != nil {
			return answer{}, g.pause.beginFor(who, fmt.Sprintf("%s: %v", text, err))
		}
		return answer{groups: groups, known: true}, nil
	case http.StatusNotFound:
		// Any other 404 is not of Graph's directory, but of something on the way to it.
		if code == "Request_ResourceNotFound" {
			return answer{}, nil
		}
	case http.StatusForbidden:
		permissions := "permissions GroupMember.Read.All and User.ReadBasic.All"
		if who.service {
			permissions = "permission Application.Read.All"
		}
		return answer{}, g.pause.beginFor(who, fmt.Sprintf("%s: grant application %s the application %s for Microsoft Graph, with an administrator's consent", text, g.config.ClientID, permissions))
	case http.StatusBadRequest:
		if code == "Directory_ResultSizeLimitExceeded" {
			text += fmt.Sprintf(": a member of more than %d groups, which is more than getMemberGroups returns", maxGroups)
		}
	case http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return answer{}, g.pause.begin(g.pause.retryAfter(response.header), text)
	}
	if response.status >= http.StatusInternalServerError && response.header.Get("Retry-After") != "" {
		return answer{}, g.pause.begin(g.pause.retryAfter(response.header), text)
	}
	return answer{}, g.pause.beginFor(who, text)
}

// parseGroups reads the answer of getMemberGroups: all of it or nothing.
func parseGroups(body []byte) ([]string, error) {
	var document struct {
		Value    *[]string `json:"value"`
		NextLink string    `json:"@odata.nextLink"`
	}
	// The error of a decoder may quote its input.
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, errors.New("not the JSON that was expected")
	}
	switch {
	case document.Value == nil:
		return nil, errors.New("it has no value")
	case document.NextLink != "":
		return nil, errors.New("it is only a part of the groups")
	case len(*document.Value) > maxGroups:
		return nil, fmt.Errorf("it has %d groups, more than %d", len(*document.Value), maxGroups)
	}
	groups := make([]string, 0, len(*document.Value))
	for _, group := range *document.Value {
		if !IsGUID(group) {
			return nil, errors.New("a group's id is not a GUID")
		}
		groups = append(groups, strings.ToLower(group))
	}
	return groups, nil
}

// graphCode is what Graph's error codes look like; anything else is not repeated.
var graphCode = regexp.MustCompile(`^[A-Za-z0-9_.]{1,64}$`)

// errorCode is the code of a Graph error
// (https://learn.microsoft.com/graph/errors), or "".
func errorCode(body []byte) string {
	var document struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	if err := json.Unmarshal(body, &document); err != nil || !graphCode.MatchString(document.Error.Code) {
		return ""
	}
	return document.Error.Code
}
