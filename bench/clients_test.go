package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A refusal is sooner made than a decision, and is not to be measured for one.
func TestOnlyAnAnswerThatLetsTheTokenInCounts(t *testing.T) {
	for _, test := range []struct {
		name   string
		http2  bool
		status int
		answer string
		counts bool
	}{
		{"let in", true, http.StatusOK, `{"status":{"authenticated":true}}`, true},
		{"refused", true, http.StatusOK, `{"status":{"authenticated":false}}`, false},
		{"too many requests", true, http.StatusTooManyRequests, `{"status":{"authenticated":true}}`, false},
		{"over HTTP/1.1", false, http.StatusOK, `{"status":{"authenticated":true}}`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			answering := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.answer))
			}))
			answering.EnableHTTP2 = test.http2
			answering.StartTLS()
			defer answering.Close()
			all := &clients{server: &server{url: answering.URL}}
			var answer bytes.Buffer
			if err := all.one(t.Context(), answering.Client(), reviewBody("a.b.c"), &answer); (err == nil) != test.counts {
				t.Errorf("expected it to count: %v, got %v", test.counts, err)
			}
		})
	}
}
