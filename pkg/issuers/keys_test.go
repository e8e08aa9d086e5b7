package issuers

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/internal/issuertest"
)

// fakeSource is an issuer's keys under the test's control.
type fakeSource struct {
	mu      sync.Mutex
	set     *KeySet
	fresh   time.Duration
	err     error
	delay   time.Duration
	fetches atomic.Int64
}

func (s *fakeSource) fetch(ctx context.Context) (answer, error) {
	s.fetches.Add(1)
	s.mu.Lock()
	set, err, delay := s.set, s.err, s.delay
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	return answer{set: set, fresh: s.fresh}, err
}

func (s *fakeSource) answer(set *KeySet, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set, s.err = set, err
}

func (s *fakeSource) slow(delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = delay
}

func keySet(t *testing.T, ids ...string) *KeySet {
	t.Helper()
	var all []issuertest.Key
	for _, id := range ids {
		all = append(all, issuertest.NewKey(id, jwa.ES256))
	}
	set, err := ParseKeySet(issuertest.KeySet(all...))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

var errAway = errors.New("the issuer is away")

// newTestKeys returns keys that go by the bubble's clock.
func newTestKeys(source source) *keys {
	return &keys{
		source: source, maxStaleness: time.Hour, now: time.Now, room: newRoom(),
		interval: func(fresh time.Duration) time.Duration { return refreshAfter(fresh, time.Hour) },
		observe:  func(error) {},
	}
}

func startKeys(source source) *keys {
	k := newTestKeys(source)
	k.start()
	return k
}

// key is what a token wants that was signed with the key of that id.
func key(id string) func(*KeySet) bool {
	return func(set *KeySet) bool { return set.has(id) }
}

func TestKeysHealByThemselvesSoonAfterTheIssuerReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{err: errAway}
		k := startKeys(source)
		defer k.close()
		<-k.first
		if _, err := k.get(); !errors.Is(err, errAway) {
			t.Fatalf("expected the fetch's error, got %v", err)
		}
		time.Sleep(time.Hour) // of the bubble's clock: an outage
		source.answer(keySet(t, "a"), nil)
		time.Sleep(retryMax + retryMax/5)
		synctest.Wait()
		if _, err := k.get(); err != nil {
			t.Errorf("expected keys within %s of the issuer's return, got %v", retryMax, err)
		}
	})
}

func TestKeysRetryWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{err: errAway}
		k := startKeys(source)
		defer k.close()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := source.fetches.Load(); n < 100 || n > 125 {
			t.Errorf("expected a fetch each 5 to 6 s in ten minutes of outage, got %d", n)
		}
	})
}

func TestAFailedFetchLeavesGoodKeysUntilTheyAreTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "a")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		source.answer(nil, errAway)
		time.Sleep(50 * time.Minute)
		if _, err := k.get(); err != nil {
			t.Fatalf("expected the last keys to serve, got %v", err)
		}
		time.Sleep(25 * time.Minute)
		if _, err := k.get(); err == nil {
			t.Error("expected keys older than maxStaleness to be refused")
		}
	})
}

func TestAWithdrawnKeyIsForgottenAtTheNextFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "a", "b")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		source.answer(keySet(t, "b"), nil)
		time.Sleep(refreshInterval)
		synctest.Wait()
		current, err := k.get()
		if err != nil || current.set.has("a") || !current.set.has("b") {
			t.Errorf("expected key b alone, got a %v, b %v, error %v", current.set.has("a"), current.set.has("b"), err)
		}
	})
}

func TestARotatedKeyIsFetchedOnceForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "old")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		time.Sleep(rest)
		before, _ := k.get()
		source.answer(keySet(t, "new"), nil)
		source.slow(time.Second)

		var wait sync.WaitGroup
		for range 100 {
			wait.Go(func() {
				current, err := k.newer(t.Context(), before, key("new"))
				if err != nil || !current.set.has("new") {
					t.Errorf("expected the new key, got error %v", err)
				}
			})
		}
		wait.Wait()
		if n := source.fetches.Load(); n != 2 {
			t.Errorf("expected one fetch besides the first, got %d in all", n)
		}
	})
}

