package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/client"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

// SignIn does what a kubectl plugin and a person with a browser do together: the
// authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636), at the endpoints of
// the discovery document. It returns the ID token of an application.
func (p *Provider) SignIn(ctx context.Context, clientID, email string) (string, error) {
	token, err := p.signIn(ctx, clientID, email)
	if err != nil {
		return "", fmt.Errorf("sign in to %s as %s for the client id %q: %w", p.URL, email, clientID, err)
	}
	return token, nil
}

func (p *Provider) signIn(ctx context.Context, clientID, email string) (string, error) {
	discovered, err := client.Discover(ctx, p.URL, p.server.Client())
	if err != nil {
		return "", err
	}
	plugin := oauth2.Config{
		ClientID: clientID,
		Endpoint: oauth2.Endpoint{
			AuthURL:   discovered.AuthorizationEndpoint,
			TokenURL:  discovered.TokenEndpoint,
			AuthStyle: oauth2.AuthStyleInParams,
		},
		RedirectURL: redirectURL,
		Scopes:      []string{oidc.ScopeOpenID, oidc.ScopeEmail},
	}
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	answer, err := p.browse(ctx, plugin.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)), email)
	if err != nil {
		return "", err
	}
	if answer.Get("state") != state {
		return "", errors.New("the answer is to somebody else's request")
	}
	if answer.Get("code") == "" {
		return "", fmt.Errorf("no code but %s: %s", answer.Get("error"), answer.Get("error_description"))
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, p.server.Client())
	tokens, err := plugin.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return "", err
	}
	token, ok := tokens.Extra("id_token").(string)
	if !ok {
		return "", errors.New("the token endpoint answers without an ID token")
	}
	return token, nil
}

// browse is the person with the browser: they follow a link to the login page, sign
// in there, and are sent back to the application with the parameters returned.
func (p *Provider) browse(ctx context.Context, link, email string) (url.Values, error) {
	browser := *p.server.Client()
	browser.CheckRedirect = func(next *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(next.URL.String(), redirectURL) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	// visit returns where the browser ends: at a page, or on its way to the application.
	visit := func(method, address string, form url.Values, want int) (*url.URL, error) {
		req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
		if err != nil {
			return nil, err
		}
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := browser.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != want {
			return nil, fmt.Errorf("%s answers %s: %s", resp.Request.URL.Path, resp.Status, body)
		}
		if want == http.StatusFound {
			return resp.Location()
		}
		return resp.Request.URL, nil
	}

	page, err := visit(http.MethodGet, link, nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	back, err := visit(http.MethodPost, page.String(), url.Values{"email": {email}}, http.StatusFound)
	if err != nil {
		return nil, err
	}
	return back.Query(), nil
}
