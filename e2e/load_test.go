package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
)

// answer is what the API server has to say to a stream's tokens.
type answer int32

const (
	// either while a change is under way: both answers are right, as long as there
	// is one.
	either answer = iota
	accepted
	refused
)

func (a answer) String() string {
	return [...]string{either: "either", accepted: "accepted", refused: "refused"}[a]
}

// stream is an endless number of tokens of one kind.
type stream struct {
	name string
	// token makes another token, never the same twice: no cache on the way has
	// seen it. username is whose it is, where the token is good.
	token func(n int64) (token, username string)

	want    atomic.Int32
	serial  atomic.Int64
	answers atomic.Int64
	// slowest is the longest that an answer took, in nanoseconds.
	slowest atomic.Int64
}

func newStream(name string, want answer, token func(n int64) (token, username string)) *stream {
	s := &stream{name: name, token: token}
	s.expect(want)
	return s
}

func (s *stream) expect(want answer)     { s.want.Store(int32(want)) }
func (s *stream) expected() answer       { return answer(s.want.Load()) }
func (s *stream) next() (string, string) { return s.token(s.serial.Add(1)) }

func (s *stream) took(d time.Duration) {
	for {
		slowest := s.slowest.Load()
		if int64(d) <= slowest || s.slowest.CompareAndSwap(slowest, int64(d)) {
			return
		}
	}
}

// requestTimeout is as long as the API server waits for its webhook.
const requestTimeout = 30 * time.Second

// ask sends one more token of the stream and returns how it was answered.
func (s *stream) ask(ctx context.Context, server *cluster.APIServer) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	token, username := s.next()
	got, ok, err := server.WhoAmI(ctx, token)
	switch {
	case err != nil:
		return either, err
	case !ok:
		return refused, nil
	case got != username:
		return accepted, fmt.Errorf("answered with the user %q, want %q", got, username)
	default:
		return accepted, nil
	}
}

// load keeps asking the API server with every stream, and checks every answer.
type load struct {
	server  *cluster.APIServer
	streams []*stream
	mu      sync.Mutex
	wrong   []string
	dropped int
}

const (
	// workersPerStream ask at the same time; pace is the shortest time between two
	// questions of one.
	workersPerStream = 2
	pace             = 20 * time.Millisecond
	// shownWrong bounds what a failed test prints.
	shownWrong = 20
)

// startLoad asks until it is stopped; whatever was answered wrongly by then fails
// the test. It has to be stopped before the programs that it asks.
func startLoad(t *testing.T, server *cluster.APIServer, streams ...*stream) (l *load, stop func()) {
	t.Helper()
	l = &load{server: server, streams: streams}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var workers sync.WaitGroup
	for _, s := range streams {
		for range workersPerStream {
			workers.Go(func() { l.work(ctx, s) })
		}
	}
	return l, func() {
		t.Helper()
		cancel()
		workers.Wait()
		l.report(t)
	}
}

func (l *load) work(ctx context.Context, s *stream) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		before := s.expected()
		// The end of the test does not end a question: each is owed an answer.
		start := time.Now()
		got, err := s.ask(context.WithoutCancel(ctx), l.server)
		s.took(time.Since(start))
		after := s.expected()
		switch {
		case err != nil:
			l.fault(s, "%v", err)
		case before == after && before != either && got != before:
			l.fault(s, "%s, want %s", got, before)
		}
		s.answers.Add(1)
	}
}

func (l *load) fault(s *stream, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) == shownWrong {
		l.dropped++
		return
	}
	l.wrong = append(l.wrong, fmt.Sprintf("%s %s: %s", time.Now().Format("15:04:05.000"), s.name, fmt.Sprintf(format, args...)))
}

func (l *load) report(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, wrong := range l.wrong {
		t.Error(wrong)
	}
	if l.dropped > 0 {
		t.Errorf("and %d more", l.dropped)
	}
	// What the API server says of a webhook that it did not reach or understand.
	for line := range strings.Lines(l.server.Log(0)) {
		if strings.Contains(line, "Failed to make webhook authenticator request") {
			t.Errorf("the API server logs: %s", line)
		}
	}
	for _, s := range l.streams {
		t.Logf("%5d requests with %s, the slowest took %s", s.answers.Load(), s.name,
			time.Duration(s.slowest.Load()).Round(time.Millisecond))
	}
}

// carriesOn waits until every stream has had n more answers, right or wrong.
func (l *load) carriesOn(t *testing.T, n int64) {
	t.Helper()
	for _, s := range l.streams {
		enough := s.answers.Load() + n
		cluster.Eventually(t, fmt.Sprintf("%d more answers to %s", n, s.name), time.Minute, func() error {
			if have := enough - s.answers.Load(); have > 0 {
				return fmt.Errorf("%d are missing", have)
			}
			return nil
		})
	}
}

// becomes waits until a stream is answered in another way than before, and from
// then on wants no other answer.
func (l *load) becomes(t *testing.T, s *stream, want answer) {
	t.Helper()
	cluster.Eventually(t, fmt.Sprintf("%s is %s", s.name, want), time.Minute, func() error {
		got, err := s.ask(t.Context(), l.server)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("still %s", got)
		}
		return nil
	})
	s.expect(want)
}