// The issuer may have answered before it published the key.
func TestATokenWaitsForTheFetchAfterTheOneUnderWayIfThatLacksItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "a")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		time.Sleep(rest)
		before, _ := k.get()
		source.slow(time.Second)
		go func() { _, _ = k.newer(t.Context(), before, key("forged")) }()
		synctest.Wait()
		source.answer(keySet(t, "a", "b"), nil) // the fetch under way has the former answer
		current, err := k.newer(t.Context(), before, key("b"))
		if err != nil || !current.set.has("b") {
			t.Errorf("expected the key of the fetch after, got error %v", err)
		}
		if n := source.fetches.Load(); n != 3 {
			t.Errorf("expected two fetches besides the first, got %d in all", n)
		}
	})
}

func TestATokenIsServedByTheFetchUnderWayIfThatBringsItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "a")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		time.Sleep(rest)
		before, _ := k.get()
		source.answer(keySet(t, "a", "b"), nil)
		source.slow(time.Second)
		go func() { _, _ = k.newer(t.Context(), before, key("forged")) }()
		synctest.Wait()
		start := time.Now()
		if _, err := k.newer(t.Context(), before, key("b")); err != nil || time.Since(start) != time.Second {
			t.Errorf("expected the key when the fetch has ended, got error %v after %s", err, time.Since(start))
		}
	})
}

func TestAKeyThatIsRotatedEverySecondIsAlwaysFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "0")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		ids := []string{"0"}
		for n := range 100 {
			time.Sleep(time.Second)
			id := strconv.Itoa(n + 1)
			ids = append(ids[max(0, len(ids)-2):], id)
			source.answer(keySet(t, ids...), nil)
			before, err := k.get()
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			current, err := k.newer(t.Context(), before, key(id))
			if err != nil || !current.set.has(id) || time.Since(start) > rest {
				t.Fatalf("key %s: expected it within %s, got error %v after %s", id, rest, err, time.Since(start))
			}
		}
	})
}

func TestTenThousandUnknownKeysCostTwoFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "a")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		time.Sleep(rest)
		started := source.fetches.Load()
		known, _ := k.get()
		start := time.Now()
		slow := 0
		for range 10_000 {
			asked := time.Now()
			if current, err := k.newer(t.Context(), known, key("forged")); err != nil || current.set.has("forged") {
				t.Fatalf("expected the known keys, got error %v", err)
			}
			if time.Since(asked) > 0 {
				slow++
			}
			if current, err := k.get(); err != nil || !current.set.has("a") {
				t.Fatalf("expected tokens with a known key to be decided meanwhile, got error %v", err)
			}
			time.Sleep(time.Millisecond / 2) // 10,000 tokens in 5 s
		}
		if n := source.fetches.Load() - started; n > 2 {
			t.Errorf("expected at most two fetches, got %d", n)
		}
		if slow > 1 || time.Since(start) > 5*time.Second+rest {
			t.Errorf("expected all but one to be answered at once, got %d that waited, %s in all", slow, time.Since(start))
		}
		time.Sleep(askedInterval)
		before := source.fetches.Load()
		_, _ = k.newer(t.Context(), known, key("forged"))
		if n := source.fetches.Load() - before; n != 1 {
			t.Errorf("expected one more fetch to be had after %s, got %d", askedInterval, n)
		}
	})
}

// With the public keys in another order nothing is new.
func TestUnknownKeysCostNoMoreWhereAnIssuerShufflesItsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := keySet(t, "a", "b")
		shuffled := &KeySet{keys: slices.Clone(set.keys)}
		slices.Reverse(shuffled.keys)
		source := &fakeSource{set: set}
		k := startKeys(source)
		defer k.close()
		<-k.first
		known, _ := k.get()
		for n := range 10 {
			source.answer([]*KeySet{shuffled, set}[n%2], nil)
			_, _ = k.newer(t.Context(), known, key("forged"))
		}
		if n := source.fetches.Load(); n != 1+maxAsked {
			t.Errorf("expected %d fetches besides the first, got %d", maxAsked, n-1)
		}
	})
}

