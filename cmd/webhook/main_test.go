package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"tokenreview.dev/webhook/internal/acceptance"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"webhook": main})
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
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
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
