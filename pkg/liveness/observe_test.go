package liveness_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/askingtest"
	"tokenreview.dev/webhook/internal/span"
	"tokenreview.dev/webhook/internal/tracingtest"
	"tokenreview.dev/webhook/pkg/liveness"
)

// newObserved returns a Checker that remembers answers for a minute.
func newObserved(t *testing.T, kubeconfig []byte) (*liveness.Checker, *askingtest.Observer, *testClock) {
	t.Helper()
	observed, clock := new(askingtest.Observer), new(testClock)
	return liveness.New(liveness.Config{Kubeconfig: writeKubeconfig(t, kubeconfig), CacheTTL: time.Minute},
		liveness.Options{Now: clock.Now, OnAnswer: observed.Answered, OnQuestion: observed.Asked}), observed, clock
}

func TestEveryAnswerIsToldAndEveryQuestion(t *testing.T) {
	server := startAPIServer(t, nil)
	checker, observed, clock := newObserved(t, server.kubeconfig(nil))
	expectAlive(t, checker, token)
	observed.Expect(t, 1, "success")
	expectAlive(t, checker, token)
	observed.Expect(t, 0, "cached")

	server.answerStatus(authenticationv1.TokenReviewStatus{})
	if problem, err := checker.Check(t.Context(), newToken("dead"), audiences, subject); problem == "" || err != nil {
		t.Fatalf("expected a dead token, got %q, %v", problem, err)
	}
	observed.Expect(t, 1, "success") // it is an answer
	_, _ = checker.Check(t.Context(), "", audiences, subject)
	observed.Expect(t, 0) // nobody can be asked about that

	other := newToken("2")
	server.answerWith(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	expectError(t, checker, other, "the answer is 500")
	observed.Expect(t, 1, "failure")
	expectError(t, checker, other, "the answer is 500")
	observed.Expect(t, 0, "failure") // of this token, repeated

	server.answerWith(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	clock.pass(time.Hour)
	expectError(t, checker, newToken("3"), "the answer is 503")
	observed.Expect(t, 1, "failure")
	expectError(t, checker, newToken("4"), "the answer is 503")
	observed.Expect(t, 0, "failure") // of all tokens, repeated
}

func TestAKubeconfigThatCannotBeUsedIsNoQuestion(t *testing.T) {
	checker, observed, _ := newObserved(t, []byte("no kubeconfig"))
	expectError(t, checker, token, "it is not a kubeconfig")
	observed.Expect(t, 0, "failure")
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
	observed.Expect(t, 1, "failure", "failure", "failure", "failure", "failure")
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
		got = append(got, tracingtest.Text(ended))
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
