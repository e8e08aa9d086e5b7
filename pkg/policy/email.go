package policy

import (
	"context"
	"fmt"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/reason"
)

const (
	claimEmail = "email"
	// claimEmailVerified is the claim of OpenID Connect Core §5.1.
	claimEmailVerified = "email_verified"
	// claimEdov is Entra's optional claim "email domain owner verified".
	claimEdov = "xms_edov"
)

// email refuses tokens whose e-mail address the issuer has not verified.
type email struct {
	claim    string
	required bool
}

// newEmail is what the policy says beyond upstream's rule: nil if nothing.
func newEmail(spec *v1alpha1.IssuerPolicySpec) *email {
	claim := spec.EmailVerifiedClaim
	if claim == "" {
		claim = claimEmailVerified
	}
	switch {
	case spec.EmailVerified == v1alpha1.EmailVerifiedRequired:
		return &email{claim: claim, required: true}
	case spec.EmailVerified != v1alpha1.EmailVerifiedIgnored && claim != claimEmailVerified:
		return &email{claim: claim}
	default:
		return nil
	}
}

func (e *email) check(_ context.Context, r *review) reason.Refusal {
	if !r.Claims.Has(e.claim) {
		if !e.required {
			r.noteVerified(e.claim)
			return reason.Refusal{}
		}
		return reason.Refusal{Code: reason.EmailNotVerified, Text: fmt.Sprintf("the token does not say whether the email is verified: it has no claim %q, and emailVerified is Required", e.claim)}
	}
	verified, err := isVerified(r.Claims, e.claim)
	switch {
	case err != nil:
		return reason.Refusal{Code: reason.EmailNotVerified, Text: e.claim + ": " + err.Error()}
	case !verified:
		return reason.Refusal{Code: reason.EmailNotVerified, Text: fmt.Sprintf("the issuer says that the email is not verified (%s is false)", e.claim)}
	}
	r.noteVerified(e.claim)
	return reason.Refusal{}
}

// checkEmail is upstream's rule for usernames from the claim "email": if the issuer
// says whether it verified the address, it must have. An expression has to say so
// itself, which validation sees to.
func (p *Policy) checkEmail(ctx context.Context, r *review) reason.Refusal {
	if p.mappings.Username.Claim != claimEmail || p.ignoreEmailVerified {
		return reason.Refusal{}
	}
	return (&email{claim: claimEmailVerified}).check(ctx, r)
}

// isVerified reads a claim that says whether an address is verified. It is a
// boolean (OpenID Connect Core §5.1), but for Entra's, which comes as text or a
// number as well.
func isVerified(claims *issuers.Claims, name string) (bool, error) {
	if name == claimEdov {
		switch value, _ := claims.Get(name); string(value) {
		case `"true"`, `"1"`, `1`:
			return true, nil
		case `"false"`, `"0"`, `0`:
			return false, nil
		}
	}
	return claims.Bool(name)
}
