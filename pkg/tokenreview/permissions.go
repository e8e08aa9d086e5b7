package tokenreview

import "slices"

// The paths of the endpoints.
const (
	// AuthenticatePath is for kube-apiserver.
	AuthenticatePath = "/authenticate"
	// TokenReviewPath is for auditors, who are told why.
	TokenReviewPath = "/tokenreview"
)

// Permissions say which callers may use which endpoint. The zero value is everybody
// for the API server's, and nobody for the auditors'.
type Permissions struct {
	// Authenticate are those who may use AuthenticatePath; nil is everybody whose request
	// Callers let through.
	Authenticate []CallerRule
	// TokenReview are those who may use TokenReviewPath.
	TokenReview []CallerRule
}

// CallerRule describes callers: every field given must match, to the letter.
type CallerRule struct{ CommonName, Organization, URI string }

// matches reports whether the rule describes the caller. One without fields describes
// nobody.
func (r CallerRule) matches(caller *Caller) bool {
	return r != CallerRule{} &&
		(r.CommonName == "" || r.CommonName == caller.CommonName) &&
		(r.Organization == "" || slices.Contains(caller.Organizations, r.Organization)) &&
		(r.URI == "" || slices.Contains(caller.URIs, r.URI))
}

// permits reports whether a caller may use an endpoint by the rules in force.
func (r *Reviewer) permits(endpoint string, caller *Caller) bool {
	return r.Rules().Permissions.permit(endpoint, caller)
}

// permit reports whether a caller, nil for one of whom nothing is proven, may use an
// endpoint.
func (p *Permissions) permit(endpoint string, caller *Caller) bool {
	rules := p.TokenReview
	if endpoint == AuthenticatePath {
		if p.Authenticate == nil {
			return true
		}
		rules = p.Authenticate
	}
	return caller != nil && slices.ContainsFunc(rules, func(rule CallerRule) bool { return rule.matches(caller) })
}
