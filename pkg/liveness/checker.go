package liveness

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/util/cache"

	"tokenreview.dev/webhook/internal/asking"
	"tokenreview.dev/webhook/internal/keyedhash"
	"tokenreview.dev/webhook/internal/redact"
	"tokenreview.dev/webhook/internal/retryafter"
	"tokenreview.dev/webhook/internal/span"
)

const (
	// questionTimeout bounds one question, its wait for a slot and its answer included.
	questionTimeout = 5 * time.Second
	// maxRemembered is for how many tokens the answer is remembered.
	maxRemembered = 4096
	// pause is how long a failure is repeated before the cluster is asked again.
	pause = time.Second
	// maxErrorRemembered bounds CacheTTL for an answer that comes with an error: that of a
	// pod which is gone, and that of a cluster which could not look, are worded alike.
	maxErrorRemembered = 10 * time.Second
	// maxPause bounds what the cluster's Retry-After makes of pause.
	maxPause = 30 * time.Second
)

// Config says which cluster is asked.
type Config struct {
	// Kubeconfig is the absolute path of the kubeconfig whose current context leads to
	// the cluster. It and the files it names are read at every question, so changed
	// credentials are used at once.
	Kubeconfig string
	// CacheTTL is how long an answer is remembered, and so how long a deleted pod or
	// account, or a change of the kubeconfig's server, may go unnoticed. 0 remembers
	// nothing. An answer that comes with an error is remembered for 10 seconds at most.
	CacheTTL time.Duration
}

// Options are a Checker's surroundings.
type Options struct {
	// Now is the clock by which answers, failures and closed connections grow old, time.Now
	// if nil.
	Now func() time.Time
	// OnAnswer is told of every answer that Check gives, also where several share one
	// question: whether it was remembered, or why there is none. A failure that is repeated
	// without a question is one.
	OnAnswer func(cached bool, err error)
	// OnQuestion is told how long the cluster took, for every question that was put to it.
	// Both are called from several goroutines; nil means that nobody is told.
	OnQuestion func(took time.Duration)
}

// Checker asks one cluster whether tokens are alive. It is safe for concurrent use.
type Checker struct {
	config  Config
	cluster cluster
	now     func() time.Time
	// onAnswer and onQuestion are never nil.
	onAnswer   func(cached bool, err error)
	onQuestion func(took time.Duration)

	names   *keyedhash.Hash
	known   *cache.LRUExpireCache // keyedhash.Sum → outcome
	flights singleflight.Group
	slots   *slots

	mu      sync.Mutex
	failure error     // what every question would meet,
	resume  time.Time // until then
}

// New returns a Checker. It neither reads the kubeconfig nor connects before the
// first question.
func New(config Config, options Options) *Checker {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.OnAnswer == nil {
		options.OnAnswer = func(bool, error) {}
	}
	if options.OnQuestion == nil {
		options.OnQuestion = func(time.Duration) {}
	}
	return &Checker{
		onAnswer: options.OnAnswer, onQuestion: options.OnQuestion,
		config:  config,
		cluster: cluster{path: config.Kubeconfig, standing: &standing{now: options.Now}},
		now:     options.Now,
		known:   cache.NewLRUExpireCacheWithClock(maxRemembered, clock(options.Now)),
		slots:   newSlots(),
		names:   keyedhash.New(nil),
	}
}

// Config is what the Checker was made with.
func (c *Checker) Config() Config { return c.config }

// CheckFiles reads the kubeconfig and the files it names, and sends nothing. Its error
// is the one that a question would meet now.
func (c *Checker) CheckFiles() error {
	_, err := c.cluster.connect()
	return err
}

// Close closes the connections that no question uses. A question may be asked still,
// and opens a new one.
func (c *Checker) Close() { c.cluster.closeIdleConnections() }

type clock func() time.Time

func (c clock) Now() time.Time { return c() }

// outcome is what Check returns.
type outcome struct {
	problem string
	err     error
	// cached is whether it was remembered.
	cached bool
}

