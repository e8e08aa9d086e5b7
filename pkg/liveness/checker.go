package liveness

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/util/cache"
)

const (
	// questionTimeout bounds one question and its answer.
	questionTimeout = 5 * time.Second
	// maxQuestions is how many tokens are asked about at a time. Waiting holds a
	// stream of the API server's one HTTP/2 connection, which has 250.
	maxQuestions = 128
	// maxRemembered is for how many tokens the answer is remembered.
	maxRemembered = 4096
	// pause is how long a failure is repeated before the cluster is asked again.
	pause = time.Second
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
	// nothing.
	CacheTTL time.Duration
}

// Options are a Checker's surroundings.
type Options struct {
	// Now is the clock by which answers and failures grow old, time.Now if nil.
	Now func() time.Time
}

// Checker asks one cluster whether tokens are alive. It is safe for concurrent use.
type Checker struct {
	cluster cluster
	ttl     time.Duration
	now     func() time.Time

	secret  [sha256.Size]byte
	known   *cache.LRUExpireCache // digest → outcome
	flights singleflight.Group
	slots   chan struct{}

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
	c := &Checker{
		cluster: cluster{path: config.Kubeconfig},
		ttl:     config.CacheTTL,
		now:     options.Now,
		known:   cache.NewLRUExpireCacheWithClock(maxRemembered, clock(options.Now)),
		slots:   make(chan struct{}, maxQuestions),
	}
	_, _ = rand.Read(c.secret[:]) // never fails
	return c
}

type clock func() time.Time

func (c clock) Now() time.Time { return c() }

// outcome is what Check returns.
type outcome struct {
	problem string
	err     error
}

// Check asks the cluster that issued token whether it still honours it. audiences are
// the token's aud, subject its sub ("system:serviceaccount:NAMESPACE:NAME"). problem
// says in one sentence why the token is not alive, and is empty if it is. err means
// that it could not be told: the token must not be taken for alive.
//
// Neither text holds the token. What the cluster said in them is one printable line.
func (c *Checker) Check(ctx context.Context, token string, audiences []string, subject string) (problem string, err error) {
	if token == "" || subject == "" || len(audiences) == 0 {
		return "a token without a subject or an audience cannot be asked about", nil
	}
	key := c.digest(token, audiences, subject)
	if known, ok := c.recall(key); ok {
		return known.problem, known.err
	}
	// The question belongs to all who wait for it, and has its own deadline. That ends
	// a loop as well: where the kubeconfig by mistake leads to the cluster whose API
	// server asks this webhook, that API server asks about the same token while the
	// first question is under way, joins it here, and both end at its deadline. The
	// question never multiplies.
	flight := c.flights.DoChan(string(key[:]), func() (any, error) {
		return c.ask(key, token, audiences, subject), nil
	})
	select {
	case result := <-flight:
		answer := result.Val.(outcome)
		return answer.problem, answer.err
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for the cluster's answer: %w", ctx.Err())
	}
}

// ask asks the cluster, and remembers what came of it.
func (c *Checker) ask(key digest, token string, audiences []string, subject string) outcome {
	// Another flight may have landed since the caller looked.
	if known, ok := c.recall(key); ok {
		return known
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	default:
		return outcome{err: fmt.Errorf("the cluster is being asked about %d other tokens already", maxQuestions)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), questionTimeout)
	defer cancel()
	status, err := c.cluster.review(ctx, token, audiences)
	if err != nil {
		c.repeat(key, err)
		return outcome{err: err}
	}
	answer := outcome{problem: verdict(status, audiences, subject, token)}
	if c.ttl > 0 {
		c.known.Add(key, answer, c.ttl)
	}
	return answer
}

// recall returns what needs no question: a remembered answer, or a failure so recent
// that it is repeated.
func (c *Checker) recall(key digest) (outcome, bool) {
	if known, ok := c.known.Get(key); ok {
		return known.(outcome), true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Before(c.resume) {
		return outcome{err: c.failure}, true
	}
	return outcome{}, false
}

// repeat has err repeated for a while. A failure that a token may have caused is
// repeated for that token alone, or whoever holds it could keep all others out.
func (c *Checker) repeat(key digest, err error) {
	var failed *failure
	if !errors.As(err, &failed) || !failed.everyToken {
		c.known.Add(key, outcome{err: err}, pause)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = err
	c.resume = c.now().Add(min(max(failed.retryAfter, pause), maxPause))
}

type digest [sha256.Size]byte

// digest names a question in memory. Without the secret, which never leaves the
// process, it tells nothing of the token.
func (c *Checker) digest(token string, audiences []string, subject string) digest {
	h := hmac.New(sha256.New, c.secret[:])
	writeText(h, token)
	writeText(h, subject)
	for _, audience := range audiences {
		writeText(h, audience)
	}
	return digest(h.Sum(nil))
}

// writeText writes text with its length before it, so that no two lists of texts are
// written alike.
func writeText(h hash.Hash, text string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(text)))
	_, _ = h.Write(length[:])
	_, _ = h.Write([]byte(text))
}
