package main

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// askers is how many clients ask at the same time, but for the curve of connections.
const askers = 16

// always asks about the same token.
func always(token string) func() []byte {
	body := reviewBody(token)
	return func() []byte { return body }
}

// https compares the real process with the server that answers without looking. What must
// be reached is measured as API servers ask: each has one connection, for all requests.
func (b *bench) https(ctx context.Context, r *report) error {
	null, err := b.startNull(ctx)
	if err != nil {
		return err
	}
	defer null.stop()
	tokens := &fresh{}
	for _, share := range []bool{true, false} {
		results, err := b.compareOverHTTPS(ctx, null, share, tokens)
		if err != nil {
			return err
		}
		how := fmt.Sprintf("%d clients, each with a connection", askers)
		if share {
			how = fmt.Sprintf("%d clients over one connection, as an API server asks", askers)
			r.overHTTPS(results[0], results[1], results[2])
		}
		r.asked(how, results)
	}
	return nil
}

// compareOverHTTPS returns what came of the null server, of one token again and again, and
// of tokens that are all new to a process that has just begun.
func (b *bench) compareOverHTTPS(ctx context.Context, null *server, share bool, tokens *fresh) ([]turns, error) {
	webhook, err := b.startWebhook(ctx, b.a.configuration)
	if err != nil {
		return nil, err
	}
	defer webhook.stop()
	nulls, err := b.newClients(null, askers, share)
	if err != nil {
		return nil, err
	}
	defer nulls.close()
	ours, err := b.newClients(webhook.server, askers, share)
	if err != nil {
		return nil, err
	}
	defer ours.close()
	if err := b.prepare(ctx, tokens, ours); err != nil {
		return nil, err
	}
	same := always(b.minter.next())
	all := []asked{{clients: nulls, body: same}, {clients: ours, body: same}}
	// Connections are made, and what is made the first time is.
	if _, err := takeTurnsAsking(ctx, 1, b.request(), all); err != nil {
		return nil, err
	}
	return takeTurnsAsking(ctx, b.requestRounds(), b.request(), append(all, asked{clients: ours, body: tokens.next, before: tokens.begin}))
}

// fresh are tokens that are signed before they are sent, each sent once.
type fresh struct {
	bodies   [][]byte
	perRound int64
	// taken is how many are used, end how many may be by the end of this round.
	taken atomic.Int64
	end   int64
}

// prepare signs tokens, what is likely to be enough for the rounds, unless they are
// signed already: to another process they are as good as new. A round that runs out of
// them is shorter, which changes nothing.
func (b *bench) prepare(ctx context.Context, tokens *fresh, ours *clients) error {
	const tried = 20 * askers
	try := &fresh{bodies: b.bodies(tried), perRound: tried}
	try.begin()
	got, err := ours.ask(ctx, time.Minute, try.next)
	if err != nil {
		return err
	}
	tokens.end = 0
	if tokens.bodies != nil {
		return nil
	}
	perRound := max(askers, int(math.Ceil(1.25*got.perSecond*b.request().Seconds())))
	say("Signing %s tokens", thousands(perRound*b.requestRounds()))
	tokens.bodies, tokens.perRound = b.bodies(perRound*b.requestRounds()), int64(perRound)
	return nil
}

func (b *bench) bodies(n int) [][]byte {
	bodies := make([][]byte, n)
	for i, token := range b.minter.many(n) {
		bodies[i] = reviewBody(token)
	}
	return bodies
}

// begin begins a round with what none before has used.
func (f *fresh) begin() {
	f.taken.Store(f.end)
	f.end += f.perRound
}

func (f *fresh) next() []byte {
	i := f.taken.Add(1) - 1
	if i >= f.end {
		return nil
	}
	return f.bodies[i]
}

func (r *report) overHTTPS(null, same, fresh turns) {
	for _, one := range []struct {
		what  string
		turns turns
		least float64
	}{
		{"one token repeated", same, 0.9},
		{"every token new", fresh, 0.6},
	} {
		throughput, p99 := one.turns.perSecond.over(null.perSecond), one.turns.p99.over(null.p99)
		r.bars = append(r.bars,
			bar{
				what:     "HTTPS throughput, " + one.what,
				must:     fmt.Sprintf("≥ %.2f of the null server's", one.least),
				measured: fmt.Sprintf("%s: %s against %s", spread(throughput), perSecond(one.turns.perSecond), perSecond(null.perSecond)),
				reached:  throughput.median() >= one.least,
			},
			bar{
				what:     "p99 meanwhile, " + one.what,
				must:     "≤ 2 × the null server's",
				measured: fmt.Sprintf("%s ×: %s against %s", spread(p99), nanoseconds(one.turns.p99), nanoseconds(null.p99)),
				reached:  p99.median() <= 2,
			})
	}
}

// asked adds the rows of those who were asked in one way, the null server first.
func (r *report) asked(how string, results []turns) {
	null := results[0]
	for i, what := range []string{"null server", "one token repeated", "every token new"} {
		got := results[i]
		r.https = append(r.https, []string{
			how, what, perSecond(got.perSecond), spread(got.perSecond.over(null.perSecond)),
			nanoseconds(got.p50), nanoseconds(got.p99), spread(got.p99.over(null.p99)), nanoseconds(got.processor),
		})
	}
}
