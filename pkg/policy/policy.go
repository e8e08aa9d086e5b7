package policy

import (
	"context"
	"time"

	"k8s.io/apiserver/pkg/apis/apiserver"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

// Decision is the outcome for one proven token. The zero value denies.
type Decision struct {
	// User is who the token speaks for, nil unless it is allowed in.
	User *user.DefaultInfo
	// Refusal is why there is no user. Beside an error it says the same.
	Refusal reason.Refusal
	// WouldRefuse is what the policy has recorded and not enforced: what enforcement
	// Audit spared the token, or an onFailure setting that lets tokens in while
	// somebody cannot be asked. It has no bearing on the rest.
	WouldRefuse reason.Refusal
	// Asked is whether somebody else was asked for this decision: Graph for the groups that
	// a token leaves out, or the cluster that issued it; whatever they said.
	Asked bool
}

// Request is one proven token.
type Request struct {
	Claims *issuers.Claims
	// Token is the token itself, for asking the cluster that issued it. It is given
	// to nobody else, and not kept.
	Token string
}

// GroupResolver knows who is in which groups of an Entra tenant. It must be safe
// for concurrent use.
type GroupResolver interface {
	// Groups returns the object ids of the groups that a person or service principal
	// is in, at any remove; the caller must not change them. known is false where the
	// tenant has no such principal. An error means that it cannot be told now.
	Groups(ctx context.Context, objectID string, servicePrincipal bool) (groups []string, known bool, err error)
}

// LivenessChecker asks the cluster that issued a token. It must be safe for
// concurrent use.
type LivenessChecker interface {
	// Check returns why the token is not alive, empty if it is. audiences are the
	// token's own, subject is its sub. An error means that it cannot be told now. It
	// has a method Away() bool that returns true if the reason is that the cluster is
	// away, for whichever token: nothing that its holder has brought about.
	Check(ctx context.Context, token string, audiences []string, subject string) (problem string, err error)
}

// Config is one issuer's rules, already validated.
type Config struct {
	// Authenticator is the issuer's entry of the AuthenticationConfiguration.
	Authenticator apiserver.JWTAuthenticator
	// Expressions are the compiled CEL expressions of Authenticator.
	Expressions authenticationcel.CELMapper
	// Policy is what the issuer's IssuerPolicy says, with its defaults filled in. The
	// zero value checks nothing but reserved names and upstream's own rules.
	Policy v1alpha1.IssuerPolicySpec
	// EntraTenant is the tenant that the issuer's URL names, in lower case, where the
	// issuer is Entra ID; empty for others.
	EntraTenant string
	// Groups is asked where entra.groupOverage is Resolve.
	Groups GroupResolver
	// Liveness is asked where kubernetes.liveness is TokenReview.
	Liveness LivenessChecker
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// Policy decides for the tokens of one issuer. It is immutable and safe for
// concurrent use.
type Policy struct {
	mappings    apiserver.ClaimMappings
	expressions authenticationcel.CELMapper
	required    []requiredClaim
	// ignoreEmailVerified lifts upstream's rule for usernames from the claim email.
	ignoreEmailVerified bool
	// entra is whether the issuer is Entra ID, and overageText what is said of a token
	// whose groups do not fit into it.
	entra              bool
	overageText        string
	allowReservedNames bool
	// auditOnly is whether the policy's own checks are recorded, not enforced.
	auditOnly bool
	checks    []check

	groups   GroupResolver
	liveness LivenessChecker
}

// New compiles rules that have been validated.
func New(config Config) *Policy {
	p := &Policy{
		mappings:            config.Authenticator.ClaimMappings,
		expressions:         withPlainMappers(config.Expressions, &config.Authenticator),
		required:            requiredClaims(config.Authenticator.ClaimValidationRules),
		ignoreEmailVerified: config.Policy.EmailVerified == v1alpha1.EmailVerifiedIgnored,
		entra:               config.EntraTenant != "",
		allowReservedNames:  config.Policy.ReservedNames == v1alpha1.ReservedNamesAllow,
		auditOnly:           config.Policy.Enforcement == v1alpha1.EnforcementAudit,
		groups:              config.Groups,
		liveness:            config.Liveness,
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	p.overageText = overageText
	if p.auditOnly {
		p.overageText = auditOverageText
	}
	p.checks = p.newChecks(&config)
	return p
}

// Asked returns who is asked while a token is decided, each nil for nobody: for a
// policy that follows this one, which can go on with them. p may be nil.
func (p *Policy) Asked() (GroupResolver, LivenessChecker) {
	if p == nil {
		return nil, nil
	}
	return p.groups, p.liveness
}

// review is one token on its way through the checks.
type review struct {
	Request
	// value is the claims as CEL sees them, nil until an expression reads them.
	value *claimsValue
	user  *user.DefaultInfo
	// added is what the policy's own checks add to the user that document 1 makes.
	added addition
	// note is what a check has to say to the trace, where that is not to be seen from
	// its outcome. Checks write it only while traced.
	note   string
	traced bool
	// groupsResolved is whether the claim groups is Graph's answer.
	groupsResolved bool
	// wouldRefuse is the first refusal that was recorded and not enforced.
	wouldRefuse reason.Refusal
	// asked is whether somebody else was asked.
	asked bool
}

// claimsValue is the claims as CEL sees them.
func (r *review) claimsValue() *claimsValue {
	if r.value == nil {
		r.value = &claimsValue{claims: r.Claims}
	}
	return r.value
}

// Decide maps proven claims to a user and applies the rules to both. The first
// check that refuses ends it. An error is a *reason.Unavailable: it cannot be
// decided now, and must not be remembered.
func (p *Policy) Decide(ctx context.Context, request Request, t *trace.Trace) (Decision, error) {
	r := &review{Request: request, user: &user.DefaultInfo{}, traced: t.On()}
	for i := range p.checks {
		c := &p.checks[i]
		recordOnly := c.own && p.auditOnly
		if recordOnly && !r.wouldRefuse.IsZero() {
			continue // As if enforced: the first refusal ends the policy's checks.
		}
		r.note = ""
		refusal, err := c.run(ctx, r)
		if err != nil {
			refusal = reason.Undecided(err)
		}
		switch {
		case refusal.IsZero():
			if t.On() {
				t.Add(c.name, trace.Passed, c.describe(r))
			}
		case recordOnly, err != nil && c.spares != nil && c.spares(err):
			r.wouldRefuse = refusal
			t.Add(c.name, trace.WouldFail, refusal.String())
		default:
			t.Add(c.name, trace.Failed, refusal.Text)
			return Decision{Refusal: refusal, WouldRefuse: r.wouldRefuse, Asked: r.asked}, err
		}
	}
	return Decision{User: r.user, WouldRefuse: r.wouldRefuse, Asked: r.asked}, nil
}
