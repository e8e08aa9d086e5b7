package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"tokenreview.dev/webhook/internal/acceptance"
	"tokenreview.dev/webhook/internal/freeport"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"webhook": main})
}

var rfc3339 = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// compareTimes is the scripts' command cmptimes: cmp of a text in which TIME stands for
// every time.
func compareTimes(ts *testscript.TestScript, negated bool, files []string) {
	if negated || len(files) != 2 {
		ts.Fatalf("usage: cmptimes FILE FILE")
	}
	got := rfc3339.ReplaceAllString(ts.ReadFile(files[0]), "TIME")
	if diff := cmp.Diff(ts.ReadFile(files[1]), got); diff != "" {
		ts.Fatalf("expected -, got +:\n%s", diff)
	}
}

// awaitReady is the scripts' command ready: it waits until the server is whose health
// port is given.
func awaitReady(ts *testscript.TestScript, negated bool, ports []string) {
	if negated || len(ports) != 1 {
		ts.Fatalf("usage: ready PORT")
	}
	deadline := time.Now().Add(time.Minute)
	for {
		response, err := http.Get("http://127.0.0.1:" + ports[0] + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the server is not ready: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// The scripts find in their folder one configuration for all acceptance cases,
// cases.yaml, whose issuers run, and their tokens as CASE/TOKEN.jwt.
func TestScripts(t *testing.T) {
	cases, err := acceptance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	running := acceptance.StartIssuers(cases)
	t.Cleanup(running.Close)
	configuration, err := acceptance.Configuration(cases, running)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"cmptimes": compareTimes, "ready": awaitReady},
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"PORT", "HEALTH_PORT"} {
				port, err := freeport.Pick()
				if err != nil {
					return err
				}
				env.Setenv(name, strconv.Itoa(port))
			}
			env.Setenv("BEL", "\a") // what a terminal obeys, for a file's name
			if err := os.WriteFile(filepath.Join(env.WorkDir, "cases.yaml"), configuration, 0o600); err != nil {
				return err
			}
			for _, c := range cases {
				folder := filepath.Join(env.WorkDir, c.Name)
				if err := os.Mkdir(folder, 0o700); err != nil {
					return err
				}
				for _, token := range c.Tokens(time.Now()) {
					name := filepath.Join(folder, token.FileName()+".jwt")
					if err := os.WriteFile(name, []byte(running.Sign(c, token)+"\n"), 0o600); err != nil {
						return err
					}
				}
			}
			return nil
		},
	})
}
