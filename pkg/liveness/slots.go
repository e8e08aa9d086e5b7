package liveness

import (
	"context"
	"fmt"
	"sync"
)

const (
	// maxQuestions is how many tokens are asked about at a time. Waiting holds a
	// stream of the API server's one HTTP/2 connection, which has 250.
	maxQuestions = 128
	// maxQuestionsPerSubject is how many of them are about tokens of one subject, so
	// that one account reaches neither maxQuestions nor the API server's own limits,
	// and keeps nobody else out.
	maxQuestionsPerSubject = 8
)

// slots bound how many questions are under way. Those beyond wait for their turn, each
// subject's in a queue of its own. The zero value is not usable.
type slots struct {
	all chan struct{}

	mu       sync.Mutex
	subjects map[string]*share // of those who hold a slot or wait for one
}

// share is what one subject may have of the slots.
type share struct {
	slots chan struct{}
	users int // how many hold one of slots or wait for one
}

func newSlots() *slots {
	return &slots{all: make(chan struct{}, maxQuestions), subjects: map[string]*share{}}
}

// take waits for a slot until ctx ends. Whoever got one gives it back by release.
func (s *slots) take(ctx context.Context, subject string) (release func(), err error) {
	own := s.enter(subject)
	select {
	case own.slots <- struct{}{}:
	case <-ctx.Done():
		s.leave(subject, own)
		return nil, fmt.Errorf("%d questions about other tokens of this account are under way: %w", maxQuestionsPerSubject, ctx.Err())
	}
	select {
	case s.all <- struct{}{}:
	case <-ctx.Done():
		<-own.slots
		s.leave(subject, own)
		return nil, fmt.Errorf("%d questions about other tokens are under way: %w", maxQuestions, ctx.Err())
	}
	return func() {
		<-s.all
		<-own.slots
		s.leave(subject, own)
	}, nil
}

func (s *slots) enter(subject string) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.subjects[subject]
	if own == nil {
		own = &share{slots: make(chan struct{}, maxQuestionsPerSubject)}
		s.subjects[subject] = own
	}
	own.users++
	return own
}

// leave forgets a subject that nobody is asking about any more.
func (s *slots) leave(subject string, own *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(s.subjects, subject)
	}
}
