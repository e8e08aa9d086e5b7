package resend_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tokenreview.dev/webhook/internal/resend"
)

func TestARequestIsSentOnceMore(t *testing.T) {
	const kept = 8
	var together sync.WaitGroup
	together.Add(kept)
	var warm atomic.Bool
	var hangUps, requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, ok := r.Header["Idempotency-Key"]; ok {
			t.Error("expected the header not to be sent")
		}
		if !warm.Load() {
			together.Done()
			together.Wait() // so that each takes a connection of its own
			return
		}
		requests.Add(1)
		if hangUps.Add(-1) >= 0 {
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: kept}}
	post := func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		resend.Once(request)
		response, err := client.Do(request)
		if err == nil {
			err = response.Body.Close()
		}
		return err
	}
	var group sync.WaitGroup
	for range kept {
		group.Go(func() {
			if err := post(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	warm.Store(true)
	for _, test := range []struct {
		name              string
		hangUps, requests int64
		fails             bool
	}{
		{"where one connection is closed", 1, 2, false},
		{"and no more where the next is, too", 2, 2, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			hangUps.Store(test.hangUps)
			requests.Store(0)
			if err := post(); (err != nil) != test.fails || requests.Load() != test.requests {
				t.Errorf("expected %d requests and an error: %v, got %d and %v", test.requests, test.fails, requests.Load(), err)
			}
		})
	}
}
