package issuers

import (
	"context"
	"errors"
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
	err     error
	delay   time.Duration
	fetches atomic.Int64
}

func (s *fakeSource) fetch(ctx context.Context) (*KeySet, error) {
	s.fetches.Add(1)
	s.mu.Lock()
	set, err, delay := s.set, s.err, s.delay
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return set, err
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

func startKeys(source source) *keys {
	k := &keys{source: source, interval: refreshInterval, maxStaleness: time.Hour, now: time.Now, observe: func(error) {}}
	k.start()
	return k
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
		if n := source.fetches.Load(); n < 30 || n > 70 {
			t.Errorf("expected about 60 fetches in ten minutes of outage, got %d", n)
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
		time.Sleep(refreshInterval + refreshInterval/10)
		synctest.Wait()
		current, err := k.get()
		if err != nil || current.has("a") || !current.has("b") {
			t.Errorf("expected key b alone, got a %v, b %v, error %v", current.has("a"), current.has("b"), err)
		}
	})
}

func TestARotatedKeyIsFetchedOnceForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "old")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		time.Sleep(minFetchInterval)
		before, _ := k.get()
		source.answer(keySet(t, "new"), nil)
		source.slow(time.Second)

		var wait sync.WaitGroup
		for range 100 {
			wait.Go(func() {
				current, err := k.newer(t.Context(), before)
				if err != nil || !current.has("new") {
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

func TestTenThousandUnknownKeysCostTwoFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "a")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		time.Sleep(minFetchInterval)
		started := source.fetches.Load()
		for range 10_000 {
			current, err := k.get()
			if err != nil {
				t.Fatal(err)
			}
			if current, err = k.newer(t.Context(), current); err != nil || current.has("forged") {
				t.Fatalf("expected the known keys, got error %v", err)
			}
			time.Sleep(time.Millisecond / 2) // 10,000 tokens in 5 s
		}
		if n := source.fetches.Load() - started; n > 2 {
			t.Errorf("expected at most two fetches, got %d", n)
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
		time.Sleep(minFetchInterval)
		current, _ := k.get()
		for _, moment := range []string{"by the fetch that fails", "by the one that is too soon after it"} {
			if _, err := k.newer(t.Context(), current); !errors.Is(err, errAway) {
				t.Errorf("%s: expected the fetch's error, got %v", moment, err)
			}
		}
	})
}

func TestTokensThatWaitForAnIssuerThatHangsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "a")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		time.Sleep(minFetchInterval)
		source.slow(fetchTimeout)
		current, _ := k.get()
		var wait sync.WaitGroup
		for range maxWaiters {
			wait.Go(func() { _, _ = k.newer(t.Context(), current) })
		}
		synctest.Wait()
		start := time.Now()
		if _, err := k.newer(t.Context(), current); err == nil || time.Since(start) > 0 {
			t.Errorf("expected an error at once, got %v after %s", err, time.Since(start))
		}
		wait.Wait()
		if k.waiters != 0 {
			t.Errorf("expected nobody to wait any more, got %d", k.waiters)
		}
	})
}

func TestWaitingForKeysEndsWithTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "a")}
		k := startKeys(source)
		defer k.close()
		<-k.first
		time.Sleep(minFetchInterval)
		source.slow(fetchTimeout)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		current, _ := k.get()
		if _, err := k.newer(ctx, current); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("expected the request's deadline, got %v", err)
		}
	})
}

func TestWaitingForKeysEndsWithTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{set: keySet(t, "a")}
		k := startKeys(source)
		<-k.first
		time.Sleep(minFetchInterval)
		k.close()
		current, _ := k.get()
		if _, err := k.newer(t.Context(), current); err == nil {
			t.Error("expected an error, so that the review is made again with the new configuration")
		}
	})
}

func TestKeysAreFetchedMoreOftenThanTheyBecomeTooOld(t *testing.T) {
	for staleness, interval := range map[time.Duration]time.Duration{
		0:               refreshInterval,
		24 * time.Hour:  refreshInterval,
		5 * time.Minute: 5 * time.Minute / 3,
	} {
		issuer, err := newIssuer(Config{Keys: KeysConfig{MaxStaleness: staleness}}, Options{Now: time.Now, OnFetch: func(string, error) {}})
		if err != nil {
			t.Fatal(err)
		}
		if issuer.keys.interval != interval {
			t.Errorf("maxStaleness %s: expected a fetch each %s, got %s", staleness, interval, issuer.keys.interval)
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
		if _, err := k.newer(t.Context(), current); err != nil {
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
		k := &keys{source: &fakeSource{delay: time.Second}, interval: refreshInterval, maxStaleness: time.Hour, now: time.Now, observe: func(error) { observed.Add(1) }}
		k.start()
		synctest.Wait()
		k.close()
		if n := observed.Load(); n != 0 {
			t.Errorf("expected no fetch to be counted, got %d", n)
		}
	})
}

func TestKeysAreRefreshedGiveOrTakeATenth(t *testing.T) {
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
			if wait < refreshInterval*9/10 || wait > refreshInterval*11/10+time.Second {
				t.Errorf("expected a fetch after %s give or take a tenth, got %s", refreshInterval, wait)
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
		time.Sleep(2*retryMax + minFetchInterval)
		current, _ := k.get()
		source.answer(nil, errAway)
		_, _ = k.newer(t.Context(), current)
		before := source.fetches.Load()
		time.Sleep(retryMin + retryMin/5 + time.Millisecond)
		synctest.Wait()
		if n := source.fetches.Load() - before; n != 1 {
			t.Errorf("expected another fetch after %s, got %d", retryMin, n)
		}
	})
}