// Check asks the cluster that issued token whether it still honours it. audiences are
// the token's aud, subject its sub ("system:serviceaccount:NAMESPACE:NAME"). problem
// says in one sentence why the token is not alive, and is empty if it is. err means
// that it could not be told: the token must not be taken for alive. If errors.As finds
// a method Away() bool in it that returns true, nobody answered at the cluster's
// address, which no token brings about; the package's comment says when.
//
// Neither text holds the token. What the cluster said in them is one printable line.
func (c *Checker) Check(ctx context.Context, token string, audiences []string, subject string) (problem string, err error) {
	if token == "" || subject == "" || len(audiences) == 0 {
		return "a token without a subject or an audience cannot be asked about", nil
	}
	answer := c.check(ctx, token, audiences, subject)
	c.onAnswer(answer.cached, answer.err)
	return answer.problem, answer.err
}

func (c *Checker) check(ctx context.Context, token string, audiences []string, subject string) (answer outcome) {
	key := c.names.Texts(append([]string{token, subject}, audiences...)...)
	if known, ok := c.recall(key); ok {
		return known
	}
	ctx, step := span.Start(ctx, "check liveness")
	defer func() { step.End(answer.err) }()
	step.Set(span.Kubeconfig.String(c.config.Kubeconfig))
	// The question belongs to all who wait for it, and has its own deadline. That ends
	// a loop as well: where the kubeconfig by mistake leads to the cluster whose API
	// server asks this webhook, that API server asks about the same token while the
	// first question is under way, joins it here, and both end at its deadline. The
	// question never multiplies.
	flight := c.flights.DoChan(string(key[:]), func() (_ any, err error) {
		defer redact.Panic(&err) // which would end the process
		return c.ask(span.Keep(ctx), key, token, audiences, subject), nil
	})
	select {
	case result := <-flight:
		if result.Err != nil {
			return outcome{err: fmt.Errorf("asking the cluster: %w", result.Err)}
		}
		return result.Val.(outcome)
	case <-ctx.Done():
		return outcome{err: fmt.Errorf("waiting for the cluster's answer: %w", ctx.Err())}
	}
}

// ask asks the cluster, and remembers what came of it. ctx has no end of its own.
func (c *Checker) ask(ctx context.Context, key keyedhash.Sum, token string, audiences []string, subject string) outcome {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	release, err := c.slots.take(ctx, subject)
	if err != nil {
		return outcome{err: err}
	}
	defer release()
	// Another flight may have landed since the caller looked, or failed for all.
	if known, ok := c.recall(key); ok {
		return known
	}
	timed, asked := asking.Begin(ctx)
	status, err := c.cluster.review(timed, token, audiences)
	if took, ok := asked(); ok {
		c.onQuestion(took)
	}
	if err != nil {
		c.repeat(key, err)
		return outcome{err: err}
	}
	answer := outcome{problem: verdict(status, audiences, subject, token)}
	remembered := c.config.CacheTTL
	if status.Error != "" {
		remembered = min(remembered, maxErrorRemembered)
	}
	if remembered > 0 {
		c.known.Add(key, answer, remembered)
	}
	return answer
}

// recall returns what needs no question: a remembered answer, or a failure so recent
// that it is repeated.
func (c *Checker) recall(key keyedhash.Sum) (outcome, bool) {
	if known, ok := c.known.Get(key); ok {
		answer := known.(outcome)
		answer.cached = answer.err == nil
		return answer, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Before(c.resume) {
		return outcome{err: c.failure}, true
	}
	return outcome{}, false
}

// repeat has err repeated for a while. A failure that a token may have caused is
// repeated for that token alone, or whoever holds it could keep all others out. A
// cluster that fails for each of them is asked about each once a pause, by slots.
func (c *Checker) repeat(key keyedhash.Sum, err error) {
	var failed *failure
	if !errors.As(err, &failed) || !failed.everyToken {
		c.known.Add(key, outcome{err: err}, pause)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	// Another question may have failed meanwhile, and found a longer pause.
	if resume := now.Add(retryafter.Wait(failed.retryAfter, now, pause, maxPause)); resume.After(c.resume) {
		c.failure, c.resume = err, resume
	}
}
