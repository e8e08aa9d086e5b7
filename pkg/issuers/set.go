package issuers

import (
	"context"
	"fmt"
	"strings"
	"time"

	oteltrace "go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

// OpenID Connect Core §15.6.2: Google's iss may lack the scheme.
const (
	googleIssuer           = "https://accounts.google.com"
	googleIssuerSchemeless = "accounts.google.com"
)

// Options is what a Set needs from its surroundings.
type Options struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// OnFetch is told of every fetch of keys, OnSave of every attempt to save them and
	// OnRestore of keys that were saved, whether or not they can be used; from several
	// goroutines. Nil means that nobody is.
	OnFetch, OnSave, OnRestore func(issuer string, err error)
	// StateDir is the directory in which fetched keys are saved, for the next process
	// to go on with while their issuer is away. Empty means nowhere.
	StateDir string
	// Tracer makes a span of each fetch of keys from elsewhere, nil none.
	Tracer oteltrace.Tracer
}

// Set is the issuers of one configuration. It is immutable and safe for
// concurrent use; a new configuration is a new Set.
type Set struct {
	issuers []*Issuer
	byURL   map[string]*Issuer
	room    *semaphore.Weighted // of previous sets, too: they may have tokens that wait
}

// Verification is what is known of a token after Verify. The zero value is a token
// of which nothing is known.
type Verification struct {
	// Issuer is the one configured for the token's iss, nil where the token is
	// none of ours. Until Proven, only the token says that it is from it.
	Issuer *Issuer
	// Proven is whether Issuer is shown to have signed the token.
	Proven bool
	// Signed are the claims that the issuer has signed, for the record: for somebody, at
	// some time. Nil unless Proven.
	Signed *Claims
	// Keys is the set that has proven the token, nil unless Proven.
	Keys *KeySet
	// Claims are those to decide by, nil unless they are for us and for now.
	Claims *Claims
	// Expiry is the token's exp, zero until its claims are found to be for us and for now.
	Expiry time.Time
	// Asked is whether somebody else was asked for a claim (a distributed claim), whatever
	// they said.
	Asked bool
	// Refusal is why there are no claims.
	Refusal reason.Refusal
}

// NewSet makes a set of issuers and starts fetching the keys of those whose keys
// come from elsewhere than in previous, which may be nil. The others go on with
// the keys they have. Until the first fetch, keys that were saved serve.
func NewSet(configs []Config, previous *Set, options Options) (*Set, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	for _, observer := range []*func(string, error){&options.OnFetch, &options.OnSave, &options.OnRestore} {
		if *observer == nil {
			*observer = func(string, error) {}
		}
	}
	set := &Set{byURL: make(map[string]*Issuer, len(configs)+1), room: newRoom()}
	if previous != nil {
		set.room = previous.room
	}
	for _, config := range configs {
		issuer, err := newIssuer(config, options)
		if err != nil {
			return nil, fmt.Errorf("issuer %q: %w", config.Name, err)
		}
		if set.byURL[config.URL] != nil {
			return nil, fmt.Errorf("issuer %q: its URL is another's as well", config.Name)
		}
		set.issuers = append(set.issuers, issuer)
		set.byURL[config.URL] = issuer
		if config.URL == googleIssuer {
			set.byURL[googleIssuerSchemeless] = issuer
		}
	}
	for _, issuer := range set.issuers {
		if old := previous.sameSource(issuer.config); old != nil {
			if old.config.Name == issuer.config.Name && old.config.Keys.MaxStaleness == issuer.config.Keys.MaxStaleness {
				issuer.keys = old.keys
				continue
			}
			issuer.keys.current.Store(old.keys.current.Load())
		}
		issuer.keys.room = set.room
		if found, err := issuer.keys.restore(); found {
			options.OnRestore(issuer.config.Name, err)
		}
		issuer.keys.start()
	}
	return set, nil
}

// sameSource returns the issuer of s of the same URL whose keys come from the same
// place, nil if there is none.
func (s *Set) sameSource(config Config) *Issuer {
	if s == nil {
		return nil
	}
	old := s.byURL[config.URL]
	if old == nil || !old.config.Keys.sameSource(config.Keys) {
		return nil
	}
	return old
}

// Close ends the background work of the issuers whose keys next, which may be
// nil, does not go on with. Verify may still be called, and finds the keys as they
// were.
func (s *Set) Close(next *Set) {
	kept := make(map[*keys]bool)
	if next != nil {
		for _, issuer := range next.issuers {
			kept[issuer.keys] = true
		}
	}
	for _, issuer := range s.issuers {
		if !kept[issuer.keys] {
			issuer.keys.close()
		}
		if issuer.claimsClient != nil {
			issuer.claimsClient.CloseIdleConnections()
		}
	}
}

// AwaitFirstFetch waits until every issuer's first fetch has ended, well or not,
// or until ctx is done.
func (s *Set) AwaitFirstFetch(ctx context.Context) {
	for _, issuer := range s.issuers {
		issuer.keys.awaitFirst(ctx)
	}
}

