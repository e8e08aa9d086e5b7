package liveness_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/span"
	"tokenreview.dev/webhook/pkg/liveness"
)

// observer is what a Checker tells of its checks.
type observer struct {
	mu        sync.Mutex
	answers   []string
	questions []time.Duration
}

func (o *observer) answered(cached bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers = append(o.answers, map[bool]string{true: "cached", false: "success"}[cached])
	if err != nil {
		o.answers[len(o.answers)-1] = "failure"
	}
}

func (o *observer) asked(took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.questions = append(o.questions, took)
}

// expect wants just these answers since the last time, and so many questions.
func (o *observer) expect(t *testing.T, questions int, answers ...string) {
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

// newObserved returns a Checker that remembers answers for a minute.
func newObserved(t *testing.T, kubeconfig []byte) (*liveness.Checker, *observer, *testClock) {
	t.Helper()
	observed, clock := new(observer), new(testClock)
	return liveness.New(liveness.Config{Kubeconfig: writeKubeconfig(t, kubeconfig), CacheTTL: time.Minute},
		liveness.Options{Now: clock.Now, OnAnswer: observed.answered, OnQuestion: observed.asked}), observed, clock
}

func TestEveryAnswerIsToldAndEveryQuestion(t *testing.T) {
	server := startAPIServer(t, nil)
	checker, observed, clock := newObserved(t, server.kubeconfig(nil))
	expectAlive(t, checker, token)
	observed.expect(t, 1, "success")
	expectAlive(t, checker, token)
	observed.expect(t, 0, "cached")

	server.answerStatus(authenticationv1.TokenReviewStatus{})
	if problem, err := checker.Check(t.Context(), newToken("dead"), audiences, subject); problem == "" || err != nil {
		t.Fatalf("expected a dead token, got %q, %v", problem, err)
	}
	observed.expect(t, 1, "success") // it is an answer
	_, _ = checker.Check(t.Context(), "", audiences, subject)
	observed.expect(t, 0) // nobody can be asked about that

	other := newToken("2")
	server.answerWith(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	expectError(t, checker, other, "the answer is 500")
	observed.expect(t, 1, "failure")
	expectError(t, checker, other, "the answer is 500")
	observed.expect(t, 0, "failure") // of this token, repeated

	server.answerWith(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	clock.pass(time.Hour)
	expectError(t, checker, newToken("3"), "the answer is 503")
	observed.expect(t, 1, "failure")
	expectError(t, checker, newToken("4"), "the answer is 503")
	observed.expect(t, 0, "failure") // of all tokens, repeated
}

func TestAKubeconfigThatCannotBeUsedIsNoQuestion(t *testing.T) {
	checker, observed, _ := newObserved(t, []byte("no kubeconfig"))
	expectError(t, checker, token, "it is not a kubeconfig")
	observed.expect(t, 0, "failure")
}

func TestAQuestionThatManyShareIsToldOnceAndEachAnswer(t *testing.T) {
	server := startAPIServer(t, nil)
	checker, observed, _ := newObserved(t, server.kubeconfig(nil))
	arrived, release := make(chan struct{}), make(chan struct{})
	server.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		w.WriteHeader(http.StatusInternalServerError)
	})
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { _, _ = checker.Check(t.Context(), token, audiences, subject) })
	}
	<-arrived
	close(release)
	all.Wait()
	observed.expect(t, 1, "failure", "failure", "failure", "failure", "failure")
}

func TestACheckHasSpansThatTheClusterDoesNotLearnOf(t *testing.T) {
	server := startAPIServer(t, nil)
	server.acceptBy(func(r *http.Request) bool {
		for _, name := range []string{"Traceparent", "Tracestate", "Baggage"} {
			if r.Header.Get(name) != "" {
				t.Errorf("the cluster got a %s", name)
			}
		}
		return true
	})
	checker, _, _ := newObserved(t, server.kubeconfig(nil))
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer(span.Scope)
	ctx, request := tracer.Start(t.Context(), "POST /authenticate")
	if problem, err := checker.Check(ctx, token, audiences, subject); problem != "" || err != nil {
		t.Fatalf("expected the token to be alive, got %q, %v", problem, err)
	}
	other := newToken("2")
	server.answerWith(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	if _, err := checker.Check(ctx, other, audiences, subject); err == nil {
		t.Fatal("expected an error")
	}
	if _, err := checker.Check(ctx, other, audiences, subject); err == nil {
		t.Fatal("expected the error again")
	}

	var got []string
	for _, ended := range recorder.Ended() {
		line := fmt.Sprint(ended.Name(), " ", ended.SpanKind())
		for _, attribute := range ended.Attributes() {
			line += fmt.Sprintf(" %s=%s", attribute.Key, attribute.Value.String())
		}
		got = append(got, line)
		if ended.SpanContext().TraceID() != request.SpanContext().TraceID() || ended.Status().Description != "" || len(ended.Events()) > 0 {
			t.Errorf("expected %s to be part of the request's trace and to tell no more, got %v, %v", ended.Name(), ended.Status(), ended.Events())
		}
	}
	kubeconfig := " tokenreview.kubeconfig=" + checker.Config().Kubeconfig
	expected := []string{
		"ask the cluster client server.address=127.0.0.1 http.response.status_code=201",
		"check liveness internal" + kubeconfig,
		"ask the cluster client server.address=127.0.0.1 http.response.status_code=500 error.type=failure",
		"check liveness internal" + kubeconfig + " error.type=failure",
	}
	if text := strings.Join(got, "\n"); text != strings.Join(expected, "\n") {
		t.Errorf("expected\n%s\ngot\n%s", strings.Join(expected, "\n"), text)
	}
}
