// Package v1alpha1 holds our own kinds, their fields and what these mean: those with
// which the webhook's configuration file adds to upstream's
// AuthenticationConfiguration, and PolicyTest.
//
// Package config decodes and validates the former and fills in defaults, and
// packages policy and issuers do what they say; internal/policytest reads and runs
// the latter.
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The group and version of the kinds in this package.
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
	// Default email_verified (OpenID Connect Core §5.1). Another one must, with
	// IfPresent, be true where the token has it, whatever the username.
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
	// Audit says what is written down of the decisions about the issuer's tokens.
	Audit IssuerAudit `json:"audit,omitzero"`
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
	// MaxLifetime bounds exp - iat (RFC 7519 §4.1.4, §4.1.6); where iat lies more than
	// a minute ahead, exp - now. Default: nil, no bound.
	MaxLifetime *metav1.Duration `json:"maxLifetime,omitempty"`
}
