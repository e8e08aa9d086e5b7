package main

import (
	"context"
	"fmt"

	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// rulesOf compiles a configuration and waits for its keys. Whoever has the rules closes
// their issuers.
func rulesOf(ctx context.Context, data []byte) (*config.Config, *tokenreview.Rules, error) {
	loaded, err := config.Parse("bench.yaml", data)
	if err != nil {
		return nil, nil, err
	}
	rules, err := loaded.Build(nil, config.Options{})
	if err != nil {
		return nil, nil, err
	}
	rules.Issuers.AwaitFirstFetch(ctx)
	for _, status := range rules.Issuers.Statuses() {
		if status.Err != nil {
			rules.Issuers.Close(nil)
			return nil, nil, fmt.Errorf("issuer %s: %w", status.Name, status.Err)
		}
	}
	return loaded, rules, nil
}

// uncached decides anew about each token.
func uncached(rules *tokenreview.Rules) *tokenreview.Reviewer {
	without := *rules
	without.Decisions = tokenreview.DecisionCache{}
	return tokenreview.NewReviewer(&without)
}

// cached remembers decisions as the configuration says.
func cached(rules *tokenreview.Rules) *tokenreview.Reviewer {
	return tokenreview.NewReviewer(rules)
}

// review decides about a token that has to be accepted.
func review(ctx context.Context, reviewer *tokenreview.Reviewer, token string) error {
	answer := reviewer.Review(ctx, token, nil, nil)
	if answer.User == nil {
		return fmt.Errorf("a good token is refused: %s", answer.Refusal)
	}
	return nil
}

// reviewing is the decision about one token, again and again.
func reviewing(ctx context.Context, reviewer *tokenreview.Reviewer, token string) subject {
	return func() error { return review(ctx, reviewer, token) }
}
