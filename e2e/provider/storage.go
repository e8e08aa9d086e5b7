package provider

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Person is somebody who may sign in, with their e-mail address.
type Person struct {
	// Subject is the sub of their tokens (OpenID Connect Core §2).
	Subject       string
	Email         string
	EmailVerified bool
	// Claims are put into their tokens as well, such as groups. They do not replace
	// what the provider says itself. It does not say that an address is not verified:
	// it leaves email_verified out then.
	Claims map[string]any
}

// storage is what the provider keeps, in memory.
type storage struct {
	// What signing in with an authorization code does not need is not there: a call
	// of it panics, the connection breaks, and whoever waits for an answer fails.
	op.Storage

	clientIDs []string

	mu sync.Mutex
	// keys are the published ones; the last signs.
	keys []key
	// people are found by their e-mail address.
	people   map[string]Person
	requests map[string]*request
}

var (
	_ op.Storage                   = (*storage)(nil)
	_ op.CanSetUserinfoFromRequest = (*storage)(nil)
)

func (s *storage) setPerson(person Person) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people[person.Email] = person
}

func (s *storage) rotateKey() error {
	next, err := newKey()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = []key{s.keys[len(s.keys)-1], next}
	return nil
}

// signIn makes a request that of the person with an e-mail address, and reports
// whether there are both.
func (s *storage) signIn(requestID, email string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	request, person := s.requests[requestID], s.people[email]
	if request == nil || person.Subject == "" {
		return false
	}
	request.subject, request.at = person.Subject, time.Now()
	return true
}

// find returns the request that a condition holds for.
func (s *storage) find(condition func(*request) bool) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, request := range s.requests {
		if condition(request) {
			// As it is now: what it becomes later is of no concern to the caller.
			found := *request
			return &found, nil
		}
	}
	return nil, fmt.Errorf("no such request among %d", len(s.requests))
}

func (s *storage) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	created := &request{AuthRequest: *asked, id: rand.Text()}
	s.requests[created.id] = created
	return created, nil
}

func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	return s.find(func(r *request) bool { return r.id == id })
}

func (s *storage) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	return s.find(func(r *request) bool { return r.code == code && code != "" })
}

func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	request := s.requests[id]
	if request == nil {
		return fmt.Errorf("no request to keep a code for among %d", len(s.requests))
	}
	request.code = code
	return nil
}

// DeleteAuthRequest makes a code good for one token only.
func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, id)
	return nil
}

// CreateAccessToken keeps nothing: nobody asks for more than the ID token.
func (s *storage) CreateAccessToken(context.Context, op.TokenRequest) (string, time.Time, error) {
	return rand.Text(), time.Now().Add(idTokenLifetime), nil
}

func (s *storage) SigningKey(context.Context) (op.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return signingKey{s.keys[len(s.keys)-1]}, nil
}

func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

func (s *storage) KeySet(context.Context) ([]op.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var published []op.Key
	for _, key := range s.keys {
		published = append(published, publishedKey{key})
	}
	return published, nil
}

func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if !slices.Contains(s.clientIDs, id) {
		return nil, fmt.Errorf("no application has the client id %q", id)
	}
	return application(id), nil
}

// SetUserinfoFromScopes does nothing, as op.OPStorage wants.
func (s *storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// SetUserinfoFromRequest says what an ID token says of its person.
func (s *storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, person := range s.people {
		if person.Subject != request.GetSubject() {
			continue
		}
		info.Subject = person.Subject
		if slices.Contains(scopes, oidc.ScopeEmail) {
			info.Email = person.Email
			info.EmailVerified = oidc.Bool(person.EmailVerified)
		}
		info.Claims = maps.Clone(person.Claims)
		return nil
	}
	return fmt.Errorf("nobody has the subject %q", request.GetSubject())
}
