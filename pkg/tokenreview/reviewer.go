package tokenreview

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/internal/keyedhash"
	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

// decisionTimeout bounds one review, whatever it has to wait for. kube-apiserver
// gives up after 30 s.
const decisionTimeout = 10 * time.Second

// Rules is who is trusted and what their tokens mean: one configuration, compiled.
// It is immutable.
type Rules struct {
	Issuers *issuers.Set
	// Policies holds each issuer's policy by the issuer's name.
	Policies map[string]*policy.Policy
	// Limits bound what callers take up meanwhile; zero fields are DefaultLimits.
	Limits Limits
	// Permissions say who may ask what.
	Permissions Permissions
	// Decisions says for how long decisions are used again.
	Decisions DecisionCache
	// Now is the clock by which they grow old, time.Now if nil.
	Now func() time.Time
	// Records says what is written down of the tokens of each issuer, by its name, and
	// with the name "" of those of no configured issuer. Zero values are all decisions,
	// and no claims.
	Records map[string]RecordRule
}

// RecordRule is what is written down of some tokens.
type RecordRule struct {
	Level v1alpha1.AuditLevel
	// Claims are the names of claims that are written down of proven tokens, in this order.
	Claims []string
}

// Answer is the outcome of one review. The zero value refuses.
type Answer struct {
	// Issuer is the short name of the issuer configured for the token's iss, empty
	// where the token is none of ours.
	Issuer string
	// Proven is whether Issuer is shown to have signed the token. While it is false,
	// anybody may have written the token.
	Proven bool
	// Signed is what is recorded of the claims that Issuer has signed, whether or not the
	// token is accepted. Zero unless Proven.
	Signed SignedClaims
	// User is who the token speaks for, nil unless it is allowed in.
	User *user.DefaultInfo
	// Audiences are those of the request that the token is for as well.
	Audiences []string
	// Refusal is why there is no user.
	Refusal reason.Refusal
	// WouldRefuse is what the issuer's policy has recorded and not enforced, because
	// of its enforcement: Audit or of an onFailure setting. It has no bearing on the
	// rest.
	WouldRefuse reason.Refusal
	// Undecided means that the refusal holds for this moment only: something needed
	// to decide was missing.
	Undecided bool
	// Overloaded means that nothing was decided, because too many reviews of the
	// issuer's tokens are under way: the caller may try again.
	Overloaded bool
	// Cached is whether it was decided for another request with the same token and
	// audiences.
	Cached bool
}

// SignedClaims are the claims of a proven token that are recorded, empty where it has
// none that is text.
type SignedClaims struct {
	JTI, Subject string
	// Others is an object of those that the issuer's RecordRule names, nil if there are none.
	Others jsontext.Value
}

// Reason is the code of the refusal, or reason.Allowed.
func (a *Answer) Reason() string {
	if a.User != nil {
		return reason.Allowed
	}
	return string(a.Refusal.Code)
}

// Reviewer decides about tokens by the rules in force. It is safe for concurrent
// use.
type Reviewer struct {
	inForce atomic.Pointer[inForce]
	// names are those of tokens and audiences, and of the bodies of requests, in decisions.
	names *keyedhash.Hash
	// requests are those under way, whatever becomes of them.
	requests gate
}

// inForce is rules, and how many reviews by them are under way.
type inForce struct {
	*Rules
	limits    Limits // with defaults filled in
	shares    shares
	decisions *decisions
}

// NewReviewer returns a reviewer that decides by rules.
func NewReviewer(rules *Rules) *Reviewer {
	r := &Reviewer{names: keyedhash.New(nil)}
	r.Use(rules)
	return r
}

// Rules returns the rules in force.
func (r *Reviewer) Rules() *Rules { return r.inForce.Load().Rules }

// auditLevel says which decisions about an issuer's tokens are written down by the rules
// in force.
func (r *Reviewer) auditLevel(issuer string) v1alpha1.AuditLevel {
	return r.Rules().Records[issuer].Level
}

