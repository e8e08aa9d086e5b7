// Command demo is what `make run` runs. It starts the webhook as a user would, with
// the configurations of the acceptance cases, beside issuers on loopback that sign
// the cases' tokens; has every token reviewed over HTTPS as the API server does;
// and compares the answers with the expected ones. Then it keeps serving, so that
// people can try requests of their own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"tokenreview.dev/webhook/internal/acceptance"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type options struct {
	// webhook is the program to run.
	webhook string
	// certificates is the folder of the certificates, kept from run to run.
	certificates string
	// dir is the folder of the configuration and the tokens, new in every run.
	dir  string
	once bool
}

func (o options) certificate(name string) string { return filepath.Join(o.certificates, name) }
func (o options) configuration() string          { return filepath.Join(o.dir, "webhook.yaml") }
func (o options) log() string                    { return filepath.Join(o.dir, "webhook.log") }

func parseOptions() (options, error) {
	var opts options
	flag.StringVar(&opts.webhook, "webhook", "bin/webhook", "the webhook `program` to run")
	flag.StringVar(&opts.certificates, "certs", "certs", "`folder` for the certificates")
	flag.StringVar(&opts.dir, "dir", ".run", "`folder` for the configuration, the tokens and the log")
	flag.BoolVar(&opts.once, "once", false, "exit after the reviews, with an error if an answer is not the expected one")
	flag.Parse()
	if flag.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	return opts, nil
}

// demonstration is one run of the program.
type demonstration struct {
	options
	cases   []acceptance.Case
	issuers acceptance.Issuers
	server  *webhook
}

func run(ctx context.Context) error {
	started := time.Now()
	opts, err := parseOptions()
	if err != nil {
		return err
	}
	d := demonstration{options: opts}
	if d.cases, err = acceptance.Cases(); err != nil {
		return err
	}
	d.issuers = acceptance.StartIssuers(d.cases)
	defer d.issuers.Close()
	say("Started %d issuers on loopback. They sign with keys of their own, under the names of real ones:", len(d.issuers))
	d.printIssuers()

	if err := d.prepare(ctx); err != nil {
		return err
	}
	d.server, err = startWebhook(d.options)
	if err != nil {
		return err
	}
	defer d.server.stop()
	say("Waiting until the webhook has the keys of every issuer")
	if err := d.server.awaitReady(ctx); err != nil {
		return err
	}

	reviewed, failed, err := d.reviewAll(ctx)
	if err != nil {
		return err
	}
	var verdict error
	if failed > 0 {
		verdict = fmt.Errorf("%d of %d answers are not as expected", failed, reviewed)
	} else {
		say("All %d answers are as expected, %s after the start", reviewed, time.Since(started).Round(100*time.Millisecond))
	}
	if d.once {
		return verdict
	}
	if verdict != nil {
		say("%v", verdict)
	}
	return errors.Join(verdict, d.serve(ctx))
}

// prepare makes what the webhook is started with.
func (d demonstration) prepare(ctx context.Context) error {
	say("Making certificates in %s, where there are none yet", d.certificates)
	if err := runToEnd(ctx, d.webhook, "certs", "init", "--dir", d.certificates); err != nil {
		return err
	}
	say("Combining the configurations of the cases in %s", d.configuration())
	configuration, err := acceptance.Configuration(d.cases, d.issuers)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(d.configuration(), configuration, 0o600)
}

// reviewAll has every token of every case reviewed and prints the answers.
func (d demonstration) reviewAll(ctx context.Context) (reviewed, failed int, err error) {
	client, err := newReviewer(d.options, d.server.reviewURL())
	if err != nil {
		return 0, 0, err
	}
	say("Having the tokens of %d cases reviewed at %s, by turns in v1 and v1beta1", len(d.cases), d.server.reviewURL())
	for _, c := range d.cases {
		printHeading(c)
		for _, token := range c.Tokens(time.Now()) {
			version := apiVersions[reviewed%len(apiVersions)]
			answer, err := client.review(ctx, version, d.issuers.Sign(c, token))
			if err != nil {
				return reviewed, failed, fmt.Errorf("case %s, %s: %w", c.Name, token.Name, err)
			}
			problem := compare(token, answer)
			printAnswer(token, version, answer, problem)
			reviewed++
			if problem != nil {
				failed++
			}
		}
	}
	fmt.Println()
	return reviewed, failed, nil
}

// serve leaves the webhook running for people to try, until ctx ends.
func (d demonstration) serve(ctx context.Context) error {
	if err := d.writeTokens(time.Now()); err != nil {
		return err
	}
	d.printInvitation()
	select {
	case <-ctx.Done():
		fmt.Println()
		say("Stopping the webhook")
		return nil
	case <-d.server.done:
		return d.server.exited()
	}
}
