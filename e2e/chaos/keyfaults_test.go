package chaos

import (
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
)

const (
	// floodTokens come from floodWorkers, as fast as they are answered. These are more than
	// may wait for the keys at a time.
	floodTokens  = 10_000
	floodWorkers = 250
	// floodFetches is how often they may have the webhook ask the issuer, and once more for
	// each floodInterval that it takes a slow machine to answer them all.
	floodFetches  = 2
	floodInterval = 10 * time.Second
)

// keyFaults are about keys that the webhook does not know yet, or never will.
func keyFaults() []fault {
	return []fault{
		{name: "an issuer rotates its keys every second", load: "usual, and one worker with random kids of the issuer", provoke: rotating},
		{name: "10,000 forged tokens with random kids arrive", load: "usual, and 250 workers without a pause", provoke: flooded},
	}
}

func rotating(t *testing.T, b *bench) {
	b.start(t, cluster.Launch{})
	b.load.begin(&stream{name: "tokens forged under random kids", workers: 1, next: b.forger.randomKey(b.target), waits: true})
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	over := time.After(*duration)
	for rotations := 1; ; rotations++ {
		b.target.rotate(t)
		b.load.carriesOn(t, 0)
		select {
		case <-over:
			t.Logf("%d rotations", rotations)
			return
		case <-ticker.C:
		}
	}
}

func flooded(t *testing.T, b *bench) {
	b.start(t, cluster.Launch{})
	// Signed before, so that the flood is as fast as it can be.
	forge := b.forger.randomKey(b.target)
	var tokens [floodTokens]question
	for n := range tokens {
		tokens[n] = forge(int64(n))
	}
	flood := &stream{name: "tokens forged under random kids", workers: floodWorkers, waits: true}
	flood.next = func(n int64) question { return tokens[n-1] }

	valid := func() (answers int64) {
		for _, s := range b.valid {
			answers += s.answers.Load()
		}
		return answers
	}
	before, answered, begun := b.target.requests(t, keysPath, ""), valid(), time.Now()
	b.load.askOnce(flood, floodTokens)
	took := time.Since(begun)
	if valid() == answered {
		t.Error("no valid token was answered during the flood")
	}
	fetches, allowed := b.target.requests(t, keysPath, "")-before, floodFetches+int(took/floodInterval)
	t.Logf("%d tokens in %s, %d fetches of the key set", flood.answers.Load(), took.Round(time.Millisecond), fetches)
	if fetches > allowed {
		t.Errorf("%d tokens with random kids made the webhook fetch the key set %d times, want %d at most", floodTokens, fetches, allowed)
	}
	b.load.carriesOn(t, 0)
}