// Use puts other rules in force, for every review that begins from now on.
func (r *Reviewer) Use(rules *Rules) {
	var before shares
	if current := r.inForce.Load(); current != nil {
		before = current.shares
	}
	limits := rules.Limits.orDefault()
	r.inForce.Store(&inForce{Rules: rules, limits: limits, shares: newShares(rules, limits, before), decisions: newDecisions(rules)})
}

// Review decides who token speaks for. audiences are those that the caller asks
// about, and may be empty. The answer may be others' as well, and is not to be changed.
func (r *Reviewer) Review(ctx context.Context, token string, audiences []string, t *trace.Trace) Answer {
	answer, _ := r.review(ctx, token, audiences, t)
	return answer
}

// review is Review, and says which decision was used again if one was that is remembered.
func (r *Reviewer) review(ctx context.Context, token string, audiences []string, t *trace.Trace) (Answer, *decided) {
	rules := r.inForce.Load()
	alone := t.On() || len(token) > maxKeptToken // Whoever asks for the steps wants them taken.
	var name keyedhash.Sum
	if !alone {
		name = r.names.Texts(append([]string{token}, audiences...)...)
		if known, ok := rules.decisions.recall(name); ok {
			return known.answer.again(), known
		}
	}
	patience := newPatience(ctx, decisionTimeout)
	defer patience.cancel()
	ctx = patience
	for {
		decide := func() *decided { return rules.decide(ctx, token, audiences, t) }
		var answer Answer
		if alone {
			answer = decide().answer
		} else {
			answer = rules.decisions.once(ctx, name, decide)
		}
		current := r.inForce.Load()
		if !answer.Undecided || current == rules {
			return answer, nil
		}
		// A change of the rules ends what the old ones were waiting for.
		rules = current
	}
}

// decide decides by what token says.
func (r *inForce) decide(ctx context.Context, token string, audiences []string, t *trace.Trace) *decided {
	verification, err := r.Issuers.Verify(ctx, token, t)
	made := &decided{
		answer: Answer{Proven: verification.Proven, Refusal: verification.Refusal},
		issuer: verification.Issuer, keys: verification.Keys, expiry: verification.Expiry,
		asked: verification.Asked,
	}
	answer := &made.answer
	if verification.Issuer != nil {
		answer.Issuer = verification.Issuer.Name()
	}
	if verification.Signed != nil {
		answer.Signed = recorded(verification.Signed, r.Records[answer.Issuer].Claims)
	}
	if err != nil {
		answer.Undecided = true
		answer.Refusal = reason.Undecided(err)
		return made
	}
	if verification.Claims == nil {
		return made
	}
	// From here on others may be asked, who may hang.
	share := r.shares.issuer[answer.Issuer]
	if !share.enter(r.shares.limit) {
		answer.Overloaded = true
		return made
	}
	defer share.leave()
	request := policy.Request{Claims: verification.Claims, Token: token}
	decision, err := r.Policies[answer.Issuer].Decide(ctx, request, t)
	answer.User, answer.Refusal, answer.WouldRefuse = decision.User, decision.Refusal, decision.WouldRefuse
	answer.Undecided = err != nil
	made.asked = made.asked || decision.Asked
	if answer.User != nil {
		answer.Audiences = commonAudiences(audiences, verification.Claims)
	}
	return made
}

// commonAudiences returns the requested audiences that the token is for. The API
// server takes an empty answer for "valid for the API server", and refuses in
// silence any other that does not meet its own.
func commonAudiences(requested []string, claims *issuers.Claims) []string {
	if len(requested) == 0 {
		return nil
	}
	// The issuers have checked the claim's form.
	granted, _ := claims.Strings("aud")
	var common []string
	for _, audience := range requested {
		if slices.Contains(granted, audience) && !slices.Contains(common, audience) {
			common = append(common, audience)
		}
	}
	return common
}
