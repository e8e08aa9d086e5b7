package liveness_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/pkg/liveness"
)

// crowd holds back the questions about the tokens it asks about.
type crowd struct {
	group   sync.WaitGroup
	release chan struct{}
	// left counts those who have an answer, or none in time.
	left atomic.Int64
}

// gather has checker ask about n tokens, no more than share of one account, and
// returns when the server has all these questions.
func gather(t *testing.T, server *apiServer, checker *liveness.Checker, n, share int) *crowd {
	t.Helper()
	c := &crowd{release: make(chan struct{})}
	arrived, held := make(chan struct{}, n), map[string]bool{}
	for i := range n {
		held[newToken(fmt.Sprint("held", i))] = true
	}
	server.answerWith(func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		if held[review.Spec.Token] {
			arrived <- struct{}{}
			<-c.release
		}
		review.Status = alive()
		w.WriteHeader(http.StatusCreated)
		if err := json.NewEncoder(w).Encode(review); err != nil {
			t.Error(err)
		}
	})
	i := 0
	for token := range held {
		account := subject
		if i >= share {
			account = fmt.Sprint("system:serviceaccount:ci:", i/share)
		}
		i++
		c.group.Go(func() {
			_, _ = checker.Check(t.Context(), token, audiences, account)
			c.left.Add(1)
		})
	}
	for range n {
		<-arrived
	}
	return c
}

func (c *crowd) leave() {
	close(c.release)
	c.group.Wait()
}

// expectPatience asks for a caller who soon leaves, and must not be told anything
// before.
func expectPatience(t *testing.T, checker *liveness.Checker, token, account string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if problem, err := checker.Check(ctx, token, audiences, account); problem != "" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("expected the question to wait for its turn, got problem %q, error %v", problem, err)
	}
}

func TestAQuestionTooManyWaitsForItsTurn(t *testing.T) {
	server := startAPIServer(t, nil)
	checker, _ := newChecker(t, server, time.Minute)
	crowd := gather(t, server, checker, 128, 8)
	expectPatience(t, checker, token, "system:serviceaccount:ci:other")
	server.expectQuestions(t, 128)
	crowd.leave()
	expectAlive(t, checker, token)
}

func TestOneAccountKeepsNoOtherOut(t *testing.T) {
	server := startAPIServer(t, nil)
	checker, _ := newChecker(t, server, time.Minute)
	crowd := gather(t, server, checker, 8, 8)
	var queue sync.WaitGroup
	for i := range 200 {
		token := newToken(fmt.Sprint("queued", i))
		queue.Go(func() { expectAlive(t, checker, token) })
	}
	expectPatience(t, checker, token, subject)
	server.expectQuestions(t, 8)
	// The others' answer is that the token is not theirs, which is an answer.
	if problem, err := checker.Check(t.Context(), token, audiences, "system:serviceaccount:ci:other"); problem == "" || err != nil {
		t.Errorf("expected another account to be answered at once, got problem %q, error %v", problem, err)
	}
	server.expectQuestions(t, 9)
	crowd.leave()
	queue.Wait()
	expectAlive(t, checker, token)
}

// Without HTTP/2 each question takes a connection.
func TestOneAccountDoesNotTakeAllConnections(t *testing.T) {
	server := startAPIServer(t, func(s *httptest.Server) { s.EnableHTTP2 = false })
	checker, _ := newChecker(t, server, time.Minute)
	crowd := gather(t, server, checker, 8, 8)
	if problem, err := checker.Check(t.Context(), token, audiences, "system:serviceaccount:ci:other"); problem == "" || err != nil || crowd.left.Load() > 0 {
		t.Errorf("expected another account to be answered before the crowd leaves, got problem %q, error %v, %d left", problem, err, crowd.left.Load())
	}
	crowd.leave()
}

// The question is one of the 8 of its account, and all wait for what the first meets.
func TestAQuestionThatWaitsIsNotAskedAfterAFailureOfAll(t *testing.T) {
	server := startAPIServer(t, nil)
	checker, _ := newChecker(t, server, time.Minute)
	release, arrived := make(chan struct{}), make(chan struct{}, 8)
	server.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		w.WriteHeader(http.StatusTooManyRequests)
	})
	var group sync.WaitGroup
	for i := range 8 {
		token := newToken(fmt.Sprint(i))
		group.Go(func() { expectError(t, checker, token, "429 Too Many Requests") })
	}
	for range 8 {
		<-arrived
	}
	expectPatience(t, checker, token, subject)
	close(release)
	group.Wait()
	expectError(t, checker, token, "429 Too Many Requests")
	server.expectQuestions(t, 8)
}
