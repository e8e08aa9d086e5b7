// Package askingtest is what tests expect to be told of questions to somebody else.
package askingtest

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// Observer keeps what it is told. It is safe for concurrent use.
type Observer struct {
	mu        sync.Mutex
	answers   []string
	questions []time.Duration
}

// Answered is told of an answer.
func (o *Observer) Answered(cached bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers = append(o.answers, map[bool]string{true: "cached", false: "success"}[cached])
	if err != nil {
		o.answers[len(o.answers)-1] = "failure"
	}
}

// Asked is told of a question.
func (o *Observer) Asked(took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.questions = append(o.questions, took)
}

// Questions are how long each took since the last time.
func (o *Observer) Questions() []time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.questions)
}

// Expect wants just these answers since the last time, and so many questions.
func (o *Observer) Expect(t *testing.T, questions int, answers ...string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.answers, answers) || len(o.questions) != questions {
		t.Errorf("expected answers %q and %d questions, got %q and %v", answers, questions, o.answers, o.questions)
	}
	for _, took := range o.questions {
		if took <= 0 {
			t.Errorf("expected a question to take time, got %s", took)
		}
	}
	o.answers, o.questions = nil, nil
}
