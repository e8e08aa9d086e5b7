package entra

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/util/cache"

	"tokenreview.dev/webhook/internal/asking"
	"tokenreview.dev/webhook/internal/redact"
	"tokenreview.dev/webhook/internal/span"
)

const (
	// lookupTimeout bounds one lookup, waiting for others and for an access token
	// included.
	lookupTimeout = 5 * time.Second
	// maxLookups is how many lookups may be under way: users who come all at once
	// must not become Graph's load.
	maxLookups = 16
	// maxUnknownCached bounds CacheTTL for a principal that is not known: one that has just
	// been made may not be found everywhere yet.
	maxUnknownCached = 10 * time.Second
	// maxCached is how many answers are kept. Each is of somebody with more groups than
	// fit into a token: of 300 it takes 20 KB, of 11,000, which is the most, 700 KB.
	maxCached = 1024
)

// GraphConfig is how Microsoft Graph is asked for the groups of one tenant. Whoever
// makes one has checked that it is as described here. The application needs the
// application permissions GroupMember.Read.All and User.ReadBasic.All to look up
// users, Application.Read.All to look up service principals, and an administrator's
// consent (https://learn.microsoft.com/graph/api/directoryobject-getmembergroups).
type GraphConfig struct {
	// Tenant is the id of the tenant whose principals are looked up, a GUID.
	Tenant string
	Cloud  Cloud
	// ClientID is the id of the application that asks.
	ClientID string
	// ClientSecretFile and ClientAssertionFile are absolute paths, exactly one of
	// them given: of the application's client secret, or of a token that it accepts
	// as a federated credential (a projected service account token, for example).
	// They may be replaced at any time: a secret is read again for each lookup, an
	// assertion for each new access token.
	ClientSecretFile, ClientAssertionFile string
	// SecurityEnabledOnly asks for security groups alone. Otherwise the answer also
	// has Microsoft 365 groups, distribution lists and directory roles.
	SecurityEnabledOnly bool
	// CacheTTL is how long an answer may be used again. 0 means never. That there is no
	// such principal is remembered for 10 seconds at most.
	CacheTTL time.Duration
}

// GraphOptions are the means of a Graph.
type GraphOptions struct {
	// Transport carries the requests. nil means one that honours HTTPS_PROXY and
	// NO_PROXY and wants TLS 1.2 or newer. Whichever it is, it only ever sees
	// requests to the cloud's own two hosts.
	Transport http.RoundTripper
	// Now is the clock of the cache and of pauses; nil means time.Now. Access tokens
	// age by the system's clock, which is that of the library that keeps them.
	Now func() time.Time
	// OnAnswer is told of every answer that Groups gives about an object id, also where
	// several share one lookup: whether it was remembered, or why there is none. A failure
	// that is repeated without a request is one.
	OnAnswer func(cached bool, err error)
	// OnQuestion is told how long Microsoft took, the access token included, for every
	// lookup that made a request; a Transport other than net/http's has to call
	// httptrace's GetConn for it. Both are called from several goroutines; nil means that
	// nobody is told.
	OnQuestion func(took time.Duration)
}

// Graph looks up group memberships in one tenant. It is safe for concurrent use.
type Graph struct {
	config  GraphConfig
	client  *http.Client
	tokens  *tokens
	pause   *pause
	flights singleflight.Group
	slots   chan struct{}
	cache   *cache.LRUExpireCache // nil without CacheTTL
	// onAnswer and onQuestion are never nil.
	onAnswer   func(cached bool, err error)
	onQuestion func(took time.Duration)
}

// NewGraph returns a client. It reads no file and sends nothing.
func NewGraph(config GraphConfig, options GraphOptions) *Graph {
	now := options.Now
	if now == nil {
		now = time.Now
	}
	transport := options.Transport
	if transport == nil {
		transport = newTransport()
	}
	if options.OnAnswer == nil {
		options.OnAnswer = func(bool, error) {}
	}
	if options.OnQuestion == nil {
		options.OnQuestion = func(time.Duration) {}
	}
	config.Tenant = strings.ToLower(config.Tenant)
	client := newClient(transport, config.Cloud)
	pause := newPause(now)
	g := &Graph{
		onAnswer: options.OnAnswer, onQuestion: options.OnQuestion,
		config: config,
		client: client,
		pause:  pause,
		tokens: &tokens{config: config, client: client, pause: pause, slot: make(chan struct{}, 1)},
		slots:  make(chan struct{}, maxLookups),
	}
	if config.CacheTTL > 0 {
		g.cache = cache.NewLRUExpireCacheWithClock(maxCached, clock(now))
	}
	return g
}

