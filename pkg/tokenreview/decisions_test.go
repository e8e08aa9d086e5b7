package tokenreview_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/tokenreview"
	"tokenreview.dev/webhook/pkg/trace"
)

// remembering is a reviewer over the issuers "main", whose keys are in a file, and
// "build", whose policy asks a cluster.
type remembering struct {
	reviewer *tokenreview.Reviewer
	key      issuertest.Key
	keys     string // the file
	cluster  *asked
	// off is what the clock on the wall is put forward by.
	off atomic.Int64 // nanoseconds
}

// asked is a cluster, which says that tokens are alive, unless do says otherwise.
type asked struct {
	questions atomic.Int64
	do        func(ctx context.Context, question int) (string, error)
}

func (a *asked) Check(ctx context.Context, _ string, _ []string, _ string) (string, error) {
	question := a.questions.Add(1)
	if a.do == nil {
		return "", nil
	}
	return a.do(ctx, int(question))
}

// remember runs a test in a bubble, where time passes at once.
func remember(t *testing.T, decisionCache string, test func(t *testing.T, r *remembering)) {
	t.Helper()
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &remembering{key: issuertest.NewKey("key", "ES256"), keys: filepath.Join(folder, "keys.json"), cluster: &asked{}}
		r.publish(t, r.key)
		loaded, err := config.Parse("test.yaml", fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- {issuer: {url: "https://main.example", audiences: [a, b], audienceMatchPolicy: MatchAny}, claimMappings: {username: {claim: sub, prefix: "main:"}, groups: {claim: groups, prefix: ""}}}
- {issuer: {url: "https://build.example", audiences: [a]}, claimMappings: {username: {claim: sub, prefix: "build:"}}}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: main}
spec: {issuer: "https://main.example", keys: {jwksFile: %q, maxStaleness: 1h}, token: {maxLifetime: 2h}, audit: {claims: [team]}}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: build}
spec: {issuer: "https://build.example", keys: {jwksFile: %[1]q}, kubernetes: {clusterName: build, liveness: TokenReview, kubeconfig: /kubeconfig}}
---
apiVersion: tokenreview.dev/v1alpha1
kind: WebhookConfiguration
spec: {decisionCache: {%[2]s}, limits: {maxRequestsInFlight: 4}}
`, r.keys, decisionCache))
		if err != nil {
			t.Fatal(err)
		}
		now := func() time.Time { return time.Now().Add(time.Duration(r.off.Load())) }
		rules, err := loaded.Build(nil, config.Options{Options: issuers.Options{Now: now}, Liveness: r.cluster})
		if err != nil {
			t.Fatal(err)
		}
		defer rules.Issuers.Close(nil)
		rules.Issuers.AwaitFirstFetch(t.Context())
		r.reviewer = tokenreview.NewReviewer(rules)
		test(t, r)
	})
}

func (r *remembering) publish(t *testing.T, keys ...issuertest.Key) {
	t.Helper()
	if err := os.WriteFile(r.keys, issuertest.KeySet(keys...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// token is one of main that is good for an hour, changed.
func (r *remembering) token(changes claims) string {
	return r.key.Sign(claims{"iss": "https://main.example", "aud": []string{"a", "b"}, "sub": "jane", "exp": in(time.Hour), "iat": in(0)}.With(changes))
}

// account is a token of build, changed.
func (r *remembering) account(changes claims) string {
	return r.key.Sign(claims{
		"iss": "https://build.example", "aud": "a", "exp": in(time.Hour), "sub": "system:serviceaccount:ci:deployer",
		"kubernetes.io": claims{"namespace": "ci", "serviceaccount": claims{"name": "deployer", "uid": "u"}},
	}.With(changes))
}

func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

func (r *remembering) ask(token string, audiences ...string) tokenreview.Answer {
	return r.reviewer.Review(context.Background(), token, audiences, nil)
}

// want reviews a token and compares what it comes to.
func (r *remembering) want(t *testing.T, when, token, code string, cached bool) {
	t.Helper()
	answer := r.ask(token)
	if answer.Reason() != code || answer.Cached != cached {
		t.Errorf("%s: expected %s, cached %t, got %s (%s), cached %t", when, code, cached, answer.Reason(), answer.Refusal.Text, answer.Cached)
	}
}

func TestForHowLongADecisionIsUsedAgain(t *testing.T) {
	const long = 30 * time.Second
	forger := issuertest.NewKey("key", "ES256")
	for _, test := range []struct {
		name  string
		token func(r *remembering) string
		code  string
		// holds is for how long it is used again, to the nanosecond; zero for not at all.
		holds time.Duration
		then  string
	}{
		{"an accepted token for allowedTTL", func(r *remembering) string { return r.token(nil) }, reason.Allowed, 10 * time.Second, reason.Allowed},
		{"an accepted token until its exp", func(r *remembering) string { return r.token(claims{"exp": in(4 * time.Second)}) }, reason.Allowed, 4 * time.Second, "Expired"},
		{"a refused token for refusedTTL", func(r *remembering) string { return r.token(claims{"aud": "c"}) }, "AudienceMismatch", 5 * time.Second, "AudienceMismatch"},
		{"an expired token for refusedTTL", func(r *remembering) string { return r.token(claims{"exp": in(-time.Second)}) }, "Expired", 5 * time.Second, "Expired"},
		{"a token whose time comes", func(r *remembering) string { return r.token(claims{"nbf": in(62 * time.Second)}) }, "NotYetValid", 0, reason.Allowed},
		{"a token that is valid for too long from now", func(r *remembering) string {
			return r.token(claims{"iat": in(100 * time.Minute), "exp": in(2*time.Hour + 2*time.Second)})
		}, "LifetimeTooLong", 0, reason.Allowed},
		{"a token that anybody may have signed", func(r *remembering) string { return forger.Sign(claims{"iss": "https://main.example", "aud": "a"}) }, "SignatureInvalid", 0, "SignatureInvalid"},
		{"a token of an unknown key", func(r *remembering) string {
			return issuertest.NewKey("other", "ES256").Sign(claims{"iss": "https://main.example"})
		}, "KeyUnknown", 0, "KeyUnknown"},
		{"a token of nobody", func(r *remembering) string { return r.token(claims{"iss": "https://other.example"}) }, "IssuerUnknown", 0, "IssuerUnknown"},
		{"no token", func(r *remembering) string { return "opaque" }, "TokenMalformed", 0, "TokenMalformed"},
		{"a token that somebody was asked about", func(r *remembering) string { return r.account(nil) }, reason.Allowed, 0, reason.Allowed},
		{"a token of 16 KiB", func(r *remembering) string { return r.sized(16 << 10) }, reason.Allowed, 10 * time.Second, reason.Allowed},
		{"a longer one", func(r *remembering) string { return r.sized(16<<10 + 1) }, reason.Allowed, 0, reason.Allowed},
	} {
		t.Run(test.name, func(t *testing.T) {
			remember(t, "", func(t *testing.T, r *remembering) {
				token := test.token(r)
				r.want(t, "at first", token, test.code, false)
				if test.holds == 0 {
					r.want(t, "at once", token, test.code, false)
					time.Sleep(long)
				} else {
					time.Sleep(test.holds)
					r.want(t, "as long as it holds", token, test.code, true)
					time.Sleep(time.Nanosecond)
				}
				r.want(t, "then", token, test.then, false)
			})
		})
	}
}

// sized is a token of so many bytes.
func (r *remembering) sized(size int) string {
	// Four characters hold three bytes, and one byte more is two characters more.
	for filler := size/4*3 - 400; ; filler++ {
		if token := r.token(claims{"filler": strings.Repeat("x", filler)}); len(token) >= size {
			return token
		}
	}
}

func TestNoDecisionIsUsedAgain(t *testing.T) {
	for _, test := range []struct {
		name, decisionCache string
		// change is what happens between the first review and the second.
		change func(t *testing.T, r *remembering)
		code   string
	}{
		{"without allowedTTL", "allowedTTL: 0s", nil, reason.Allowed},
		{"without room", "maxEntries: 0", nil, reason.Allowed},
		{"when the issuer has withdrawn its key", "allowedTTL: 5m", func(t *testing.T, r *remembering) {
			r.publish(t, issuertest.NewKey("next", "ES256"))
			time.Sleep(time.Minute)
		}, "KeyUnknown"},
		{"when the issuer has another key besides", "allowedTTL: 5m", func(t *testing.T, r *remembering) {
			r.publish(t, r.key, issuertest.NewKey("next", "ES256"))
			time.Sleep(time.Minute)
		}, reason.Allowed},
		{"when the keys are too old", "allowedTTL: 10m", func(t *testing.T, r *remembering) {
			if err := os.Remove(r.keys); err != nil {
				t.Fatal(err)
			}
			time.Sleep(55 * time.Minute)
			if answer := r.ask(r.token(nil)); answer.User == nil {
				t.Fatal(answer.Refusal)
			}
			time.Sleep(6 * time.Minute)
		}, "KeysUnavailable"},
		{"when the rules were replaced", "", func(_ *testing.T, r *remembering) { r.reviewer.Use(r.reviewer.Rules()) }, reason.Allowed},
		{"when the clock was put back", "", func(_ *testing.T, r *remembering) { r.off.Store(int64(-time.Second)) }, reason.Allowed},
		{"when the clock was put forward, or the machine has slept", "", func(_ *testing.T, r *remembering) { r.off.Store(int64(11 * time.Second)) }, reason.Allowed},
	} {
		t.Run(test.name, func(t *testing.T) {
			remember(t, test.decisionCache, func(t *testing.T, r *remembering) {
				token := r.token(claims{"exp": in(2 * time.Hour)})
				r.want(t, "at first", token, reason.Allowed, false)
				if test.change != nil {
					r.want(t, "before the change", token, reason.Allowed, true)
					test.change(t, r)
				}
				r.want(t, "then", token, test.code, false)
			})
		})
	}
}

func TestARefusalIsNotUsedAgainWithoutRefusedTTL(t *testing.T) {
	remember(t, "refusedTTL: 0s", func(t *testing.T, r *remembering) {
		refused, accepted := r.token(claims{"aud": "c"}), r.token(nil)
		for _, cached := range []bool{false, true} {
			r.want(t, "the refused one", refused, "AudienceMismatch", false)
			r.want(t, "the accepted one", accepted, reason.Allowed, cached)
		}
	})
}

func TestADecisionIsUsedAgain(t *testing.T) {
	remember(t, "allowedTTL: 5m", func(t *testing.T, r *remembering) {
		token := r.token(claims{"groups": []string{"devs", "ops"}, "jti": "id-1", "team": "red"})
		first := r.ask(token, "b", "c")
		// The same keys, fetched many times, are no reason against it.
		time.Sleep(time.Minute)
		again := r.ask(token, "b", "c")
		if !again.Cached || first.Cached {
			t.Errorf("expected the second to be remembered, got %t and %t", first.Cached, again.Cached)
		}
		again.Cached = false
		if got, want := fmt.Sprintf("%+v %+v", again, *again.User), fmt.Sprintf("%+v %+v", first, *first.User); got != want {
			t.Errorf("expected the same answer\n%s, got\n%s", want, got)
		}
		if again.Signed.JTI != "id-1" || again.Signed.Subject != "jane" || string(again.Signed.Others) != `{"team":"red"}` {
			t.Errorf("expected what is recorded of the token, got %+v", again.Signed)
		}
		for _, other := range [][]string{nil, {"b"}, {"c", "b"}, {"bc"}, {"b", "c", ""}} {
			if answer := r.ask(token, other...); answer.Cached {
				t.Errorf("expected another decision for audiences %q", other)
			}
		}
	})
}

func TestWhoeverAsksForTheStepsHasThemTaken(t *testing.T) {
	remember(t, "", func(t *testing.T, r *remembering) {
		token := r.token(nil)
		for range 2 {
			steps := &trace.Trace{}
			if answer := r.reviewer.Review(t.Context(), token, nil, steps); answer.Cached || len(steps.Steps()) == 0 {
				t.Errorf("expected a decision with its steps, got %+v and %v", answer, steps.Steps())
			}
			r.ask(token) // which is remembered
		}
	})
}

func TestOfMoreDecisionsThanThereIsRoomForTheLastAreRemembered(t *testing.T) {
	remember(t, "maxEntries: 2", func(t *testing.T, r *remembering) {
		one, two, three := r.token(claims{"jti": "1"}), r.token(claims{"jti": "2"}), r.token(claims{"jti": "3"})
		r.want(t, "the first", one, reason.Allowed, false)
		r.want(t, "the second", two, reason.Allowed, false)
		r.want(t, "the first, used again", one, reason.Allowed, true)
		r.want(t, "the third", three, reason.Allowed, false)
		r.want(t, "the second, beside it", two, reason.Allowed, true)
		// Whoever gets many tokens that are refused pushes out no other's.
		for n := range 3 {
			r.want(t, "a refused one", r.token(claims{"aud": "c", "jti": fmt.Sprint(n)}), "AudienceMismatch", false)
		}
		r.want(t, "the second, in spite of refusals", two, reason.Allowed, true)
		r.want(t, "the third, in spite of refusals", three, reason.Allowed, true)
		r.want(t, "the first, although it was used again", one, reason.Allowed, false)
	})
}

func TestWhatHoldsNoMoreTakesUpNoRoom(t *testing.T) {
	remember(t, "maxEntries: 4", func(t *testing.T, r *remembering) {
		want := func(when string, want int) {
			t.Helper()
			if got := r.reviewer.Remembered(); got != want {
				t.Errorf("%s: expected %d decisions to be remembered, got %d", when, want, got)
			}
		}
		first := r.token(claims{"jti": "first"})
		r.ask(first)
		time.Sleep(6 * time.Second)
		r.ask(r.token(claims{"jti": "second"}))
		want("both hold", 2)
		time.Sleep(5 * time.Second)
		r.ask(r.token(claims{"jti": "third"}))
		want("the first holds no more", 2)
		time.Sleep(6 * time.Second)
		r.ask(first)
		want("only the third holds, and the first anew", 2)
		time.Sleep(10 * time.Second)
		r.want(t, "the first, as long as it holds", first, reason.Allowed, true)
		r.ask(r.token(claims{"aud": "c"}))
		want("what is over goes with the next that is remembered of its kind", 3)
		for n := range 10 {
			r.ask(r.token(claims{"jti": fmt.Sprint(n)}))
		}
		want("full", 5)
		if n := r.reviewer.Added(); n != 4 {
			t.Errorf("expected 4 of those that were added to be remembered, got %d", n)
		}
		time.Sleep(10*time.Second + time.Nanosecond)
		r.ask(first)
		want("the last alone, and a refusal", 2)
	})
}

func TestWhatIsDecidedAgainHoldsFromThenOn(t *testing.T) {
	remember(t, "allowedTTL: 5m", func(t *testing.T, r *remembering) {
		token := r.token(nil)
		r.ask(token)
		r.publish(t, r.key, issuertest.NewKey("next", "ES256"))
		time.Sleep(2 * time.Minute)
		r.want(t, "with other keys", token, reason.Allowed, false)
		time.Sleep(4 * time.Minute)
		r.ask(r.token(claims{"jti": "another"})) // when the first decision would be over
		r.want(t, "then", token, reason.Allowed, true)
	})
}

// burst reviews one token many times at once, and returns the answers when all are there;
// meanwhile is what happens when all wait.
func (r *remembering) burst(token string, number int, meanwhile func()) []tokenreview.Answer {
	answers := make([]tokenreview.Answer, number)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			defer func() { _ = recover() }() // as a Handler does
			answers[i] = r.ask(token)
		})
	}
	synctest.Wait()
	meanwhile()
	all.Wait()
	return answers
}

func count(answers []tokenreview.Answer, matches func(*tokenreview.Answer) bool) (number int) {
	for i := range answers {
		if matches(&answers[i]) {
			number++
		}
	}
	return number
}

func accepted(answer *tokenreview.Answer) bool { return answer.User != nil }

func cached(answer *tokenreview.Answer) bool { return answer.Cached }

func TestABurstOfOneTokenIsDecidedOnce(t *testing.T) {
	remember(t, "", func(t *testing.T, r *remembering) {
		answering := make(chan struct{})
		r.cluster.do = func(context.Context, int) (string, error) {
			<-answering
			return "", nil
		}
		answers := r.burst(r.account(nil), 100, func() { close(answering) })
		if r.cluster.questions.Load() != 1 || count(answers, accepted) != 100 || count(answers, cached) != 99 {
			t.Errorf("expected one decision for 100, got %d, %d accepted, %d of them another's", r.cluster.questions.Load(), count(answers, accepted), count(answers, cached))
		}
	})
}

func TestWhatCannotBeDecidedIsSaidToAllWhoWaitAndThenForgotten(t *testing.T) {
	remember(t, "", func(t *testing.T, r *remembering) {
		failing := make(chan struct{})
		r.cluster.do = func(context.Context, int) (string, error) {
			<-failing
			return "", fmt.Errorf("no answer")
		}
		token := r.account(nil)
		answers := r.burst(token, 100, func() { close(failing) })
		undecided := func(answer *tokenreview.Answer) bool {
			return answer.Undecided && answer.Issuer == "build" && answer.Reason() == "LivenessUnavailable"
		}
		if r.cluster.questions.Load() != 1 || count(answers, undecided) != 100 {
			t.Errorf("expected one question and 100 answers, got %d and %d", r.cluster.questions.Load(), count(answers, undecided))
		}
		r.cluster.do = nil
		r.want(t, "afterwards", token, reason.Allowed, false)
	})
}

func TestADecisionThatHoldsNoMoreIsGivenToNobodyWhoCameSince(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, r *remembering)
		code   string
	}{
		{"as its token has expired", func(*testing.T, *remembering) { time.Sleep(5*time.Second + time.Nanosecond) }, "Expired"},
		{"as its issuer has withdrawn the key", func(t *testing.T, r *remembering) {
			next := issuertest.NewKey("next", "ES256")
			r.publish(t, next)
			time.Sleep(2 * time.Second)
			_, _ = r.reviewer.Rules().Issuers.Verify(t.Context(), next.Sign(claims{"iss": "https://build.example"}), nil) // has the keys fetched
		}, "KeyUnknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			remember(t, "", func(t *testing.T, r *remembering) {
				answering := make(chan struct{})
				r.cluster.do = func(context.Context, int) (string, error) {
					<-answering
					return "", nil
				}
				token := r.account(claims{"exp": in(5 * time.Second)})
				r.burst(token, 1, func() {
					test.change(t, r)
					since := r.burst(token, 3, func() { close(answering) })
					refused := func(answer *tokenreview.Answer) bool { return answer.Reason() == test.code }
					if got := count(since, refused); got != 3 {
						t.Errorf("expected %s, got %+v", test.code, since)
					}
				})
			})
		})
	}
}

// To name it would cost more than to refuse it, where anybody has made it up.
func TestALongTokenIsDecidedForEachWhoAsks(t *testing.T) {
	remember(t, "", func(t *testing.T, r *remembering) {
		answering := make(chan struct{})
		r.cluster.do = func(context.Context, int) (string, error) {
			<-answering
			return "", nil
		}
		answers := r.burst(r.account(claims{"filler": strings.Repeat("x", 16<<10)}), 2, func() { close(answering) })
		if r.cluster.questions.Load() != 2 || count(answers, accepted) != 2 || count(answers, cached) != 0 {
			t.Errorf("expected two decisions, got %d and %+v", r.cluster.questions.Load(), answers)
		}
	})
}

func TestThatThereWereTooManyIsNotRemembered(t *testing.T) {
	remember(t, "", func(t *testing.T, r *remembering) {
		answering := make(chan struct{})
		r.cluster.do = func(context.Context, int) (string, error) {
			<-answering
			return "", nil
		}
		one, two, three := r.account(nil), r.account(nil), r.account(nil)
		// Two are their issuer's whole part.
		r.burst(one, 1, func() {
			r.burst(two, 1, func() {
				if answer := r.ask(three); !answer.Overloaded {
					t.Errorf("expected one too many, got %+v", answer)
				}
				close(answering)
			})
		})
		r.want(t, "afterwards", three, reason.Allowed, false)
	})
}

func TestThoseWhoWaitForOneTokenLeaveRoomForOthers(t *testing.T) {
	remember(t, "", func(t *testing.T, r *remembering) {
		answering := make(chan struct{})
		r.cluster.do = func(context.Context, int) (string, error) {
			<-answering
			return "", nil
		}
		handler := tokenreview.NewHandler(r.reviewer, tokenreview.Options{Log: slog.New(slog.DiscardHandler)})
		serve := func(token string) int {
			request := httptest.NewRequest(http.MethodPost, "/authenticate", strings.NewReader(review("authentication.k8s.io/v1", token)))
			request.Header.Set("Content-Type", "application/json")
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			return recorder.Code
		}
		token := r.account(nil)
		var waiting sync.WaitGroup
		var accepted, shed atomic.Int64
		for range 4 { // as many as may be under way
			waiting.Go(func() {
				switch serve(token) {
				case http.StatusOK:
					accepted.Add(1)
				case http.StatusTooManyRequests:
					shed.Add(1)
				}
			})
		}
		time.Sleep(time.Second)
		if code := serve(r.token(nil)); code != http.StatusOK {
			t.Errorf("expected room for another issuer's token, got %d", code)
		}
		close(answering)
		waiting.Wait()
		// Two are their issuer's whole part.
		if accepted.Load() != 2 || shed.Load() != 2 {
			t.Errorf("expected two to be accepted and two to be shed, got %d and %d", accepted.Load(), shed.Load())
		}
	})
}

func TestAPanicIsNobodyElses(t *testing.T) {
	remember(t, "", func(t *testing.T, r *remembering) {
		panicking := make(chan struct{})
		r.cluster.do = func(_ context.Context, question int) (string, error) {
			if question == 1 {
				<-panicking
				panic("a mistake")
			}
			return "", nil
		}
		answers := r.burst(r.account(nil), 10, func() { close(panicking) })
		if got := count(answers, accepted); got != 9 {
			t.Errorf("expected the nine others to be accepted, got %d", got)
		}
	})
}

func TestTheEndOfWhoeverDecidesForAllIsNobodyElses(t *testing.T) {
	remember(t, "", func(t *testing.T, r *remembering) {
		r.cluster.do = func(ctx context.Context, question int) (string, error) {
			if question == 1 {
				<-ctx.Done()
				return "", ctx.Err()
			}
			return "", nil
		}
		token := r.account(nil)
		ctx, leave := context.WithCancel(t.Context())
		var first tokenreview.Answer
		var leading sync.WaitGroup
		leading.Go(func() { first = r.reviewer.Review(ctx, token, nil, nil) })
		synctest.Wait()
		answers := r.burst(token, 10, leave)
		leading.Wait()
		if !first.Undecided || count(answers, accepted) != 10 {
			t.Errorf("expected all but the one who has left to be accepted, got %v and %d", first.Refusal, count(answers, accepted))
		}
	})
}

func TestWhoeverHasWaitedForTooLongIsToldWhatForTheyHave(t *testing.T) {
	remember(t, "", func(t *testing.T, r *remembering) {
		r.cluster.do = func(ctx context.Context, question int) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}
		token := r.account(nil)
		var leading sync.WaitGroup
		leading.Go(func() { r.ask(token) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		answer := r.reviewer.Review(ctx, token, nil, nil)
		if took := time.Since(begun); took != time.Second || !answer.Undecided || answer.Issuer != "build" || answer.Reason() != "LivenessUnavailable" {
			t.Errorf("expected LivenessUnavailable of build after a second, got %+v after %s", answer, took)
		}
		leading.Wait()
	})
}

func TestAChangeOfTheRulesIsNotWaitedFor(t *testing.T) {
	remember(t, "", func(t *testing.T, r *remembering) {
		answering := make(chan struct{})
		r.cluster.do = func(_ context.Context, question int) (string, error) {
			if question == 1 {
				<-answering
			}
			return "", nil
		}
		token := r.account(nil)
		var leading sync.WaitGroup
		leading.Go(func() { r.ask(token) })
		synctest.Wait()
		r.reviewer.Use(r.reviewer.Rules())
		r.want(t, "by the rules that are in force now", token, reason.Allowed, false)
		close(answering)
		leading.Wait()
	})
}
