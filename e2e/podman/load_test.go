//go:build linux

package podman

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/internal/issuertest"
)

const (
	// workers ask at the same time, and each pauses for pace between two questions.
	workers = 4
	pace    = 20 * time.Millisecond
	// answerTimeout is as long as the API server waits for its webhook.
	answerTimeout = 30 * time.Second
	// shownWrong bounds what a failed test prints.
	shownWrong = 20
)

// load keeps asking the API server about tokens of users who may come in and of a forger
// who may not, none of which it has seen before.
type load struct {
	server *cluster.APIServer
	issuer *issuertest.Issuer
	forger issuertest.Key
	end    func()

	serial, accepted, refused, forgeries atomic.Int64
	// slowest is the longest that an answer took, in nanoseconds.
	slowest atomic.Int64
	// mayRefuse is while the webhook is away and after it has come back, until somebody has
	// seen that.
	mayRefuse atomic.Bool

	mu    sync.Mutex
	wrong []string
}

// claims are of a token that is good for longer than the test.
func claims(subject string) issuertest.Claims {
	return issuertest.Claims{"sub": subject, "aud": audience, "exp": time.Now().Add(time.Hour).Unix()}
}

func startLoad(t *testing.T, server *cluster.APIServer, issuer *issuertest.Issuer) *load {
	t.Helper()
	l := &load{server: server, issuer: issuer, forger: issuertest.NewKey(issuer.Key().ID, jwa.ES256)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for ticker := time.NewTicker(pace); ctx.Err() == nil; <-ticker.C {
				l.ask(context.WithoutCancel(ctx), worker%2 == 0)
			}
		})
	}
	l.end = func() { cancel(); group.Wait() }
	t.Cleanup(l.end)
	return l
}

// ask asks about one more token. That of a forger is never to be accepted, and a good one
// is: but while the webhook is away, when nobody is.
func (l *load) ask(ctx context.Context, good bool) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	subject := fmt.Sprintf("user-%d", l.serial.Add(1))
	claims := claims(subject).With(issuertest.Claims{"iss": l.issuer.URL})
	token := l.issuer.Sign(claims)
	if !good {
		token = l.forger.Sign(claims)
	}
	before := l.mayRefuse.Load()
	asked := time.Now()
	username, accepted, err := l.server.WhoAmI(ctx, token)
	l.took(time.Since(asked))
	switch {
	case err != nil:
		l.fault("%s: %v", subject, err)
	case !good && accepted:
		l.fault("%s: a forgery was accepted, as %s", subject, username)
	case !good:
		l.forgeries.Add(1)
	case accepted && username != "pod:"+subject:
		l.fault("%s: accepted as %s", subject, username)
	case accepted:
		l.accepted.Add(1)
	case before || l.mayRefuse.Load():
		l.refused.Add(1)
	default:
		l.fault("%s: refused while the webhook was there", subject)
	}
}

func (l *load) took(d time.Duration) {
	for slowest := l.slowest.Load(); slowest < int64(d) && !l.slowest.CompareAndSwap(slowest, int64(d)); {
		slowest = l.slowest.Load()
	}
}

func (l *load) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) < shownWrong {
		l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
	}
}

// carriesOn waits for more answers of each kind.
func (l *load) carriesOn(t *testing.T) {
	t.Helper()
	const more = 50
	accepted, forgeries := l.accepted.Load()+more, l.forgeries.Load()+more
	cluster.Eventually(t, fmt.Sprintf("%d more answers of each kind", more), patience, func() error {
		if l.accepted.Load() < accepted || l.forgeries.Load() < forgeries {
			return fmt.Errorf("%d accepted, %d forgeries refused", l.accepted.Load(), l.forgeries.Load())
		}
		return nil
	})
}

// heals kills the webhook and waits until podman has started it again and it answers.
func (l *load) heals(t *testing.T) {
	t.Helper()
	before := inspect(t, webhookContainer)
	// Signals to process 0 go to this test and all who started it.
	if before.State.Pid <= 0 {
		t.Fatalf("the webhook does not run: %+v", before.State)
	}
	l.mayRefuse.Store(true)
	// As the kernel does when memory is short.
	if err := syscall.Kill(before.State.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, "podman starts the webhook again", patience, func() error {
		after := inspect(t, webhookContainer)
		if !after.State.Running || after.State.Pid == before.State.Pid || after.RestartCount != before.RestartCount+1 {
			return fmt.Errorf("pid %d, running %t, restarted %d times", after.State.Pid, after.State.Running, after.RestartCount)
		}
		return nil
	})
	accepted := l.accepted.Load()
	// More than can have been under way before.
	cluster.Eventually(t, "tokens are accepted again", patience, func() error {
		if have := l.accepted.Load() - accepted; have <= workers {
			return fmt.Errorf("%d were", have)
		}
		return nil
	})
	l.mayRefuse.Store(false)
}

// stop ends the questions, and the test if an answer was wrong.
func (l *load) stop(t *testing.T) {
	t.Helper()
	l.end()
	for _, wrong := range l.wrong {
		t.Error(wrong)
	}
	// Few or none: the API server tries again for as long as podman takes.
	t.Logf("%d accepted, %d forgeries refused, %d good tokens refused while the webhook was away; the slowest answer took %s",
		l.accepted.Load(), l.forgeries.Load(), l.refused.Load(), time.Duration(l.slowest.Load()).Round(time.Millisecond))
}
