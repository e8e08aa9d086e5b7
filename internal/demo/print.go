package main

import (
	"fmt"
	"os"
	"path/filepath"

	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/acceptance"
	"tokenreview.dev/webhook/internal/whoami"
)

// say announces the next step.
func say(format string, args ...any) {
	fmt.Printf("==> "+format+"\n", args...)
}

func (d demonstration) printIssuers() {
	table := whoami.NewTable(os.Stdout)
	defer table.Flush()
	printed := map[string]bool{}
	for _, c := range d.cases {
		if !printed[c.Issuer] {
			printed[c.Issuer] = true
			fmt.Fprintf(table, "    %s\t%s\n", c.Issuer, d.issuers[c.Issuer].Address())
		}
	}
}

func printHeading(c acceptance.Case) {
	heading := fmt.Sprintf("%s (manifests/acceptance/%s)", c.Name, c.Configuration)
	fmt.Printf("\n%s\n", heading)
	for range heading {
		fmt.Print("=")
	}
	fmt.Println()
}

func printAnswer(token acceptance.Token, apiVersion string, answer authenticationv1.TokenReviewStatus, problem error) {
	fmt.Printf("\n--- %s [%s]\n", token.Name, apiVersion)
	switch {
	case answer.Authenticated:
		_ = whoami.Print(os.Stdout, answer.User)
	case answer.Error == "":
		fmt.Println("refused: not a token of a configured issuer, so without an error")
	default:
		fmt.Println("refused:", answer.Error)
	}
	if problem != nil {
		fmt.Println("NOT AS EXPECTED:", problem)
		return
	}
	fmt.Println("ok")
}

// printInvitation prints lines to paste into another terminal.
func (d demonstration) printInvitation() {
	const (
		accepted = "a-github-actions/a-workflow-on-the-branch-main"
		refused  = "a-github-actions/a-stranger-s-repository-that-asked-for-the-right-audience"
	)
	curl := func(review string) {
		fmt.Printf("curl -sS --cacert %s --cert %s --key %s -H 'Content-Type: application/json' -d @%s %s\n",
			d.certificate("ca.crt"), d.certificate("apiserver.crt"), d.certificate("apiserver.key"),
			filepath.Join(d.reviews(), review+".json"), d.server.reviewURL())
	}
	review := func(token, flags string) {
		fmt.Printf("%s review --config %s --token-file %s%s\n",
			d.webhook, d.configuration(), filepath.Join(d.tokens(), token+".jwt"), flags)
	}

	fmt.Println()
	say("Serving until interrupted (Ctrl-C). To paste into another terminal in this folder:")
	fmt.Println("\n# Ask as the API server does, about a token that is accepted and one that is not.")
	curl(accepted)
	curl(refused)
	fmt.Println("\n# Decide without the server, by the same configuration.")
	review(accepted, "")
	review(refused, " --explain")
	fmt.Println("\n# Is the server well, and what has it done?")
	fmt.Printf("curl -sS '%s'\n", d.server.healthURL("/readyz?verbose"))
	fmt.Printf("curl -sS %s | grep ^tokenreview_\n", d.server.healthURL("/metrics"))
	fmt.Printf("\nMore tokens are in %s. They last as long as real ones: those above for six hours, others for minutes.\n", d.tokens())
}
