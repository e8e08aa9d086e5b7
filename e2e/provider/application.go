package provider

import (
	"net/url"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	// redirectURL is where people's kubectl plugins wait for the browser.
	redirectURL     = "http://localhost:8000"
	idTokenLifetime = 5 * time.Minute
)

// application is one that runs on people's own machines, and so has no secret
// (RFC 8252 §8.4): its id.
type application string

var _ op.Client = application("")

func (a application) GetID() string                       { return string(a) }
func (a application) RedirectURIs() []string              { return []string{redirectURL} }
func (a application) PostLogoutRedirectURIs() []string    { return nil }
func (a application) ApplicationType() op.ApplicationType { return op.ApplicationTypeNative }
func (a application) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodNone }
func (a application) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (a application) GrantTypes() []oidc.GrantType         { return []oidc.GrantType{oidc.GrantTypeCode} }
func (a application) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeBearer }
func (a application) IDTokenLifetime() time.Duration       { return idTokenLifetime }
func (a application) DevMode() bool                        { return false }
func (a application) IsScopeAllowed(string) bool           { return false }
func (a application) IDTokenUserinfoClaimsAssertion() bool { return true }
func (a application) ClockSkew() time.Duration             { return 0 }

func (a application) LoginURL(requestID string) string {
	return loginPath + "?id=" + url.QueryEscape(requestID)
}

func (a application) RestrictAdditionalIdTokenScopes() func([]string) []string     { return allScopes }
func (a application) RestrictAdditionalAccessTokenScopes() func([]string) []string { return allScopes }

func allScopes(scopes []string) []string { return scopes }
