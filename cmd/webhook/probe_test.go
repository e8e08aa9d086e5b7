package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAProbeFailsUnlessTheAnswerIs200(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/livez" {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "[-]configuration failed\x1b[2J")
		}
	}))
	defer server.Close()
	// A proxy would be asked about itself.
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	if err := probe(context.Background(), server.URL+"/livez"); err != nil {
		t.Errorf("200: %v", err)
	}
	for what, test := range map[string]struct{ url, want string }{
		"503":              {server.URL + "/readyz", `/readyz answers 503 Service Unavailable: "[-]configuration failed\x1b[2J"`},
		"nobody listens":   {"http://127.0.0.1:1/livez", "connection refused"},
		"no URL":           {"livez", "unsupported protocol scheme"},
		"a broken URL":     {"http://[::1", "missing ']' in host"},
		"not over network": {"file:///etc/passwd", "unsupported protocol scheme"},
	} {
		if err := probe(context.Background(), test.url); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", what, err, test.want)
		}
	}
}
