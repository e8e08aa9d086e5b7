package entra_test

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tokenreview.dev/webhook/internal/entratest"
	"tokenreview.dev/webhook/pkg/entra"
)

// observer is what a Graph tells of its lookups.
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

func (o *observer) options(options entra.GraphOptions) entra.GraphOptions {
	options.OnAnswer, options.OnQuestion = o.answered, o.asked
	return options
}

func TestEveryAnswerIsToldAndEveryQuestion(t *testing.T) {
	server, observed, clock := startServer(t), new(observer), newNow()
	config := config(t)
	config.CacheTTL = time.Hour
	graph := entra.NewGraph(config, observed.options(entra.GraphOptions{Transport: server.Transport(), Now: clock.Now}))

	expectGroups(t, graph, jane, admins, mailing)
	observed.expect(t, 1, "success")
	expectGroups(t, graph, jane, admins, mailing)
	observed.expect(t, 0, "cached")
	if _, known, err := graph.Groups(t.Context(), nobody, false); known || err != nil {
		t.Fatalf("expected nobody, got %v, %v", known, err)
	}
	observed.expect(t, 1, "success") // it is an answer
	_, _, _ = graph.Groups(t.Context(), "no id", false)
	observed.expect(t, 0) // nobody looks that up

	server.AnswerGraph(entratest.Throttled("30"))
	expectError(t, graph, joe, "answered 429")
	observed.expect(t, 1, "failure")
	expectError(t, graph, joe, "no request before")
	observed.expect(t, 0, "failure") // repeated, and not asked again

	clock.pass(time.Minute)
	writeFile(t, config.ClientSecretFile, "")
	expectError(t, graph, joe, "is empty")
	observed.expect(t, 0, "failure") // there was nothing to ask with
}

func TestAQuestionThatManyShareIsToldOnceAndEachAnswer(t *testing.T) {
	server := startServer(t)
	synctest.Test(t, func(t *testing.T) {
		observed := new(observer)
		// As net/http's own transport does it.
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.GetConn != nil {
				trace.GetConn(r.URL.Host)
			}
			return direct(server).RoundTrip(r)
		})
		graph := entra.NewGraph(config(t), observed.options(entra.GraphOptions{Transport: transport}))
		release := make(chan struct{})
		server.AnswerGraph(hold(server, release))
		var asked []<-chan result
		for range 3 {
			asked = append(asked, ask(t.Context(), graph, jane))
		}
		synctest.Wait()
		time.Sleep(2 * time.Second)
		close(release)
		for _, out := range asked {
			<-out
		}
		if took := fmt.Sprint(observed.questions); took != "[2s]" {
			t.Errorf("expected one question of 2s, got %s", took)
		}
		observed.expect(t, 1, "success", "success", "success")
	})
}