// However many tokens with made-up kids there are, those of a new key are found.
func TestAKeyThatIsRotatedEverySecondIsFoundAmongUnknownOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "0")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		ctx, stop := context.WithCancel(t.Context())
		var forging sync.WaitGroup
		forging.Go(func() {
			for ctx.Err() == nil {
				known, _ := k.get()
				_, _ = k.newer(ctx, known, key("forged"))
				time.Sleep(5 * time.Millisecond)
			}
		})
		for n := range 60 {
			time.Sleep(time.Second)
			id := strconv.Itoa(n + 1)
			source.answer(keySet(t, strconv.Itoa(n), id), nil)
			known, _ := k.get()
			current, err := k.newer(t.Context(), known, key(id))
			if err != nil || !current.set.has(id) {
				t.Errorf("key %s: expected it to be found, got error %v", id, err)
			}
		}
		stop()
		forging.Wait()
	})
}

func TestKeysThatCannotChangeAreNotFetchedForAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "a")}
		k := newTestKeys(source)
		k.fixed = true
		k.start()
		defer k.close()
		<-k.first
		known, _ := k.get()
		if current, err := k.newer(t.Context(), known, key("forged")); err != nil || current != known || source.fetches.Load() != 1 {
			t.Errorf("expected the known keys at once, got error %v after %d fetches", err, source.fetches.Load())
		}
	})
}

func TestAnUnknownKeyIsUndecidedWhileTheIssuerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "a")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		source.answer(nil, errAway)
		time.Sleep(rest)
		current, _ := k.get()
		for _, moment := range []string{"by the fetch that fails", "by the one after it"} {
			if _, err := k.newer(t.Context(), current, key("b")); !errors.Is(err, errAway) {
				t.Errorf("%s: expected the fetch's error, got %v", moment, err)
			}
		}
	})
}

// An issuer that restarts with a new key is away for a moment.
func TestAnUnknownKeyIsFoundByTheFirstFetchThatSucceedsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "a")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		source.answer(nil, errAway)
		time.Sleep(rest)
		current, _ := k.get()
		_, _ = k.newer(t.Context(), current, key("b"))
		source.answer(keySet(t, "b"), nil)
		if current, err := k.newer(t.Context(), current, key("b")); err != nil || !current.set.has("b") {
			t.Errorf("expected the new key, got error %v", err)
		}
	})
}

func TestTokensDoNotMakeAnIssuerThatFailsBeAskedSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{err: errAway}
		k := startKeys(source)
		defer k.close()
		time.Sleep(10 * time.Second)
		k.current.Store(&fetched{answer: answer{set: keySet(t, "a")}, at: time.Now()})
		current, _ := k.get()
		before := source.fetches.Load()
		start := time.Now()
		_, _ = k.newer(t.Context(), current, key("b"))
		_, _ = k.newer(t.Context(), current, key("b"))
		for range 100 {
			_, _ = k.newer(t.Context(), current, key("b"))
		}
		if n, took := source.fetches.Load()-before, time.Since(start); n > maxAsked || took > maxAsked*retryMax {
			t.Errorf("expected at most %d fetches and then none, got %d in %s", maxAsked, n, took)
		}
	})
}

