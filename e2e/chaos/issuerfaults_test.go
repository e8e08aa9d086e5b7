package chaos

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
)

// healing is how soon the webhook must have found out by itself that an issuer is back. A
// fetch under way has to run out of time first (10 s), and then comes the wait for the next.
const healing = 30 * time.Second

// issuerFaults are what an issuer can do to those who depend on it.
func issuerFaults() []fault {
	return []fault{
		{name: "an issuer is killed and started again", provoke: func(t *testing.T, b *bench) {
			b.without(t, func() { b.target.process.Kill() }, func() { b.target.start(t) })
		}},
		{name: "an issuer is frozen", provoke: func(t *testing.T, b *bench) {
			b.without(t, func() { b.target.process.Signal(t, syscall.SIGSTOP) }, func() { b.target.process.Signal(t, syscall.SIGCONT) })
		}},
		{name: "an issuer accepts requests and never answers", provoke: misbehaving(hung, discoveryPath)},
		{name: "an issuer answers a byte at a time", provoke: misbehaving(dripping, discoveryPath)},
		{name: "an issuer answers 500", provoke: misbehaving(failing, discoveryPath)},
		{name: "an issuer closes its connections without an answer", provoke: misbehaving(hangingUp, discoveryPath)},
		{name: "an issuer answers with a web page", provoke: misbehaving(garbage, discoveryPath)},
		{name: "an issuer publishes no keys at all", provoke: misbehaving(emptied, keysPath)},
		{name: "an issuer publishes another key in two megabytes", provoke: misbehaving(oversized, keysPath)},
		{name: "an issuer redirects to http", provoke: misbehaving(toHTTP, discoveryPath)},
		{name: "an issuer redirects in circles", provoke: misbehaving(inCircles, discoveryPath)},
		{name: "an issuer speaks for another and publishes another key", provoke: misbehaving(anotherIssuer, discoveryPath)},
	}
}

// misbehaving has the target answer in a mode, in which a request for path reaches it.
func misbehaving(m mode, path string) func(*testing.T, *bench) {
	return func(t *testing.T, b *bench) {
		b.start(t, cluster.Launch{})
		b.target.answers(t, m)
		enough := b.askForKeys()
		cluster.Eventually(t, "the webhook asks the issuer", time.Minute, func() error {
			if b.target.requests(t, path, m) == 0 {
				return errors.New("no request yet")
			}
			return nil
		})
		b.load.carriesOn(t, *duration)
		enough()
		b.target.answers(t, well)
		b.healed(t, healing)
		b.load.carriesOn(t, 0)
	}
}

// without has the target's process out of order, until the webhook has noticed at least.
func (b *bench) without(t *testing.T, end, restore func()) {
	t.Helper()
	b.start(t, cluster.Launch{})
	before := b.failedFetches(t, b.target)
	end()
	enough := b.askForKeys()
	b.load.carriesOn(t, *duration)
	cluster.Eventually(t, "the webhook misses the issuer", time.Minute, func() error {
		if b.failedFetches(t, b.target) == before {
			return errors.New("no failed fetch yet")
		}
		return nil
	})
	enough()
	restore()
	b.healed(t, healing)
	b.load.carriesOn(t, 0)
}