// Config is what the Graph was made with, the tenant in lower case.
func (g *Graph) Config() GraphConfig { return g.config }

// principal is whose groups are looked up; it is the key of caches.
type principal struct {
	objectID string // a GUID in lower case
	service  bool
}

// answer is what Entra says of a principal.
type answer struct {
	groups []string
	known  bool
	// cached is whether it was remembered.
	cached bool
}

// Groups returns the object ids, in lower case, of the groups that a principal is a
// member of, directly or through other groups. known is false if Entra has no such
// principal any more, or never had because objectID is no GUID. An error means that
// it could not be told; its text is one line, bounded, and without any part of a
// credential.
//
// Callers who ask for the same principal share one lookup, which goes on for the
// others when one leaves, and its answer: groups must not be changed. It is at most
// CacheTTL old.
func (g *Graph) Groups(ctx context.Context, objectID string, servicePrincipal bool) (groups []string, known bool, err error) {
	if !IsGUID(objectID) {
		return nil, false, nil
	}
	who := principal{objectID: strings.ToLower(objectID), service: servicePrincipal}
	found, err := g.find(ctx, who)
	g.onAnswer(found.cached, err)
	return found.groups, found.known, err
}

// find looks for the answer where it may be: in memory, at somebody else who asks, and
// at Graph.
func (g *Graph) find(ctx context.Context, who principal) (_ answer, err error) {
	if cached, ok := g.cached(who); ok {
		return cached, nil
	}
	ctx, step := span.Start(ctx, "look up groups")
	defer func() { step.End(err) }()
	step.Set(span.Tenant.String(g.config.Tenant))
	flight := g.flights.DoChan(who.path(), func() (_ any, err error) {
		defer redact.Panic(&err) // which would end the process
		ctx, cancel := context.WithTimeout(span.Keep(ctx), lookupTimeout)
		defer cancel()
		return g.lookup(ctx, who)
	})
	select {
	case <-ctx.Done():
		return answer{}, fmt.Errorf("look up groups: %w", ctx.Err())
	case result := <-flight:
		if result.Err != nil {
			return answer{}, fmt.Errorf("look up groups: %w", result.Err)
		}
		return result.Val.(answer), nil
	}
}

// CheckFiles reads the file of the application's credential, and sends nothing. Its
// error is the one that a request for an access token would meet now.
func (g *Graph) CheckFiles() error {
	if _, err := g.config.credential(); err != nil {
		return fmt.Errorf("access token: %w", err)
	}
	return nil
}

// Close closes the connections that no lookup uses. Groups may be looked up still,
// which opens new ones.
func (g *Graph) Close() { g.client.CloseIdleConnections() }

// lookup asks Graph, unless a lookup that has just ended did.
func (g *Graph) lookup(ctx context.Context, who principal) (answer, error) {
	if cached, ok := g.cached(who); ok {
		return cached, nil
	}
	if err := g.pause.checkFor(who); err != nil {
		return answer{}, err
	}
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-ctx.Done():
		return answer{}, fmt.Errorf("%d other lookups are under way: %w", maxLookups, ctx.Err())
	}
	ctx, asked := asking.Begin(ctx)
	found, err := g.ask(ctx, who)
	if took, ok := asked(); ok {
		g.onQuestion(took)
	}
	if err == nil && g.cache != nil {
		ttl := g.config.CacheTTL
		if !found.known {
			ttl = min(ttl, maxUnknownCached)
		}
		g.cache.Add(who, found, ttl)
	}
	return found, err
}

func (g *Graph) cached(who principal) (answer, bool) {
	if g.cache == nil {
		return answer{}, false
	}
	value, ok := g.cache.Get(who)
	if !ok {
		return answer{}, false
	}
	found := value.(answer)
	found.cached = true
	return found, true
}

// clock is the cache's view of a clock.
type clock func() time.Time

// Now returns the time.
func (c clock) Now() time.Time { return c() }
