package main

import (
	"context"
	"fmt"

	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"

	"tokenreview.dev/webhook/internal/issuertest"
)

// groupsCurve grows what a token holds, and compares with what upstream makes of the same.
func (b *bench) groupsCurve(ctx context.Context, r *report) error {
	entry := b.a.entry
	prefix := ""
	entry.ClaimMappings.Groups = apiserverv1.PrefixedClaimOrExpression{Claim: "groups", Prefix: &prefix}
	configuration, err := documents([]apiserverv1.JWTAuthenticator{entry})
	if err != nil {
		return err
	}
	loaded, rules, err := rulesOf(ctx, configuration)
	if err != nil {
		return err
	}
	defer rules.Issuers.Close(nil)
	authenticator, err := upstreamOf(ctx, loaded)
	if err != nil {
		return err
	}
	var subjects []subject
	var lengths []int
	reviewer := uncached(rules)
	for _, n := range b.sizes.groups {
		token := b.a.issuer.Key().Sign(b.a.token.Claims.With(issuertest.Claims{"groups": manyGroups(n)}))
		lengths = append(lengths, len(token))
		subjects = append(subjects, reviewing(ctx, reviewer, token), authenticating(ctx, authenticator, token))
	}
	times, err := b.onOneCore(ctx, subjects)
	if err != nil {
		return err
	}
	var ours, theirs, faster []sample
	for i := 0; i < len(times); i += 2 {
		ours, theirs = append(ours, times[i]), append(theirs, times[i+1])
		faster = append(faster, times[i+1].over(times[i]))
	}
	last := len(lengths) - 1
	why := fmt.Sprintf("the token grows from %s to %s bytes, and each of its groups is decoded, checked and answered; "+
		"kube-apiserver's own authenticator takes %.1f times as long at the first point and %.1f times at the last",
		thousands(lengths[0]), thousands(lengths[last]), faster[0].median(), faster[last].median())
	r.curves = append(r.curves,
		timeCurve("groups in the token, uncached decision", b.sizes.groups, ours, why),
		timeCurve("the same, kube-apiserver's own authenticator", b.sizes.groups, theirs, "shown for comparison"))
	return nil
}

// manyGroups are as long as the object ids that Entra ID has in groups.
func manyGroups(n int) []string {
	groups := make([]string, n)
	for i := range groups {
		groups[i] = fmt.Sprintf("7c56382f-440d-44bb-8534-%012d", i)
	}
	return groups
}
