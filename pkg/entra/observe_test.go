package entra_test

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"testing"
	"testing/synctest"
	"time"

	"tokenreview.dev/webhook/internal/askingtest"
	"tokenreview.dev/webhook/internal/entratest"
	"tokenreview.dev/webhook/pkg/entra"
)

// observedBy has somebody told of lookups.
func observedBy(o *askingtest.Observer, options entra.GraphOptions) entra.GraphOptions {
	options.OnAnswer, options.OnQuestion = o.Answered, o.Asked
	return options
}

func TestEveryAnswerIsToldAndEveryQuestion(t *testing.T) {
	server, observed, clock := startServer(t), new(askingtest.Observer), newNow()
	config := config(t)
	config.CacheTTL = time.Hour
	graph := entra.NewGraph(config, observedBy(observed, entra.GraphOptions{Transport: server.Transport(), Now: clock.Now}))

	expectGroups(t, graph, jane, admins, mailing)
	observed.Expect(t, 1, "success")
	expectGroups(t, graph, jane, admins, mailing)
	observed.Expect(t, 0, "cached")
	if _, known, err := graph.Groups(t.Context(), nobody, false); known || err != nil {
		t.Fatalf("expected nobody, got %v, %v", known, err)
	}
	observed.Expect(t, 1, "success") // it is an answer
	_, _, _ = graph.Groups(t.Context(), "no id", false)
	observed.Expect(t, 0) // nobody looks that up

	server.AnswerGraph(entratest.Throttled("30"))
	expectError(t, graph, joe, "answered 429")
	observed.Expect(t, 1, "failure")
	expectError(t, graph, joe, "no request before")
	observed.Expect(t, 0, "failure") // repeated, and not asked again

	clock.pass(time.Minute)
	writeFile(t, config.ClientSecretFile, "")
	expectError(t, graph, joe, "is empty")
	observed.Expect(t, 0, "failure") // there was nothing to ask with
}

func TestAQuestionThatManyShareIsToldOnceAndEachAnswer(t *testing.T) {
	server := startServer(t)
	synctest.Test(t, func(t *testing.T) {
		observed := new(askingtest.Observer)
		// As net/http's own transport does it.
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.GetConn != nil {
				trace.GetConn(r.URL.Host)
			}
			return direct(server).RoundTrip(r)
		})
		graph := entra.NewGraph(config(t), observedBy(observed, entra.GraphOptions{Transport: transport}))
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
		if took := fmt.Sprint(observed.Questions()); took != "[2s]" {
			t.Errorf("expected one question of 2s, got %s", took)
		}
		observed.Expect(t, 1, "success", "success", "success")
	})
}
