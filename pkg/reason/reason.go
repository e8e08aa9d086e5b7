// Package reason is the closed vocabulary of why a token was not accepted.
//
// The same word appears in status.error, in the log, in the metric label and in
// an explanation, so that whoever meets one can look it up in the others. Words may
// be added; none changes its meaning.
package reason

import "errors"

// Code is one word of the closed list below.
type Code string

const (
	// TokenMalformed: the token is not a signed JWT in compact serialization
	// (RFC 7515 §3.1, RFC 7519 §7.2), or a registered claim has the wrong type.
	TokenMalformed Code = "TokenMalformed"
	// IssuerUnknown: the token's iss is not one that the configuration trusts.
	IssuerUnknown Code = "IssuerUnknown"
	// AlgorithmNotAllowed: the header's alg is not one that the configuration
	// allows for this issuer (RFC 8725 §3.1).
	AlgorithmNotAllowed Code = "AlgorithmNotAllowed"
	// KeyUnknown: the issuer publishes no usable key with the token's kid.
	KeyUnknown Code = "KeyUnknown"
	// SignatureInvalid: the issuer's key did not make this signature.
	SignatureInvalid Code = "SignatureInvalid"
	// KeysUnavailable: the issuer's keys could not be had, so nothing is known of
	// the token. Never cached.
	KeysUnavailable Code = "KeysUnavailable"
	// ClaimsUnavailable: the token is proven, but claims that it keeps elsewhere could
	// not be fetched: distributed claims (OpenID Connect Core §5.6.2), or the groups
	// that Microsoft Graph knows. Never cached.
	ClaimsUnavailable Code = "ClaimsUnavailable"
	// AudienceMismatch: no aud of the token is one of the issuer's audiences.
	AudienceMismatch Code = "AudienceMismatch"
	// Expired: exp has passed, or is missing.
	Expired Code = "Expired"
	// NotYetValid: nbf lies more than a minute ahead.
	NotYetValid Code = "NotYetValid"
	// LifetimeTooLong: exp - iat is above token.maxLifetime, or exp - now where iat
	// lies ahead; or there is no iat.
	LifetimeTooLong Code = "LifetimeTooLong"
	// MappingFailed: a claim or expression did not produce the user, its groups,
	// uid or extras.
	MappingFailed Code = "MappingFailed"
	// EmailNotVerified: the issuer says that the e-mail address is not verified, where
	// that counts: for a username from the claim email, or by emailVerifiedClaim; or
	// emailVerified is Required and the issuer does not say that it is.
	EmailNotVerified Code = "EmailNotVerified"
	// RepositoryNotAllowed: no rule of githubActions.allow admits the token.
	RepositoryNotAllowed Code = "RepositoryNotAllowed"
	// TenantNotAllowed: tid is not one of entra.tenantIDs, or not the tenant in iss.
	TenantNotAllowed Code = "TenantNotAllowed"
	// ClientNotAllowed: the application that obtained the token is not one of
	// entra.clientIDs.
	ClientNotAllowed Code = "ClientNotAllowed"
	// AppOnlyToken: the token stands for an application and no user.
	AppOnlyToken Code = "AppOnlyToken"
	// GroupOverage: the user is in more groups than fit into a token of Entra ID, so
	// that the token does not say in which.
	GroupOverage Code = "GroupOverage"
	// ServiceAccountNotAllowed: no rule of kubernetes.allow admits the token, or it is
	// no bound service-account token.
	ServiceAccountNotAllowed Code = "ServiceAccountNotAllowed"
	// ClaimRuleFailed: a claimValidationRules entry did not hold.
	ClaimRuleFailed Code = "ClaimRuleFailed"
	// UserRuleFailed: a userValidationRules entry did not hold.
	UserRuleFailed Code = "UserRuleFailed"
	// ReservedName: the user or a group would begin with "system:".
	ReservedName Code = "ReservedName"
	// NotLive: the cluster that issued the token does not honour it any more, or not
	// for this account and one of its audiences.
	NotLive Code = "NotLive"
	// LivenessUnavailable: the token is proven, but the cluster that issued it could
	// not be asked whether it is still alive. Never cached.
	LivenessUnavailable Code = "LivenessUnavailable"
)

// Allowed is what stands in a metric label or log line in a code's place when
// the token was accepted. It is not the code of a refusal.
const Allowed = "Allowed"

// Codes lists every code a decision can carry, in the order in which the checks
// run.
func Codes() []Code {
	return []Code{
		TokenMalformed, IssuerUnknown, AlgorithmNotAllowed, KeysUnavailable, KeyUnknown, SignatureInvalid,
		AudienceMismatch, Expired, NotYetValid, ClaimsUnavailable, LifetimeTooLong, EmailNotVerified,
		RepositoryNotAllowed, TenantNotAllowed, ClientNotAllowed, AppOnlyToken, GroupOverage,
		ServiceAccountNotAllowed, MappingFailed, ClaimRuleFailed, UserRuleFailed, ReservedName, NotLive,
		LivenessUnavailable,
	}
}

// Refusal says why a token was not accepted. The zero value refuses nothing.
type Refusal struct {
	Code Code
	// Text is one sentence for people. It may name claims and their values, never
	// the token or a part of it.
	Text string
}

// IsZero reports whether r refuses nothing.
func (r Refusal) IsZero() bool { return r.Code == "" }

// String is "text (Code)".
func (r Refusal) String() string {
	if r.IsZero() {
		return ""
	}
	return r.Text + " (" + string(r.Code) + ")"
}

// Unavailable is the error of whoever cannot tell good tokens from bad because
// something needed for that could not be had.
type Unavailable struct {
	// Code is KeysUnavailable, ClaimsUnavailable or LivenessUnavailable.
	Code Code
	Err  error
}

func (e *Unavailable) Error() string { return e.Err.Error() }
func (e *Unavailable) Unwrap() error { return e.Err }

// Undecided is what err says, in the form of a refusal: that of an *Unavailable.
func Undecided(err error) Refusal {
	code := KeysUnavailable
	var unavailable *Unavailable
	if errors.As(err, &unavailable) {
		code = unavailable.Code
	}
	return Refusal{Code: code, Text: err.Error()}
}
