package config

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The group and version of the kinds in this file.
const (
	Group      = "tokenreview.dev"
	Version    = "v1alpha1"
	APIVersion = Group + "/" + Version

	KindIssuerPolicy         = "IssuerPolicy"
	KindWebhookConfiguration = "WebhookConfiguration"
)

// Metadata is the one part of a Kubernetes object's metadata that means something
// in a file.
type Metadata struct {
	// Name is the object's name.
	Name string `json:"name"`
}

// IssuerPolicy adds to one issuer what upstream's AuthenticationConfiguration
// cannot say. It restricts who gets in and adds groups and extras; it never maps
// the user, which document 1 does alone.
type IssuerPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// Metadata.Name is the issuer's short name in logs, metrics and reasons: a
	// DNS-1123 label, unique in the file. Required.
	Metadata Metadata         `json:"metadata"`
	Spec     IssuerPolicySpec `json:"spec"`
}

// IssuerPolicySpec is what an IssuerPolicy says. In a Config its defaults are
// filled in, so that no reader needs to know them.
type IssuerPolicySpec struct {
	// Issuer is the jwt[].issuer.url of document 1 that the policy is for, to the
	// letter. Required.
	Issuer string `json:"issuer"`
	// Enforcement says whether the policy's own checks refuse or only record.
	// Default Enforce.
	Enforcement Enforcement `json:"enforcement,omitempty"`
	// Keys says where the issuer's keys come from. Default: from its discovery
	// document.
	Keys Keys `json:"keys,omitzero"`
	// Token bounds the token itself.
	Token Token `json:"token,omitzero"`
	// EmailVerified says what becomes of a token whose e-mail address is not
	// verified. Default IfPresent.
	EmailVerified EmailVerified `json:"emailVerified,omitempty"`
	// EmailVerifiedClaim is the claim that says whether the address is verified.
	// Default email_verified (OpenID Connect Core §5.1).
	EmailVerifiedClaim string `json:"emailVerifiedClaim,omitempty"`
	// ReservedNames says whether a user or group may begin with "system:", which
	// is Kubernetes' own. Default Deny.
	ReservedNames ReservedNames `json:"reservedNames,omitempty"`
	// GitHubActions decides by the claims of a GitHub Actions token. Default: no
	// such checks.
	GitHubActions *GitHubActions `json:"githubActions,omitempty"`
	// Entra decides by the claims of a Microsoft Entra ID token. Default: no such
	// checks.
	Entra *Entra `json:"entra,omitempty"`
	// Kubernetes decides by the claims of another cluster's service-account token.
	// Default: no such checks.
	Kubernetes *Kubernetes `json:"kubernetes,omitempty"`
}

// Enforcement is what a policy's own checks do.
type Enforcement string

const (
	// EnforcementEnforce refuses what the policy's checks refuse.
	EnforcementEnforce Enforcement = "Enforce"
	// EnforcementAudit evaluates and records the checks, and refuses nothing.
	EnforcementAudit Enforcement = "Audit"
)

// EmailVerified is what becomes of a token whose e-mail address is not verified.
type EmailVerified string

const (
	// EmailVerifiedRequired wants the claim present and true.
	EmailVerifiedRequired EmailVerified = "Required"
	// EmailVerifiedIfPresent wants the claim true where the token has it, which is
	// upstream's rule for a username from the claim email.
	EmailVerifiedIfPresent EmailVerified = "IfPresent"
	// EmailVerifiedIgnored does not look at the claim.
	EmailVerifiedIgnored EmailVerified = "Ignored"
)

// ReservedNames is what becomes of a user or group that begins with "system:".
type ReservedNames string

const (
	// ReservedNamesDeny refuses the token.
	ReservedNamesDeny ReservedNames = "Deny"
	// ReservedNamesAllow lets the name through, system:masters included.
	ReservedNamesAllow ReservedNames = "Allow"
)

// Keys says where an issuer's keys come from: at most one of JWKS, JWKSFile and
// JWKSURL, and none of them beside document 1's discoveryURL. Without any the
// discovery document names the key set (OpenID Connect Discovery 1.0 §4).
type Keys struct {
	// JWKS is a JSON Web Key Set of public keys, in place (RFC 7517 §5).
	JWKS string `json:"jwks,omitempty"`
	// JWKSFile is the absolute path of such a set, read again when it changes.
	JWKSFile string `json:"jwksFile,omitempty"`
	// JWKSURL is the https URL of such a set, for an issuer without a discovery
	// document.
	JWKSURL string `json:"jwksURL,omitempty"`
	// Algorithms are the accepted signature algorithms (RFC 7518 §3.1, RFC 8037
	// §3.1 for EdDSA). Default: RS, ES and PS with 256, 384 and 512, as upstream;
	// EdDSA must be named.
	Algorithms []string `json:"algorithms,omitempty"`
	// MaxStaleness is how long the last known keys serve while the issuer cannot
	// be reached. Default 24h; never nil in a Config.
	MaxStaleness *metav1.Duration `json:"maxStaleness,omitempty"`
}

// Token bounds the token itself.
type Token struct {
	// MaxLifetime bounds exp - iat (RFC 7519 §4.1.4, §4.1.6). Default: nil, no
	// bound.
	MaxLifetime *metav1.Duration `json:"maxLifetime,omitempty"`
}