func TestTokensThatWaitForAnIssuerThatHangsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, other := &fakeSource{set: keySet(t, "a")}, &fakeSource{set: keySet(t, "a")}
		k, o := startKeys(source), startKeys(other)
		defer k.close()
		defer o.close()
		o.room = k.room
		<-k.first
		<-o.first
		time.Sleep(rest)
		source.slow(fetchTimeout)
		other.slow(fetchTimeout)
		current, _ := k.get()
		atOnce := func(k *keys) {
			t.Helper()
			start := time.Now()
			if _, err := k.newer(t.Context(), current, key("b")); err == nil || time.Since(start) > 0 {
				t.Errorf("expected an error at once, got %v after %s", err, time.Since(start))
			}
		}
		var wait sync.WaitGroup
		waiting := func(k *keys, n int) {
			for range n {
				wait.Go(func() { _, _ = k.newer(t.Context(), current, key("b")) })
			}
			synctest.Wait()
			if k.waiters != n {
				t.Errorf("expected %d tokens to wait, got %d", n, k.waiters)
			}
		}
		waiting(k, ownPlaces+sharedPlaces)
		atOnce(k)
		// Whatever the one is made to wait, the other has places of its own.
		waiting(o, ownPlaces)
		atOnce(o)
		wait.Wait()
		if k.waiters != 0 || o.waiters != 0 || !k.room.TryAcquire(sharedPlaces) {
			t.Errorf("expected nobody to wait any more, got %d, %d", k.waiters, o.waiters)
		}
	})
}

func TestWaitingForKeysEndsWithTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "a")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		time.Sleep(rest)
		source.slow(fetchTimeout)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		current, _ := k.get()
		if _, err := k.newer(ctx, current, key("b")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("expected the request's deadline, got %v", err)
		}
	})
}

func TestWaitingForKeysEndsWithTheConfiguration(t *testing.T) {
	for name, during := range map[string]time.Duration{"before the fetch": 0, "during the fetch": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := &fakeSource{set: keySet(t, "a")}
				k := startKeys(source)
				<-k.first
				if during > 0 {
					time.Sleep(rest)
					source.slow(2 * during)
				}
				current, _ := k.get()
				ended := make(chan error)
				go func() {
					_, err := k.newer(t.Context(), current, key("b"))
					ended <- err
				}()
				synctest.Wait()
				time.Sleep(during)
				k.close()
				if err := <-ended; err == nil {
					t.Error("expected an error, so that the review is made again with the new configuration")
				}
			})
		})
	}
}

func TestKeysAreFetchedMoreOftenThanTheyBecomeTooOld(t *testing.T) {
	for staleness, interval := range map[time.Duration]time.Duration{
		0:               refreshInterval,
		24 * time.Hour:  refreshInterval,
		5 * time.Minute: 5 * time.Minute / 3,
	} {
		issuer, err := newIssuer(Config{Keys: KeysConfig{MaxStaleness: staleness}}, Options{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if got := issuer.keys.interval(0); got != interval {
			t.Errorf("maxStaleness %s: expected a fetch each %s, got %s", staleness, interval, got)
		}
	}
}

func TestAFailureIsForgottenOnceAFetchSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{err: errAway}
		k := startKeys(source)
		defer k.close()
		<-k.first
		source.answer(keySet(t, "a"), nil)
		time.Sleep(2 * retryMin)
		if err := k.lastError(); !errors.Is(err, errNotFetched) {
			t.Errorf("expected no failure any more, got %v", err)
		}
		// Nor is an unknown key undecided because of it.
		current, _ := k.get()
		if _, err := k.newer(t.Context(), current, key("b")); err != nil {
			t.Errorf("expected the known keys, got %v", err)
		}
	})
}

func TestAFetchThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		k := startKeys(&fakeSource{delay: time.Hour})
		defer k.close()
		<-k.first
		if took := time.Since(start); took != fetchTimeout {
			t.Errorf("expected the fetch to end after %s, got %s", fetchTimeout, took)
		}
	})
}

func TestAFetchThatCloseCutsOffTellsNothingOfTheIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var observed atomic.Int64
		k := newTestKeys(&fakeSource{delay: time.Second})
		k.observe = func(error) { observed.Add(1) }
		k.start()
		synctest.Wait()
		k.close()
		if n := observed.Load(); n != 0 {
			t.Errorf("expected no fetch to be counted, got %d", n)
		}
	})
}

// panicking is a source whose answer nobody has foreseen.
type panicking struct{ fakeSource }

func (p *panicking) fetch(ctx context.Context) (answer, error) {
	if _, err := p.fakeSource.fetch(ctx); err != nil {
		return answer{}, err
	}
	panic("an index out of range")
}

