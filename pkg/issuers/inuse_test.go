package issuers

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/internal/issuertest"
)

// Whoever remembers what a set has proven asks whether it is still the one in use.
func TestTheSetStaysTheSameUnlessAFetchBringsOthers(t *testing.T) {
	a, b := issuertest.NewKey("a", jwa.RS256), issuertest.NewKey("b", jwa.ES256)
	renamed, rs512 := a, a
	renamed.ID, rs512.Algorithm = "c", jwa.RS512
	withSecret := func(secret string, keys ...issuertest.Key) []byte {
		return bytes.Replace(issuertest.KeySet(keys...), []byte(`{"keys":[`), []byte(`{"keys":[`+secret+`,`), 1)
	}
	const secret, other = `{"kty":"oct","k":"AAAA","kid":"s"}`, `{"kty":"oct","k":"AAAA","kid":"t"}`
	for _, test := range []struct {
		name          string
		before, after []byte
		same          bool
	}{
		{"the same keys", issuertest.KeySet(a, b), issuertest.KeySet(a, b), true},
		{"the same keys, and the same one that is not used", withSecret(secret, a), withSecret(secret, a), true},
		{"one key more", issuertest.KeySet(a), issuertest.KeySet(a, b), false},
		{"one key less", issuertest.KeySet(a, b), issuertest.KeySet(a), false},
		{"another key under the id", issuertest.KeySet(a), issuertest.KeySet(issuertest.NewKey("a", jwa.RS256)), false},
		{"the key under another id", issuertest.KeySet(a), issuertest.KeySet(renamed), false},
		{"the key for another algorithm", issuertest.KeySet(a), issuertest.KeySet(rs512), false},
		{"the keys in another order", issuertest.KeySet(a, b), issuertest.KeySet(b, a), false},
		{"one more that is not used", issuertest.KeySet(a), withSecret(secret, a), false},
		{"another one that is not used", withSecret(secret, a), withSecret(other, a), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, after := parsed(t, test.before), parsed(t, test.after)
			synctest.Test(t, func(t *testing.T) {
				source := &fakeSource{set: before}
				issuer := &Issuer{keys: startKeys(source)}
				defer issuer.keys.close()
				<-issuer.keys.first
				if issuer.KeysInUse() != before {
					t.Fatal("expected the set that was fetched to be in use")
				}
				source.answer(after, nil)
				time.Sleep(refreshInterval)
				synctest.Wait()
				if now := issuer.KeysInUse(); source.fetches.Load() < 2 || (now == before) != test.same || (now == after) == test.same {
					t.Errorf("expected the set to be the same: %v, got %p of %p and then %p", test.same, now, before, after)
				}
			})
		})
	}
}

func parsed(t *testing.T, data []byte) *KeySet {
	t.Helper()
	set, err := ParseKeySet(data)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestNoSetIsInUseThatMayNotBeTrusted(t *testing.T) {
	set := keySet(t, "a")
	synctest.Test(t, func(t *testing.T) {
		clock := &stepping{}
		source := &fakeSource{err: errAway}
		issuer := &Issuer{keys: newTestKeys(source)}
		issuer.keys.now = clock.now
		issuer.keys.start()
		defer issuer.keys.close()
		<-issuer.keys.first
		if issuer.KeysInUse() != nil {
			t.Error("expected none before any were fetched")
		}
		source.answer(set, nil)
		time.Sleep(2 * retryMax)
		if issuer.KeysInUse() != set {
			t.Error("expected those that were fetched")
		}
		source.answer(nil, errAway)
		synctest.Wait()
		fetches := source.fetches.Load()
		clock.step(-2 * clockTolerance)
		if issuer.KeysInUse() != set {
			t.Error("expected those from the future to serve meanwhile")
		}
		clock.step(2 * time.Hour)
		if issuer.KeysInUse() != nil {
			t.Error("expected none that are too old")
		}
		time.Sleep(2 * rest)
		if source.fetches.Load() != fetches {
			t.Error("expected nobody to be asked because somebody looks")
		}
	})
}
