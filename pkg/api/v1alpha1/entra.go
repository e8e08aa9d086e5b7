package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Entra decides by the claims of a Microsoft Entra ID token.
type Entra struct {
	// TenantIDs are the accepted values of tid, which must agree with iss. Default:
	// the tenant in iss.
	TenantIDs []string `json:"tenantIDs,omitempty"`
	// ClientIDs are the accepted values of azp (v2) or appid (v1). Default: any.
	ClientIDs []string `json:"clientIDs,omitempty"`
	// AppOnlyTokens says what becomes of a token that stands for no user. Default
	// Deny.
	AppOnlyTokens AppOnlyTokens `json:"appOnlyTokens,omitempty"`
	// GroupOverage says what becomes of a token with more groups than fit into it.
	// Default Deny.
	GroupOverage GroupOverage `json:"groupOverage,omitempty"`
	// Graph says how Microsoft Graph is asked. Required for groupOverage Resolve, and
	// for nothing else.
	Graph *Graph `json:"graph,omitempty"`
}

// AppOnlyTokens is what becomes of an Entra token that stands for no user.
type AppOnlyTokens string

const (
	AppOnlyTokensDeny  AppOnlyTokens = "Deny"
	AppOnlyTokensAllow AppOnlyTokens = "Allow"
)

// GroupOverage is what becomes of an Entra token that names more groups than fit.
type GroupOverage string

const (
	// GroupOverageDeny refuses the token.
	GroupOverageDeny GroupOverage = "Deny"
	// GroupOverageResolve asks Microsoft Graph for the groups, and puts them where the
	// token would have had them: into the claim groups.
	GroupOverageResolve GroupOverage = "Resolve"
)

// Graph says how Microsoft Graph is asked for the groups of somebody who has too
// many of them for a token. The URLs are the webhook's own; no token names one.
type Graph struct {
	// Cloud is the national cloud of the tenant: Public, USGovernment,
	// USGovernmentDoD or China. Default: as the URLs of the issuer and of its keys say,
	// which cannot tell USGovernmentDoD. Required where they do not say.
	Cloud string `json:"cloud,omitempty"`
	// ClientID is the application as which the webhook signs in to the tenant. It
	// needs the application permissions GroupMember.Read.All and User.ReadBasic.All, and
	// Application.Read.All to look up service principals. Required.
	ClientID string `json:"clientID"`
	// ClientSecretFile is the absolute path of the application's client secret. This
	// or ClientAssertionFile is required.
	ClientSecretFile string `json:"clientSecretFile,omitempty"`
	// ClientAssertionFile is the absolute path of a JWT that the application's
	// federated credential trusts, such as a projected service-account token (RFC
	// 7523 §2.2). It is read again when it is used.
	ClientAssertionFile string `json:"clientAssertionFile,omitempty"`
	// SecurityEnabledOnly leaves out groups that are no security groups, as the claim
	// does for an application whose groupMembershipClaims are SecurityGroup. Default
	// true; never nil in a Config.
	SecurityEnabledOnly *bool `json:"securityEnabledOnly,omitempty"`
	// CacheTTL is how long an answer is remembered, and so for how long a change of
	// membership may go unseen; 0 is not at all. That somebody is not known is remembered
	// for 10s at most. Default 5m; never nil in a Config.
	CacheTTL *metav1.Duration `json:"cacheTTL,omitempty"`
	// OnFailure says what becomes of a token while Graph cannot tell. Default Deny.
	OnFailure GraphFailure `json:"onFailure,omitempty"`
}

// GraphFailure is what becomes of a token whose groups Microsoft Graph cannot tell.
type GraphFailure string

const (
	// GraphFailureDeny answers that it cannot be decided, which is never cached.
	GraphFailureDeny GraphFailure = "Deny"
	// GraphFailureOmitGroups goes on with the claim groups empty: while Graph is away,
	// and also where it refuses the application or has too many groups to tell. Rules
	// that refuse by a group do not refuse then.
	GraphFailureOmitGroups GraphFailure = "OmitGroups"
)
