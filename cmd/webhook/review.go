package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/logging"
	"tokenreview.dev/webhook/internal/redact"
	"tokenreview.dev/webhook/internal/whoami"
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
}

func newReviewCommand() *cobra.Command {
	var options reviewOptions
	cmd := &cobra.Command{
		Use:   "review --config FILE [--token-file FILE|-]",
		Short: "Review one token without a server, by the server's code",
		Long: `Review one token by a configuration file and print who it speaks for, as
"kubectl auth whoami" would, or why nobody. No server is needed; the issuer's keys
are fetched from where the configuration says, and whom the policy asks is asked:
Microsoft Graph, and the cluster that issued the token, which is sent it. Exits with 0 if the token is
accepted and with 1 if it is not.

The token is read from standard input or a file, never from the command line, where
other users of the machine could see it.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return review(cmd, options) },
	}
	flags := cmd.Flags()
	flags.StringVar(&options.configFile, "config", "", "configuration file")
	flags.StringVar(&options.tokenFile, "token-file", "-", "file that holds the token; - for standard input")
	flags.StringSliceVar(&options.audiences, "audience", nil, "audience to ask about, as the API server does with its --api-audiences; repeat for more")
	flags.BoolVar(&options.explain, "explain", false, "print every check in the order it ran, to standard error")
	flags.StringVarP(&options.output, "output", "o", "table", "table, json or yaml")
	flags.DurationVar(&options.timeout, "timeout", 10*time.Second, "how long to wait for the issuer's keys")
	_ = cmd.MarkFlagRequired("config")
	return cmd
}

func review(cmd *cobra.Command, options reviewOptions) error {
	if !slices.Contains([]string{"table", "json", "yaml"}, options.output) {
		return fmt.Errorf("--output: expected table, json or yaml, got %q", options.output)
	}
	if _, err := logging.New(cmd.ErrOrStderr(), "text", "error"); err != nil {
		return err
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

	steps := &trace.Trace{}
	answer := tokenreview.NewReviewer(rules, nil).Review(cmd.Context(), token, options.audiences, steps)
	if options.explain {
		if err := whoami.PrintSteps(cmd.ErrOrStderr(), steps.Steps()); err != nil {
			return err
		}
	}
	if options.output != "table" {
		if err := printReview(cmd.OutOrStdout(), &answer, options.output); err != nil {
			return err
		}
	} else if answer.User != nil {
		if err := whoami.Print(cmd.OutOrStdout(), answer.Status().User); err != nil {
			return err
		}
	}
	if answer.User != nil && !answer.WouldRefuse.IsZero() {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: would be refused, but for the policy's enforcement or onFailure: %s\n",
			answer.Issuer, whoami.Printable(answer.WouldRefuse.String()))
	}
	if answer.User == nil {
		name := answer.Issuer
		if name == "" {
			name = "not ours"
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", name, whoami.Printable(answer.Refusal.String()))
		return errRefused
	}
	return nil
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

func printReview(w io.Writer, answer *tokenreview.Answer, format string) error {
	review := answer.TokenReview(authenticationv1.SchemeGroupVersion.String())
	var data []byte
	var err error
	if format == "yaml" {
		data, err = whoami.YAML(review)
	} else {
		data, err = json.MarshalIndent(review, "", "  ")
	}
	if err != nil {
		return fmt.Errorf("print TokenReview: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", bytes.TrimSpace(data))
	return err
}
