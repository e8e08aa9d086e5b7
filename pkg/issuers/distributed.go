package issuers

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tokenreview.dev/webhook/internal/redact"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

const (
	// claimsTimeout bounds the fetch of a distributed claim.
	claimsTimeout = 5 * time.Second
	// maxClaimFetches is how many of one issuer's tokens may have a claim fetched at a
	// time: a source that hangs must not hold up the tokens of others.
	maxClaimFetches = 64
)

// claimSource is a member of _claim_sources (OpenID Connect Core §5.6.2).
type claimSource struct {
	Endpoint    string `json:"endpoint"`
	AccessToken string `json:"access_token"`
	// JWT is an aggregated claim, which is read for its form alone.
	JWT string `json:"JWT"`
}

// resolveGroups fetches the groups claim where the token says that it is kept
// elsewhere. The answer must be a JWT by an issuer of this configuration for one
// of the token issuer's audiences; upstream takes whatever issuer it names. asked is
// whether it was to be fetched.
func (s *Set) resolveGroups(ctx context.Context, issuer *Issuer, claims *Claims, t *trace.Trace) (_ *Claims, asked bool, _ reason.Refusal, _ error) {
	if issuer.config.IgnoreClaimSources {
		return claims, false, reason.Refusal{}, nil
	}
	source, refusal := groupsSource(claims, issuer.config.GroupsClaim)
	if !refusal.IsZero() {
		t.Add("distributed claims", trace.Failed, refusal.Text)
		return nil, false, refusal, nil
	}
	if source.Endpoint == "" {
		return claims, false, reason.Refusal{}, nil
	}
	value, refusal, err := s.fetchClaim(ctx, issuer, source)
	switch {
	case err != nil:
		t.Add("distributed claims", trace.Failed, err.Error())
		return nil, true, reason.Refusal{}, err
	case !refusal.IsZero():
		t.Add("distributed claims", trace.Failed, refusal.Text)
		return nil, true, refusal, nil
	}
	if t.On() {
		groups, _ := decodeStrings(value) // The mapping says what else it is.
		t.Add("distributed claims", trace.Passed, fmt.Sprintf("the claim %q, which the token keeps elsewhere, is %s", issuer.config.GroupsClaim, quoteSome(groups)))
	}
	return claims.With(issuer.config.GroupsClaim, value), true, reason.Refusal{}, nil
}

// groupsSource reads _claim_names and _claim_sources. Their form is checked in
// every token, as upstream does; a source is returned only for the groups claim,
// and only where the token does not carry that claim itself. The zero source means
// that there is nothing to fetch, aggregated claims included, which upstream
// ignores too.
func groupsSource(claims *Claims, groupsClaim string) (claimSource, reason.Refusal) {
	malformed := func(text string) (claimSource, reason.Refusal) {
		return claimSource{}, reason.Refusal{Code: reason.TokenMalformed, Text: text}
	}
	rawSources, hasSources := claims.Get("_claim_sources")
	rawNames, hasNames := claims.Get("_claim_names")
	if !hasSources && !hasNames {
		return claimSource{}, reason.Refusal{}
	}
	var sources map[string]claimSource
	if hasSources {
		if err := json.Unmarshal(rawSources, &sources); err != nil {
			return malformed("_claim_sources: expected an object of claim sources")
		}
	}
	if !hasNames {
		return claimSource{}, reason.Refusal{}
	}
	var names map[string]string
	if err := json.Unmarshal(rawNames, &names); err != nil {
		return malformed("_claim_names: expected an object of text")
	}
	for claim, name := range names {
		if _, ok := sources[name]; name == "" || !ok {
			return malformed(fmt.Sprintf("_claim_names: the source of %.50q is missing in _claim_sources", claim))
		}
	}
	if groupsClaim == "" || claims.Has(groupsClaim) {
		return claimSource{}, reason.Refusal{}
	}
	if !hasSources {
		return malformed("_claim_names: there are no _claim_sources")
	}
	name, ok := names[groupsClaim]
	if !ok {
		return claimSource{}, reason.Refusal{}
	}
	return sources[name], reason.Refusal{}
}

func (s *Set) fetchClaim(ctx context.Context, issuer *Issuer, source claimSource) (jsontext.Value, reason.Refusal, error) {
	ctx, cancel := context.WithTimeout(ctx, claimsTimeout)
	defer cancel()
	refuse := func(text string) (jsontext.Value, reason.Refusal, error) {
		return nil, reason.Refusal{Code: reason.MappingFailed, Text: "distributed claim: " + text}, nil
	}
	select {
	case issuer.claimsSlots <- struct{}{}:
		defer func() { <-issuer.claimsSlots }()
	default:
		return nil, reason.Refusal{}, fmt.Errorf("distributed claim: %d others of the issuer are being fetched already", maxClaimFetches)
	}
	// The endpoint is part of the token, so no text names it.
	data, _, err := download(ctx, issuer.claimsClient, "fetch distributed claim", source.Endpoint, source.AccessToken)
	if err != nil {
		return nil, reason.Refusal{}, fmt.Errorf("fetch distributed claim: %s", redact.Line(err.Error(), source.Endpoint))
	}
	untrusted, signer, refusal := s.parse(strings.TrimSpace(string(data)), nil)
	if !refusal.IsZero() {
		return refuse(refusal.Text)
	}
	// As for upstream, it is the endpoint, named in a proven token, that ties the
	// answer to the user, and the answer is for the audiences of that token.
	_, refusal, err = signer.verifySignature(ctx, untrusted, nil)
	if err != nil {
		return nil, reason.Refusal{}, fmt.Errorf("distributed claim: %w", err)
	}
	if refusal.IsZero() {
		_, refusal = signer.checkClaims(untrusted.claims, issuer.config.Audiences, nil)
	}
	if !refusal.IsZero() {
		return refuse(refusal.Text)
	}
	value, ok := untrusted.claims.Get(issuer.config.GroupsClaim)
	if !ok {
		return refuse(fmt.Sprintf("the answer has no claim %q", issuer.config.GroupsClaim))
	}
	return value, reason.Refusal{}, nil
}
