package policy

import (
	"context"
	"fmt"

	"k8s.io/apiserver/pkg/apis/apiserver"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/lazy"

	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

// Decision is the outcome for one proven token. The zero value denies.
type Decision struct {
	// User is who the token speaks for, nil unless it is allowed in.
	User *user.DefaultInfo
	// Refusal is why there is no user.
	Refusal reason.Refusal
}

// Config is one issuer's rules, already validated.
type Config struct {
	// Authenticator is the issuer's entry of the AuthenticationConfiguration.
	Authenticator apiserver.JWTAuthenticator
	// Expressions are the compiled CEL expressions of Authenticator.
	Expressions authenticationcel.CELMapper
	// AllowReservedNames lifts the ban on users and groups that begin with
	// "system:".
	AllowReservedNames bool
}

// Policy decides for the tokens of one issuer. It is immutable and safe for
// concurrent use.
type Policy struct {
	mappings    apiserver.ClaimMappings
	expressions authenticationcel.CELMapper
	required    []requiredClaim
	// needsClaimsValue is whether any expression reads the claims.
	needsClaimsValue   bool
	allowReservedNames bool
}

// New compiles rules that have been validated.
func New(config Config) *Policy {
	expressions := config.Expressions
	return &Policy{
		mappings:    config.Authenticator.ClaimMappings,
		expressions: expressions,
		required:    requiredClaims(config.Authenticator.ClaimValidationRules),
		needsClaimsValue: expressions.Username != nil || expressions.Groups != nil || expressions.UID != nil ||
			expressions.Extra != nil || expressions.ClaimValidationRules != nil,
		allowReservedNames: config.AllowReservedNames,
	}
}

// review is one token on its way through the checks.
type review struct {
	claims *issuers.Claims
	// value is the claims as CEL sees them, nil where no expression reads them.
	value *lazy.MapValue
	user  *user.DefaultInfo
}

// check is one step of a decision. It may complete the review's user, or refuse.
type check struct {
	name string
	run  func(context.Context, *review) reason.Refusal
	// detail says for a trace what the check has produced, nil for nothing.
	detail func(*user.DefaultInfo) string
}

// checks are the steps of a decision in upstream's order, mappings before rules,
// and ours after them.
func (p *Policy) checks() [8]check {
	return [...]check{
		{"username", p.mapUsername, func(u *user.DefaultInfo) string { return u.Name }},
		{"groups", p.mapGroups, func(u *user.DefaultInfo) string { return fmt.Sprintf("%q", u.Groups) }},
		{"uid", p.mapUID, func(u *user.DefaultInfo) string { return u.UID }},
		{"extra", p.mapExtra, func(u *user.DefaultInfo) string { return fmt.Sprintf("%q", u.Extra) }},
		{"required claims", p.checkRequiredClaims, nil},
		{"claimValidationRules", p.checkClaimRules, nil},
		{"userValidationRules", p.checkUserRules, nil},
		{"reservedNames", p.checkReservedNames, nil},
	}
}

// Decide maps proven claims to a user and applies the rules to both. The first
// check that refuses ends it.
func (p *Policy) Decide(ctx context.Context, claims *issuers.Claims, t *trace.Trace) Decision {
	r := &review{claims: claims, user: &user.DefaultInfo{}}
	if p.needsClaimsValue {
		r.value = newClaimsValue(claims)
	}
	for _, check := range p.checks() {
		refusal := check.run(ctx, r)
		if !refusal.IsZero() {
			t.Add(check.name, trace.Failed, refusal.Text)
			return Decision{Refusal: refusal}
		}
		if !t.On() {
			continue
		}
		detail := ""
		if check.detail != nil {
			detail = check.detail(r.user)
		}
		t.Add(check.name, trace.Passed, detail)
	}
	return Decision{User: r.user}
}
