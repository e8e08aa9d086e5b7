package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
)

// issuerSettings is the environment variable that makes a process of this test binary an
// issuer. Its value is a settings in JSON.
const issuerSettings = "TOKENREVIEW_CHAOS_ISSUER"

// settings are all that an issuer's process is told.
type settings struct {
	URL               string
	Port              int
	CertFile, KeyFile string
	// Dir has the files below.
	Dir string
}

// The files between an issuer's process and the test, which replaces those that it writes
// in one step.
const (
	// modeFile says how the issuer answers, a mode.
	modeFile = "mode"
	// keysFile is the key set; strangerFile one that the issuer has no business to publish.
	keysFile     = "keys.json"
	strangerFile = "stranger.json"
	// requestsFile has a line for each request: its path, and the mode then.
	requestsFile = "requests"
)

const (
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/keys"
)

// mode is how an issuer answers.
type mode string

const (
	well           mode = "well"
	hung           mode = "hung"
	slow           mode = "slow"
	dripping       mode = "dripping"
	failing        mode = "failing"
	garbage        mode = "garbage"
	emptied        mode = "emptied"
	oversized      mode = "oversized"
	toHTTP         mode = "to http"
	inCircles      mode = "in circles"
	anotherIssuer  mode = "another issuer"
	hangingUp      mode = "hanging up"
	strangerIssuer      = "https://another.example.com"
)

// slowness is how long a slow issuer takes. Two such answers are less than a webhook that
// starts waits for keys.
const slowness = 200 * time.Millisecond

// dripInterval is the time between two bytes of a dripping answer; a discovery document
// takes longer than anybody waits.
const dripInterval = 200 * time.Millisecond

// issuerProcess is an OpenID issuer that the test can make misbehave.
type issuerProcess struct {
	settings
	requests *os.File
}

// serveIssuer serves until it fails or the process is killed.
func serveIssuer(ctx context.Context, encoded string) error {
	p := &issuerProcess{}
	if err := json.Unmarshal([]byte(encoded), &p.settings); err != nil {
		return err
	}
	var err error
	p.requests, err = os.OpenFile(filepath.Join(p.Dir, requestsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	listener, err := cluster.ListenShared(ctx, p.Port)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	return server.ServeTLS(listener, p.CertFile, p.KeyFile)
}

func (p *issuerProcess) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := mode(p.read(modeFile))
	// One write of a short line: requests at the same time do not mix.
	if _, err := fmt.Fprintf(p.requests, "%s %s\n", r.URL.Path, now); err != nil {
		panic(err)
	}
	body := p.answer(r.URL.Path, now)
	w.Header().Set("Content-Type", "application/json")
	switch now {
	case hung:
		<-r.Context().Done()
	case slow:
		<-time.After(slowness)
		_, _ = w.Write(body)
	case dripping:
		drip(w, r, body)
	case failing:
		http.Error(w, "out of order", http.StatusInternalServerError)
	case toHTTP:
		http.Redirect(w, r, strings.Replace(p.URL, "https:", "http:", 1)+r.URL.Path, http.StatusFound)
	case inCircles:
		http.Redirect(w, r, p.URL+r.URL.Path, http.StatusFound)
	case hangingUp:
		panic(http.ErrAbortHandler)
	default:
		_, _ = w.Write(body)
	}
}

// answer is the document at a path. What a misbehaving issuer publishes in the place of
// its keys are keys whose tokens would be noticed.
func (p *issuerProcess) answer(path string, now mode) []byte {
	switch {
	case now == garbage:
		return []byte("<!DOCTYPE html><title>Please sign in to the hotel's network</title>")
	case path == discoveryPath:
		document := map[string]any{"issuer": p.URL, "jwks_uri": p.URL + keysPath}
		if now == anotherIssuer {
			document["issuer"] = strangerIssuer
		}
		data, err := json.Marshal(document)
		if err != nil {
			panic(err)
		}
		return data
	case now == emptied:
		return []byte(`{"keys":[]}`)
	case now == oversized:
		return append([]byte(p.read(strangerFile)), strings.Repeat(" ", 2<<20)...)
	case now == anotherIssuer:
		return []byte(p.read(strangerFile))
	default:
		return []byte(p.read(keysFile))
	}
}

func (p *issuerProcess) read(name string) string {
	data, err := os.ReadFile(filepath.Join(p.Dir, name))
	if err != nil {
		panic(err)
	}
	return string(data)
}

// drip writes an answer a byte at a time.
func drip(w http.ResponseWriter, r *http.Request, body []byte) {
	ticker := time.NewTicker(dripInterval)
	defer ticker.Stop()
	for i := range body {
		if _, err := w.Write(body[i : i+1]); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
	}
}
