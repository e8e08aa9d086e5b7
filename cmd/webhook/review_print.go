package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/reviewclient"
	"tokenreview.dev/webhook/internal/whoami"
)

// printAnswer prints what has been decided, here or by a server: the user, or the whole
// answer, to standard output, and what is to be said about it to standard error. It
// returns errRefused for a token that is not accepted.
func printAnswer(cmd *cobra.Command, options reviewOptions, answer *reviewclient.Answer) error {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	accepted := answer.Review.Status.Authenticated
	if options.explain {
		if err := whoami.PrintSteps(stderr, answer.Steps, whoami.Coloured(stderr)); err != nil {
			return err
		}
	}
	if options.output != "table" {
		if err := printReview(stdout, answer.Review, options.output); err != nil {
			return err
		}
	} else {
		if accepted {
			if err := whoami.Print(stdout, answer.Review.Status.User); err != nil {
				return err
			}
		}
		if err := printRecord(stderr, answer); err != nil {
			return err
		}
	}
	switch {
	case !accepted:
		name := answer.Issuer
		if name == "" {
			name = "not ours"
		}
		fmt.Fprintf(stderr, "%s: %s\n", whoami.Printable(name), whoami.Printable(answer.Refusal.String()))
		return errRefused
	case !answer.WouldRefuse.IsZero():
		fmt.Fprintf(stderr, "%s: would be refused, but for the policy's enforcement or onFailure: %s\n",
			whoami.Printable(answer.Issuer), whoami.Printable(answer.WouldRefuse.String()))
	}
	return nil
}

// printRecord prints what a server knows of a token beside its decision.
func printRecord(w io.Writer, answer *reviewclient.Answer) error {
	if answer.RequestID != "" || answer.Fingerprint != "" {
		fmt.Fprintf(w, "In the audit log: request %s, fingerprint %s\n", orDash(answer.RequestID), orDash(answer.Fingerprint))
	}
	if len(answer.Recent) == 0 {
		return nil
	}
	table := whoami.NewTable(w)
	fmt.Fprint(table, "RECENTLY\tENDPOINT\tCALLER\tREASON\tREQUEST\n")
	for _, event := range answer.Recent {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n",
			event.Time.UTC().Format(time.RFC3339), orDash(event.Endpoint), orDash(event.Caller), orDash(event.Reason), orDash(event.RequestID))
	}
	return table.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return whoami.Printable(text)
}

func printReview(w io.Writer, review *authenticationv1.TokenReview, format string) error {
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