// AwaitFirstFetchFor waits like AwaitFirstFetch, for the one issuer that the token
// says it is from.
func (s *Set) AwaitFirstFetchFor(ctx context.Context, token string) {
	if _, issuer, _ := s.parse(token, nil); issuer != nil {
		issuer.keys.awaitFirst(ctx)
	}
}

// parse takes a token apart and finds the issuer that it says it is from, or says
// why there is none.
func (s *Set) parse(token string, t *trace.Trace) (untrustedToken, *Issuer, reason.Refusal) {
	refuse := func(check string, code reason.Code, text string) (untrustedToken, *Issuer, reason.Refusal) {
		t.Add(check, trace.Failed, text)
		return untrustedToken{}, nil, reason.Refusal{Code: code, Text: text}
	}
	untrusted, err := parseToken(token)
	if err != nil {
		return refuse("token", reason.TokenMalformed, err.Error())
	}
	untrustedIssuer, err := untrusted.claims.String("iss")
	if err != nil {
		return refuse("iss", reason.TokenMalformed, "iss: "+err.Error())
	}
	issuer := s.byURL[untrustedIssuer]
	if issuer == nil {
		return refuse("iss", reason.IssuerUnknown, s.unknownText(untrustedIssuer))
	}
	if t.On() {
		detail := issuer.config.URL
		if untrustedIssuer != detail {
			detail = untrustedIssuer + " is another spelling of " + detail
		}
		t.Add("iss", trace.Passed, detail)
	}
	return untrusted, issuer, reason.Refusal{}
}

// Verify finds the issuer configured for the token's iss and has it prove the
// token. A non-nil error means that it cannot be told whether the token is good,
// a *reason.Unavailable saying what was missing; it must not be remembered.
func (s *Set) Verify(ctx context.Context, token string, t *trace.Trace) (Verification, error) {
	untrusted, issuer, refusal := s.parse(token, t)
	if !refusal.IsZero() {
		return Verification{Refusal: refusal}, nil
	}
	verification := Verification{Issuer: issuer}
	var err error
	verification.Keys, verification.Refusal, err = issuer.verifySignature(ctx, untrusted, t)
	if err != nil {
		return verification, &reason.Unavailable{Code: reason.KeysUnavailable, Err: err}
	}
	if !verification.Refusal.IsZero() {
		return verification, nil
	}
	// From here on the claims are the issuer's own words.
	verification.Proven, verification.Signed = true, untrusted.claims
	verification.Expiry, verification.Refusal = issuer.checkClaims(untrusted.claims, issuer.config.Audiences, t)
	if !verification.Refusal.IsZero() {
		return verification, nil
	}
	claims, asked, refusal, err := s.resolveGroups(ctx, issuer, untrusted.claims, t)
	verification.Asked = asked
	if err != nil {
		return verification, &reason.Unavailable{Code: reason.ClaimsUnavailable, Err: err}
	}
	verification.Refusal = refusal
	if refusal.IsZero() {
		verification.Claims = claims
	}
	return verification, nil
}

// unknownText helps with the two ways in which issuers are most often misspelt.
func (s *Set) unknownText(untrusted string) string {
	text := fmt.Sprintf("no issuer is configured for iss %.200q", untrusted)
	for _, issuer := range s.issuers {
		if strings.EqualFold(strings.TrimSuffix(issuer.config.URL, "/"), strings.TrimSuffix(untrusted, "/")) {
			return text + fmt.Sprintf("; %q differs from it in case or in the trailing slash, which count", issuer.config.URL)
		}
	}
	return text
}

// Status is how an issuer's keys are at one moment.
type Status struct {
	// Name is the issuer's.
	Name string
	// Keys is how many keys can verify a signature; zero while there are none.
	Keys int
	// Skipped says which of the issuer's keys are not used, and why.
	Skipped []error
	// Fetched is when they were last had; zero while there are none.
	Fetched time.Time
	// Restored is whether another process fetched and saved them.
	Restored bool
	// Err is why no token can be verified now, nil if tokens can be.
	Err error
	// LastErr is why the last fetch failed, nil if it did not.
	LastErr error
	// SaveErr is why the keys were last not saved, or not restored; nil if they were or
	// need not be.
	SaveErr error
	// MaxStaleness is how old the keys may become; zero where they do not age.
	MaxStaleness time.Duration
}

// Statuses tells how each issuer's keys are, in the order of the configuration.
func (s *Set) Statuses() []Status {
	statuses := make([]Status, 0, len(s.issuers))
	for _, issuer := range s.issuers {
		status := Status{Name: issuer.config.Name}
		if current := issuer.keys.current.Load(); current != nil {
			status.Keys, status.Skipped = current.set.Len(), current.set.Skipped()
			status.Fetched, status.Restored = current.at, current.restored
		}
		if issuer.keys.maxStaleness != neverStale {
			status.MaxStaleness = issuer.keys.maxStaleness
		}
		_, status.Err = issuer.keys.get()
		if err := issuer.keys.failure.Load(); err != nil {
			status.LastErr = *err
		}
		if issuer.keys.saver != nil {
			status.SaveErr = issuer.keys.saver.problem()
		}
		statuses = append(statuses, status)
	}
	return statuses
}
