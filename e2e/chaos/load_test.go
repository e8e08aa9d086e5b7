package chaos

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/pkg/reason"
)

// expectation is what has to become of valid tokens.
type expectation int32

const (
	// sure: each is accepted.
	sure expectation = iota
	// unavailable: nothing can be said, since the keys are missing.
	unavailable
	// unsettled: either, while that changes.
	unsettled
)

// stream is an endless number of questions of one kind, and those who ask them.
type stream struct {
	name    string
	workers int
	next    func(n int64) question
	// waits is whether answers may take as long as a fetch of keys does.
	waits bool

	// ended has the workers stop.
	ended   atomic.Bool
	want    atomic.Int32
	serial  atomic.Int64
	answers atomic.Int64
	// slowest is the longest that an answer took, in nanoseconds.
	slowest atomic.Int64
}

// patience is how long an answer may take that needs nothing from an issuer. It is a thousand
// times what it takes, and less than a fetch that drips away until it is given up (8 s), which
// nobody else may wait for.
const patience = 7 * time.Second

// answersPerStep is how many answers each stream gets at least under each fault.
const answersPerStep = 25

// load keeps asking and judges every answer.
type load struct {
	client  *client
	streams []*stream
	ctx     context.Context
	workers sync.WaitGroup

	requests  atomic.Int64
	forgiving atomic.Bool

	mu    sync.Mutex
	wrong complaints
	lost  complaints
	late  complaints
	// cutOff are lost answers that a fault explains, and that were had by asking again.
	cutOff complaints
}

// complaints counts, and keeps the first few texts.
type complaints struct {
	count int
	shown []string
}

func (c *complaints) add(format string, args ...any) {
	const shown = 10
	c.count++
	if len(c.shown) < shown {
		c.shown = append(c.shown, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

// newLoad asks nothing yet.
func newLoad(t *testing.T, c *client) (l *load, stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l = &load{client: c, ctx: ctx}
	return l, func() {
		cancel()
		l.workers.Wait()
	}
}

// begin has the workers of a stream ask, until the load is stopped.
func (l *load) begin(streams ...*stream) {
	l.streams = append(l.streams, streams...)
	for _, s := range streams {
		for range s.workers {
			l.workers.Go(func() { l.work(s) })
		}
	}
}

func (l *load) work(s *stream) {
	ticker := time.NewTicker(*pace)
	defer ticker.Stop()
	for !s.ended.Load() {
		select {
		case <-l.ctx.Done():
			return
		case <-ticker.C:
			l.ask(s)
		}
	}
}

// askOnce has the workers of a stream ask n questions, as fast as they are answered.
func (l *load) askOnce(s *stream, n int64) {
	l.streams = append(l.streams, s)
	var left atomic.Int64
	left.Store(n)
	var workers sync.WaitGroup
	for range s.workers {
		workers.Go(func() {
			for left.Add(-1) >= 0 {
				l.ask(s)
			}
		})
	}
	workers.Wait()
}

// ask asks one question and judges the answer. The end of the test does not end it: each
// question is owed an answer.
func (l *load) ask(s *stream) {
	ctx := context.WithoutCancel(l.ctx)
	q := s.next(s.serial.Add(1))
	before, begun := expectation(s.want.Load()), time.Now()
	got := l.client.ask(ctx, q.token)
	took := time.Since(begun)
	if got.lost != nil && l.forgiving.Load() {
		got = l.insist(ctx, q, got)
	}
	want := expectation(s.want.Load())
	if want != before {
		want = unsettled
	}
	l.requests.Add(1)
	l.judge(q, got, want)
	s.took(took)
	if took > patience && !s.waits && !l.forgiving.Load() {
		l.mu.Lock()
		l.late.add("%s: after %s", q.what, took)
		l.mu.Unlock()
	}
	s.answers.Add(1)
}

func (s *stream) took(d time.Duration) {
	for {
		slowest := s.slowest.Load()
		if int64(d) <= slowest || s.slowest.CompareAndSwap(slowest, int64(d)) {
			return
		}
	}
}

// insist asks again until there is an answer, as people and programs do whom the API server
// has turned away once.
func (l *load) insist(ctx context.Context, q question, first answer) answer {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ticker := time.NewTicker(*pace)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return first
		case <-ticker.C:
		}
		if again := l.client.ask(ctx, q.token); again.lost == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.cutOff.add("%s: %s", q.what, first)
			return again
		}
	}
}

func (l *load) judge(q question, got answer, want expectation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var right bool
	switch {
	case got.lost != nil:
		l.lost.add("%s: %s", q.what, got)
		return
	case q.user == "":
		right = got.user == "" && slices.Contains(q.codes, got.code)
	case want == sure:
		right = got.user == q.user
	case want == unavailable:
		right = got.code == reason.KeysUnavailable
	default:
		right = got.user == q.user || got.code == reason.KeysUnavailable
	}
	if !right {
		l.wrong.add("%s: %s", q.what, got)
	}
}

// cutsOff fails the test if more answers had to be asked for again than can have been under
// way at so many moments.
func (l *load) cutsOff(t *testing.T, moments int) {
	t.Helper()
	workers := 0
	for _, s := range l.streams {
		workers += s.workers
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if most := moments * workers; l.cutOff.count > most {
		t.Errorf("%d questions had to be asked again, want %d at most", l.cutOff.count, most)
	}
}

// check fails the test for answers that were wrong, lost or late.
func (l *load) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for what, these := range map[string]complaints{"wrong": l.wrong, "lost": l.lost, "late": l.late} {
		if these.count > 0 {
			t.Errorf("%d answers of %d were %s:", these.count, l.requests.Load(), what)
		}
		for _, text := range these.shown {
			t.Error(text)
		}
	}
	for _, text := range l.cutOff.shown {
		t.Log("healed by asking again: ", text)
	}
	for _, s := range l.streams {
		t.Logf("%6d requests with %s, the slowest took %s", s.answers.Load(), s.name, time.Duration(s.slowest.Load()).Round(time.Millisecond))
	}
}

// carriesOn waits until the time has passed and every stream has had more answers,
// right or wrong.
func (l *load) carriesOn(t *testing.T, atLeast time.Duration) {
	t.Helper()
	passed := time.After(atLeast)
	for _, s := range l.streams {
		if s.waits || s.ended.Load() {
			continue
		}
		enough := s.answers.Load() + answersPerStep
		cluster.Eventually(t, "more answers to "+s.name, time.Minute, func() error {
			if have := enough - s.answers.Load(); have > 0 {
				return fmt.Errorf("%d are missing", have)
			}
			return nil
		})
	}
	select {
	case <-passed:
	case <-t.Context().Done():
	}
}

// expect says what has to become of the valid tokens of a stream from now on. An answer
// that is under way meanwhile may be either.
func (s *stream) expect(want expectation) { s.want.Store(int32(want)) }
