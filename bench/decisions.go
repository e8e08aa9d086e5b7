package main

import (
	"context"
	"fmt"
)

// decisions compares one decision about one token, on one core, with the check of its
// signature and with upstream's decision.
func (b *bench) decisions(ctx context.Context, r *report) error {
	loaded, rules, err := rulesOf(ctx, b.a.configuration)
	if err != nil {
		return err
	}
	defer rules.Issuers.Close(nil)
	authenticator, err := upstreamOf(ctx, loaded)
	if err != nil {
		return err
	}
	token := b.minter.next()
	signature, err := verifying(b.minter.key, token)
	if err != nil {
		return err
	}
	subjects := []subject{
		signature,
		reviewing(ctx, uncached(rules), token),
		reviewing(ctx, cached(rules), token),
		authenticating(ctx, authenticator, token),
	}
	samples, err := b.onOneCore(ctx, subjects)
	if err != nil {
		return err
	}
	var left []allocated
	for _, s := range subjects {
		counted, err := countAllocations(s)
		if err != nil {
			return err
		}
		left = append(left, counted)
	}
	const ours, remembered, upstream = 1, 2, 3
	r.decided(samples[0], samples[ours], samples[remembered], samples[upstream], left[ours], left[remembered], left[upstream])
	return nil
}

// onOneCore has the subjects take turns on one core.
func (b *bench) onOneCore(ctx context.Context, subjects []subject) ([]sample, error) {
	defer onOneCore()()
	return takeTurns(ctx, b.rounds, b.slice, subjects)
}

func (r *report) decided(signature, uncached, cached, upstream sample, leftUncached, leftCached, leftUpstream allocated) {
	const microsecond = 1000
	times, faster := uncached.over(signature), upstream.over(uncached)
	r.bars = append(r.bars,
		bar{
			what:     "uncached decision, against the check of the signature alone (`rsa.VerifyPKCS1v15`, hash included)",
			must:     "≤ 2.0 ×",
			measured: fmt.Sprintf("%s ×: %s against %s", spread(times), nanoseconds(uncached), nanoseconds(signature)),
			reached:  times.median() <= 2,
		},
		bar{
			what:     "uncached decision, against kube-apiserver's own authenticator",
			must:     "≥ 3 × faster",
			measured: fmt.Sprintf("%s × faster: %s against %s", spread(faster), nanoseconds(uncached), nanoseconds(upstream)),
			reached:  faster.median() >= 3,
		},
		bar{
			what:     "allocations of an uncached decision",
			must:     "≤ 120",
			measured: fmt.Sprintf("%s; upstream's %s", leftUncached, leftUpstream),
			reached:  leftUncached.count <= 120,
		},
		bar{
			what:     "cached decision",
			must:     "≤ 3 µs",
			measured: fmt.Sprintf("%s, which is %s × the check of the signature", nanoseconds(cached), spread(cached.over(signature))),
			reached:  cached.median() <= 3*microsecond,
		},
		bar{
			what:     "allocations of a cached decision",
			must:     "≤ 8",
			measured: leftCached.String(),
			reached:  leftCached.count <= 8,
		},
	)
}
