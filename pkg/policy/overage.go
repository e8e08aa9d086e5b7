package policy

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/reason"
)

// claimGroups is the claim in which Entra ID lists a user's groups.
const claimGroups = "groups"

// What to do about a user in too many groups. A policy that only audits does not
// fill them in, and leaves document 1 with a claim that is missing.
const (
	overageText      = overageIs + ": have the webhook ask Microsoft Graph (entra.groupOverage: Resolve), or have Entra put only the groups into the token that are assigned to the application"
	auditOverageText = overageIs + ", and a policy that only audits does not fill them in: set enforcement: Enforce, or have Entra put only the groups into the token that are assigned to the application"
	overageIs        = "the user is in more groups than fit into a token of Entra ID (groups overage), so the token does not say in which"
)

// hasOverage recognises a token of Entra ID that leaves out the user's groups
// because they are too many, over 200 in a JWT and over 5 where it is handed out
// in a URL:
//
//	"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": …}}
//	"hasgroups": true
//	"groups": "src1", "_claim_sources": {"src1": …}, which Microsoft also writes "groups:src1"
//
// The endpoint is often that of a service which has been switched off. Nobody
// follows it.
func hasOverage(claims *issuers.Claims) bool {
	if raw, ok := claims.Get("hasgroups"); ok && (raw.Kind() == 't' || string(raw) == `"true"`) {
		return true
	}
	if claimsMember(claims, "_claim_names", claimGroups) {
		return true
	}
	if value, ok := claims.Get(claimGroups); ok && value.Kind() == '"' && claims.Has("_claim_sources") {
		return true
	}
	return claims.HasPrefix(claimGroups + ":src")
}

// claimsMember reports whether a claim is an object that has the member.
func claimsMember(claims *issuers.Claims, claim, member string) bool {
	raw, ok := claims.Get(claim)
	if !ok || raw.Kind() != '{' {
		return false
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return false
	}
	_, ok = object[member]
	return ok
}

// overage deals with tokens that leave out the user's groups.
type overage struct {
	// resolver is nil where such tokens are refused.
	resolver GroupResolver
	// omitGroups: where Graph cannot tell, there are no groups.
	omitGroups bool
	// auditOnly: Graph is asked, and the answer not used.
	auditOnly bool
}

func (p *Policy) newOverage(config *Config) *overage {
	o := &overage{auditOnly: p.auditOnly}
	if spec := config.Policy.Entra; spec.GroupOverage == v1alpha1.GroupOverageResolve {
		o.resolver = config.Groups
		o.omitGroups = spec.Graph != nil && spec.Graph.OnFailure == v1alpha1.GraphFailureOmitGroups
	}
	return o
}

func (o *overage) check(ctx context.Context, r *review) (reason.Refusal, error) {
	if !hasOverage(r.Claims) {
		if r.traced {
			r.note = "the token leaves out no groups"
		}
		return reason.Refusal{}, nil
	}
	refuse := func(text string) (reason.Refusal, error) {
		return reason.Refusal{Code: reason.GroupOverage, Text: text}, nil
	}
	if o.resolver == nil {
		return refuse(overageText)
	}
	objectID, err := r.Claims.String("oid")
	if err != nil {
		return refuse(fmt.Sprintf("the token leaves out the groups (overage) and does not say whose they are: oid: %v", err))
	}
	r.asked = true
	groups, known, err := o.resolver.Groups(ctx, objectID, appOnlySign(r.Claims) != "")
	if err != nil {
		if o.omitGroups {
			o.use(r, nil)
		}
		return reason.Refusal{}, &reason.Unavailable{Code: reason.ClaimsUnavailable, Err: fmt.Errorf("groups overage: %w", err)}
	}
	if !known {
		return refuse(fmt.Sprintf("Microsoft Graph does not know the object %.100q (oid)", objectID))
	}
	if r.traced {
		r.note = fmt.Sprintf("Microsoft Graph says of oid %.100q: %s", objectID, cmp.Or(some(groups), "no groups"))
	}
	o.use(r, groups)
	return reason.Refusal{}, nil
}

func (o *overage) spares(error) bool { return o.omitGroups }

// use puts groups where the token would have had them.
func (o *overage) use(r *review, groups []string) {
	if o.auditOnly {
		return
	}
	if groups == nil {
		groups = []string{}
	}
	// A list of text cannot fail to be encoded.
	value, _ := json.Marshal(groups)
	r.Claims, r.value = r.Claims.With(claimGroups, jsontext.Value(value)), nil
	r.groupsResolved = true
}