func TestAPanicWhileKeysAreFetchedIsAFailedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &panicking{}
		k := startKeys(source)
		defer k.close()
		<-k.first
		if _, err := k.get(); err == nil || !strings.Contains(err.Error(), "panic: string") {
			t.Errorf("expected no keys because of a panic, got %v", err)
		}
		time.Sleep(2 * retryMin)
		if n := source.fetches.Load(); n != 2 {
			t.Errorf("expected another fetch, got %d in all", n)
		}
	})
}

func TestKeysAreRefreshedUpToAFifthSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := make(map[time.Duration]bool)
		for range 20 {
			source := &fakeSource{set: &KeySet{}}
			k := startKeys(source)
			<-k.first
			start := time.Now()
			for source.fetches.Load() < 2 {
				time.Sleep(time.Second)
				synctest.Wait()
			}
			k.close()
			wait := time.Since(start)
			if wait < refreshInterval*4/5 || wait > refreshInterval {
				t.Errorf("expected a fetch after %s or up to a fifth sooner, got %s", refreshInterval, wait)
			}
			waits[wait] = true
		}
		if len(waits) < 2 {
			t.Error("expected issuers not to be asked all at once")
		}
	})
}

func TestBackoffBeginsAnewAfterASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{err: errAway}
		k := startKeys(source)
		defer k.close()
		time.Sleep(10 * time.Minute)
		source.answer(keySet(t, "a"), nil)
		time.Sleep(2*retryMax + rest)
		current, _ := k.get()
		source.answer(nil, errAway)
		_, _ = k.newer(t.Context(), current, key("b"))
		before := source.fetches.Load()
		time.Sleep(retryMin + retryMin/5 + time.Millisecond)
		synctest.Wait()
		if n := source.fetches.Load() - before; n != 1 {
			t.Errorf("expected another fetch after %s, got %d", retryMin, n)
		}
	})
}

// stepping is the bubble's clock, which can be put forward and back.
type stepping struct{ ahead atomic.Int64 }

func (s *stepping) now() time.Time       { return time.Now().Add(time.Duration(s.ahead.Load())) }
func (s *stepping) step(d time.Duration) { s.ahead.Store(int64(d)) }

func TestKeysThatAreTooOldAreFetchedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, clock := &fakeSource{set: keySet(t, "a")}, &stepping{}
		k := newTestKeys(source)
		k.now = clock.now
		k.start()
		defer k.close()
		<-k.first
		time.Sleep(rest)
		clock.step(30 * time.Minute)
		if _, err := k.get(); err != nil {
			t.Errorf("a step below maxStaleness: expected the keys to serve, got %v", err)
		}
		clock.step(2 * time.Hour)
		if _, err := k.get(); err == nil {
			t.Error("expected an error while the keys' age is beyond maxStaleness")
		}
		synctest.Wait()
		if _, err := k.get(); err != nil {
			t.Errorf("expected keys that were fetched at once, got %v", err)
		}
	})
}

// Keys that were fetched while the clock was ahead are older than they seem to be.
func TestKeysFromTheFutureAgeFromNowOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, clock := &fakeSource{set: keySet(t, "a")}, &stepping{}
		clock.step(24 * time.Hour)
		k := newTestKeys(source)
		k.now = clock.now
		k.start()
		defer k.close()
		<-k.first
		time.Sleep(rest)
		source.answer(nil, errAway)
		clock.step(0)
		if _, err := k.get(); err != nil {
			t.Errorf("expected the keys to serve, got %v", err)
		}
		synctest.Wait()
		if n := source.fetches.Load(); n != 2 {
			t.Errorf("expected others to be fetched at once, got %d fetches", n-1)
		}
		time.Sleep(time.Hour + time.Second) // maxStaleness
		if _, err := k.get(); err == nil {
			t.Error("expected them not to outlive maxStaleness")
		}
		// A little ahead is what clocks are.
		source.answer(keySet(t, "a"), nil)
		time.Sleep(2 * retryMax)
		fetches := source.fetches.Load()
		clock.step(-clockTolerance / 2)
		if _, err := k.get(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := source.fetches.Load() - fetches; n != 0 {
			t.Errorf("expected no fetch for half a minute, got %d", n)
		}
	})
}

