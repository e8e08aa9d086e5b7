package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tokenreview.dev/webhook/internal/logging"
	"tokenreview.dev/webhook/internal/policytest"
)

type testOptions struct {
	output, run string
	verbose     bool
}

func newTestCommand() *cobra.Command {
	var options testOptions
	cmd := &cobra.Command{
		Use:   "test FILE...",
		Short: "Test configurations: claims in, the expected user or reason out",
		Long: `Run the policy tests in the files, each of which names the configuration that it
tests, and print what is not as expected. Each case gives the claims of a token, and
the user or the reason that must come of it. The decision is made by the server's
own code. Nothing has to be signed, and nobody is asked: neither the issuers nor the
files that a configuration names are needed.

Exits with 0 if everything is as expected, and with 1 if a case is not or a file
cannot be used.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error { return test(cmd, files, options) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&options.output, "output", "o", "text", "text, or junit for the XML that pipelines read")
	flags.StringVar(&options.run, "run", "", "run only the cases whose \"TEST: CASE\", as printed, matches this `regexp`")
	flags.BoolVarP(&options.verbose, "verbose", "v", false, "list the cases that are as expected, too")
	return cmd
}

func test(cmd *cobra.Command, files []string, options testOptions) error {
	if !slices.Contains([]string{"text", "junit"}, options.output) {
		return fmt.Errorf("--output: expected text or junit, got %q", options.output)
	}
	var selected *regexp.Regexp
	if options.run != "" {
		var err error
		if selected, err = regexp.Compile(options.run); err != nil {
			return fmt.Errorf("--run: %w", err)
		}
	}
	if _, err := logging.New(cmd.ErrOrStderr(), "text", "error"); err != nil {
		return err
	}
	var results []policytest.FileResult
	passed := true
	for _, file := range files {
		result := policytest.RunFile(cmd.Context(), file, os.ReadFile, time.Now(), selected)
		if result.Err == nil && len(result.Results) == 0 {
			continue // No case of it is selected.
		}
		results = append(results, result)
		passed = passed && result.Passed()
	}
	if len(results) == 0 {
		return fmt.Errorf("--run: no case matches %q", options.run)
	}
	var err error
	if options.output == "junit" {
		err = policytest.WriteJUnit(cmd.OutOrStdout(), results)
	} else {
		err = policytest.WriteText(cmd.OutOrStdout(), results, options.verbose)
	}
	if err == nil && !passed {
		return errRefused
	}
	return err
}
