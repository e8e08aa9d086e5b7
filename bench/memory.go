package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	mebibyte = 1 << 20
	// maxMemory is the bar, in bytes.
	maxMemory = 128 * mebibyte
	// segmentTimeout is more than a million tokens take.
	segmentTimeout = time.Hour
)

// memory sends the real process distinct tokens, and looks meanwhile what it takes up.
func (b *bench) memory(ctx context.Context, r *report) error {
	server, err := b.startWebhook(ctx, b.a.configuration)
	if err != nil {
		return err
	}
	defer server.stop()
	all, err := b.newClients(server.server, askers, false)
	if err != nil {
		return err
	}
	defer all.close()
	// ES256, as that is signed fast enough to be signed meanwhile.
	minter, err := newMinter(b.a.elliptic, b.a.token.Claims)
	if err != nil {
		return err
	}
	var seen []resident
	sent := 0
	for _, n := range memoryPoints(b.tokens) {
		speed := "–"
		if n > sent {
			got, err := all.ask(ctx, segmentTimeout, upTo(n-sent, minter))
			if err != nil {
				return err
			}
			speed, sent = perSecond(sample{got.perSecond}), n
		}
		now, err := server.memory()
		if err != nil {
			return err
		}
		seen = append(seen, now)
		r.memory = append(r.memory, []string{thousands(n), mebibytes(now.bytes), mebibytes(now.peak), speed})
	}
	last := seen[len(seen)-1]
	r.bars = append(r.bars, bar{
		what:     fmt.Sprintf("memory (RSS) of the process after %s distinct tokens", thousands(sent)),
		must:     "≤ 128 MiB",
		measured: fmt.Sprintf("%s MiB, at most %s MiB meanwhile", mebibytes(last.bytes), mebibytes(last.peak)),
		reached:  last.bytes <= maxMemory,
	})
	r.curves = append(r.curves, memoryCurve(memoryPoints(b.tokens), seen))
	return nil
}

// memoryPoints are the numbers of tokens after which memory is looked at.
func memoryPoints(tokens int) []int {
	points := []int{0}
	for n := 1000; n < tokens; n *= 10 {
		points = append(points, n)
	}
	return append(points, tokens)
}

func memoryCurve(at []int, seen []resident) curve {
	c := curve{
		what: "distinct tokens over HTTPS, memory (RSS)", first: mebibytes(seen[0].bytes) + " MiB",
		why: "the first requests make what is kept, the caches fill up to their bounds, " +
			"and the garbage collector lets the heap double between its runs",
	}
	for i, one := range seen {
		c.points = append(c.points, point{thousands(at[i]), float64(one.bytes) / float64(seen[0].bytes)})
	}
	return c
}

// upTo signs n tokens while they are asked about.
func upTo(n int, m *minter) func() []byte {
	var taken atomic.Int64
	return func() []byte {
		if taken.Add(1) > int64(n) {
			return nil
		}
		return reviewBody(m.next())
	}
}