// GitHubActions decides by the claims of a GitHub Actions token, never by its sub,
// which an owner can redefine.
type GitHubActions struct {
	// AllowAnyRepository says that whoever can run a workflow anywhere on GitHub
	// may come in. Default false.
	AllowAnyRepository bool `json:"allowAnyRepository,omitempty"`
	// Allow lists who may come in; any rule admits.
	Allow []GitHubActionsRule `json:"allow,omitempty"`
}

// GitHubActionsRule admits a token of which every field given here matches. In
// Repository, Owner, Refs, Environments and Workflows "*" is any run of characters
// but "/", "**" any run, all else is literal, and the whole value must match.
type GitHubActionsRule struct {
	// Repository is OWNER/NAME, the claim repository, in any case.
	Repository string `json:"repository,omitempty"`
	// RepositoryID is the claim repository_id: it survives a rename, and a
	// re-created name does not have it.
	RepositoryID string `json:"repositoryID,omitempty"`
	// Owner is the claim repository_owner, in any case.
	Owner string `json:"owner,omitempty"`
	// OwnerID is the claim repository_owner_id.
	OwnerID string `json:"ownerID,omitempty"`
	// Refs are values of the claim ref, such as refs/heads/main.
	Refs []string `json:"refs,omitempty"`
	// Environments are values of the claim environment.
	Environments []string `json:"environments,omitempty"`
	// Events are values of the claim event_name, such as push.
	Events []string `json:"events,omitempty"`
	// Workflows are values of the claim job_workflow_ref.
	Workflows []string `json:"workflows,omitempty"`
	// RunnerEnvironments are values of the claim runner_environment: github-hosted
	// or self-hosted.
	RunnerEnvironments []string `json:"runnerEnvironments,omitempty"`
	// Visibilities are values of the claim repository_visibility: public, private
	// or internal.
	Visibilities []string `json:"visibilities,omitempty"`
	// Groups are added to the user's groups when this rule admits.
	Groups []string `json:"groups,omitempty"`
}

// Entra decides by the claims of a Microsoft Entra ID token.
type Entra struct {
	// TenantIDs are the accepted values of tid, which must agree with iss. Default:
	// any.
	TenantIDs []string `json:"tenantIDs,omitempty"`
	// ClientIDs are the accepted values of azp (v2) or appid (v1). Default: any.
	ClientIDs []string `json:"clientIDs,omitempty"`
	// AppOnlyTokens says what becomes of a token that stands for no user. Default
	// Deny.
	AppOnlyTokens AppOnlyTokens `json:"appOnlyTokens,omitempty"`
	// GroupOverage says what becomes of a token with more groups than fit into it.
	// Default Deny.
	GroupOverage GroupOverage `json:"groupOverage,omitempty"`
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
	// GroupOverageResolve asks Microsoft Graph for the groups.
	GroupOverageResolve GroupOverage = "Resolve"
)

// Kubernetes decides by the claims of another cluster's service-account token.
type Kubernetes struct {
	// ClusterName names the cluster in the groups and extras that its tokens get: a
	// DNS-1123 label. Required.
	ClusterName string `json:"clusterName"`
	// Allow lists the accounts that may come in; any rule admits. Default: every
	// account of that cluster.
	Allow []KubernetesRule `json:"allow,omitempty"`
	// Liveness says how the token is shown to be alive. Default Signature.
	Liveness Liveness `json:"liveness,omitempty"`
	// Kubeconfig is the absolute path of the kubeconfig with which the issuing
	// cluster is asked. Required for liveness TokenReview, and for nothing else.
	Kubeconfig string `json:"kubeconfig,omitempty"`
}

// KubernetesRule admits a token of which every field given here matches. Namespace
// and ServiceAccount are patterns as in GitHubActionsRule.
type KubernetesRule struct {
	Namespace      string `json:"namespace,omitempty"`
	ServiceAccount string `json:"serviceAccount,omitempty"`
	// UID is the account's uid: a re-created account does not have it.
	UID string `json:"uid,omitempty"`
}

// Liveness is how a service-account token is shown to be alive.
type Liveness string

const (
	// LivenessSignature trusts the signature and exp alone.
	LivenessSignature Liveness = "Signature"
	// LivenessTokenReview also asks the cluster that issued the token, so that
	// deleted pods and accounts lose access.
	LivenessTokenReview Liveness = "TokenReview"
)

// WebhookConfiguration holds what concerns the server and no one issuer. At most
// one to a file; without one everything is at its default.
type WebhookConfiguration struct {
	metav1.TypeMeta `json:",inline"`
	// Metadata.Name is free; it may be left out.
	Metadata Metadata                 `json:"metadata,omitzero"`
	Spec     WebhookConfigurationSpec `json:"spec"`
}

// WebhookConfigurationSpec is what a WebhookConfiguration says.
type WebhookConfigurationSpec struct {
	// DisallowedIssuers are issuers that document 1 must not name: the API server's
	// own service-account issuers, whose tokens reach the webhook after the API
	// server itself has refused them. Default: none.
	DisallowedIssuers []string `json:"disallowedIssuers,omitempty"`
}
