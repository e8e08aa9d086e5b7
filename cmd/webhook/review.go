package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/logging"
	"tokenreview.dev/webhook/internal/redact"
	"tokenreview.dev/webhook/internal/reviewclient"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/tokenreview"
	"tokenreview.dev/webhook/pkg/trace"
)

type reviewOptions struct {
	configFile, tokenFile, output string
	audiences                     []string
	explain                       bool
	timeout                       time.Duration
	server                        reviewclient.Options
}

func newReviewCommand() *cobra.Command {
	var options reviewOptions
	cmd := &cobra.Command{
		Use:   "review {--config FILE | --server https://HOST:PORT} [--token-file FILE|-]",
		Short: "Review one token by the server's code, without a server or by a running one",
		Long: `Review one token and print who it speaks for, as "kubectl auth whoami" would, or why
nobody. Exits with 0 if the token is accepted and with 1 if it is not.

With --config, no server is needed; the issuer's keys are fetched from where the
configuration says, and whom the policy asks is asked: Microsoft Graph, and the
cluster that issued the token, which is sent it.

With --server, a running webhook decides, by the configuration and keys that it has.
Prints as well what happened to the token there recently, and by what to find both in
the audit log. To ask takes a client certificate that the server's
spec.callers.tokenreview names: auditor.crt of "webhook certs init".

The token is read from standard input or a file, never from the command line, where
other users of the machine could see it.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return review(cmd, options) },
	}
	flags := cmd.Flags()
	flags.StringVar(&options.configFile, "config", "", "configuration file")
	flags.StringVar(&options.server.Server, "server", "", "secure port of a running webhook to ask, https://HOST:PORT")
	flags.StringVar(&options.server.CertificateAuthority, "certificate-authority", "", "CA of the server's certificate, PEM; by default those that the system trusts")
	flags.StringVar(&options.server.ClientCertificate, "client-certificate", "", "client certificate for the server, PEM")
	flags.StringVar(&options.server.ClientKey, "client-key", "", "key of the client certificate, PEM")
	flags.StringVar(&options.server.TLSServerName, "tls-server-name", "", "name that the server's certificate must be for, if it is not HOST")
	flags.StringVar(&options.tokenFile, "token-file", "-", "file that holds the token; - for standard input")
	flags.StringSliceVar(&options.audiences, "audience", nil, "audience to ask about, as the API server does with its --api-audiences; repeat for more")
	flags.BoolVar(&options.explain, "explain", false, "print every check in the order it ran, to standard error")
	flags.StringVarP(&options.output, "output", "o", "table", "table, json or yaml")
	flags.DurationVar(&options.timeout, "timeout", 15*time.Second, "how long to wait for the issuer's keys, or for the server")
	return cmd
}

// check says what is wrong with the options together.
func (o *reviewOptions) check() error {
	switch of := o.server; {
	case !slices.Contains([]string{"table", "json", "yaml"}, o.output):
		return fmt.Errorf("--output: expected table, json or yaml, got %q", o.output)
	case o.configFile == "" && of.Server == "":
		return errors.New("either --config or --server is required")
	case o.configFile != "" && of.Server != "":
		return errors.New("--config and --server exclude each other: with --server, its own configuration decides")
	case of.Server == "" && of.CertificateAuthority+of.ClientCertificate+of.ClientKey+of.TLSServerName != "":
		return errors.New("--certificate-authority, --client-certificate, --client-key and --tls-server-name are for --server")
	}
	return nil
}

func review(cmd *cobra.Command, options reviewOptions) error {
	if err := options.check(); err != nil {
		return err
	}
	if _, err := logging.New(cmd.ErrOrStderr(), "text", "error"); err != nil {
		return err
	}
	if options.server.Server != "" {
		return reviewByServer(cmd, options)
	}
	loaded, err := config.Load(options.configFile)
	if err != nil {
		return err
	}
	token, err := readToken(cmd.InOrStdin(), options.tokenFile)
	if err != nil {
		return err
	}
	rules, err := loaded.Build(nil, config.Options{})
	if err != nil {
		return err
	}
	defer rules.Issuers.Close(nil)
	waiting, cancel := context.WithTimeout(cmd.Context(), options.timeout)
	defer cancel()
	rules.Issuers.AwaitFirstFetchFor(waiting, token)

	var steps *trace.Trace
	if options.explain {
		steps = &trace.Trace{}
	}
	answer := tokenreview.NewReviewer(rules).Review(cmd.Context(), token, options.audiences, steps)
	annotated := answer.TokenReview(authenticationv1.SchemeGroupVersion.String())
	annotated.Annotations = answer.Annotations(steps)
	return printAnswer(cmd, options, &reviewclient.Answer{
		Review: annotated, Issuer: answer.Issuer, Refusal: answer.Refusal, WouldRefuse: answer.WouldRefuse, Steps: steps.Steps(),
	})
}

// reviewByServer has a running server review the token.
func reviewByServer(cmd *cobra.Command, options reviewOptions) error {
	client, err := reviewclient.New(options.server)
	if err != nil {
		return err
	}
	token, err := readToken(cmd.InOrStdin(), options.tokenFile)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), options.timeout)
	defer cancel()
	answer, err := client.Review(ctx, reviewclient.Request{Token: token, Audiences: options.audiences, Explain: options.explain})
	if err != nil {
		return err
	}
	return printAnswer(cmd, options, answer)
}

func readToken(stdin io.Reader, file string) (string, error) {
	source := stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			// Somebody gives the token in the place of its file's name.
			return "", fmt.Errorf("--token-file: %s", redact.Line(err.Error()))
		}
		defer func() { _ = opened.Close() }()
		source = opened
	}
	data, err := io.ReadAll(io.LimitReader(source, 2*issuers.MaxTokenBytes))
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return string(bytes.TrimSpace(data)), nil
}