// Timers stand still while a machine sleeps.
func TestKeysAreFetchedSoonAfterAMachineHasSlept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, clock := &fakeSource{set: keySet(t, "a")}, &stepping{}
		k := newTestKeys(source)
		k.now = clock.now
		k.start()
		defer k.close()
		<-k.first
		synctest.Wait() // The next fetch is planned before the machine sleeps.
		clock.step(30 * time.Minute)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := source.fetches.Load(); n != 2 {
			t.Errorf("expected a fetch within a minute, got %d", n-1)
		}
	})
}

// Replicas of one issuer may publish different keys, and answer in turn.
func TestUnknownKeysCostNoMoreWhereReplicasDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		replicas := []*KeySet{keySet(t, "a", "x"), keySet(t, "b", "x"), keySet(t, "c", "x")}
		source := &fakeSource{set: replicas[0]}
		k := startKeys(source)
		defer k.close()
		<-k.first
		for n := range 100 {
			source.answer(replicas[n%len(replicas)], nil)
			known, _ := k.get()
			_, _ = k.newer(t.Context(), known, key("forged"))
		}
		if n := source.fetches.Load(); n > 1+2+2*maxAsked {
			t.Errorf("expected few fetches once the replicas' keys are known, got %d", n)
		}
	})
}

// A file system that hangs holds up neither the next configuration nor the end.
func TestCloseDoesNotWaitForWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &hanging{release: make(chan struct{})}
		k := startKeys(source)
		synctest.Wait()
		start := time.Now()
		k.close()
		if took := time.Since(start); took != closeWait {
			t.Errorf("expected to go on after %s, got %s", closeWait, took)
		}
		close(source.release)
		<-k.done
		if k.current.Load() != nil {
			t.Error("expected what came too late not to be used")
		}
	})
}

// hanging heeds no deadline.
type hanging struct{ release chan struct{} }

func (h *hanging) fetch(context.Context) (answer, error) {
	<-h.release
	return answer{set: &KeySet{}}, nil
}

func TestKeysAreKeptForAsLongAsTheIssuerSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "a"), fresh: 20 * time.Minute}
		k := newTestKeys(source)
		k.maxStaleness = 24 * time.Hour
		k.start()
		defer k.close()
		<-k.first
		time.Sleep(16*time.Minute - time.Second)
		if n := source.fetches.Load(); n != 1 {
			t.Errorf("expected no other fetch in the first four fifths, got %d", n-1)
		}
		time.Sleep(4*time.Minute + time.Second)
		synctest.Wait()
		if n := source.fetches.Load(); n != 2 {
			t.Errorf("expected one more fetch before they age out, got %d", n-1)
		}
	})
}

func TestAnIssuerSaysForHowLongItsKeysMayBeKept(t *testing.T) {
	issuer := issuertest.Start("")
	defer issuer.Close()
	issuer.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if r.URL.Path == "/keys" {
			w.Header().Set("Cache-Control", "max-age=1200")
		}
		issuer.Genuine(w, r)
	}))
	transport, err := newTransport([]byte(issuer.CertificateAuthority()))
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(transport)
	for name, source := range map[string]source{
		"through discovery": discoverySource{client: client, issuer: issuer.URL, address: issuer.DiscoveryURL()},
		"at a URL":          urlSource{client: client, url: issuer.KeySetURL()},
	} {
		got, err := source.fetch(t.Context())
		if err != nil || got.fresh != 20*time.Minute || len(got.document) == 0 {
			t.Errorf("%s: expected keys to be kept for 20m, got %s, error %v", name, got.fresh, err)
		}
	}
}

// The monotonic clock stands still while a machine sleeps.
func TestTheAgeOfKeysIsThatOfTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := startKeys(&fakeSource{set: keySet(t, "a")})
		defer k.close()
		<-k.first
		if at := k.current.Load().at; strings.Contains(at.String(), "m=") {
			t.Errorf("expected a time without a monotonic reading, got %s", at)
		}
	})
}
