// Command webhook answers Kubernetes TokenReviews: it proves JWTs of the issuers
// that its configuration trusts and says who they speak for.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"tokenreview.dev/webhook/pkg/config"
)

func main() { os.Exit(run()) }

func run() int {
	err := newCommand().ExecuteContext(context.Background())
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errRefused):
		// Why stands in the output already.
		return 1
	case errors.As(err, new(config.Errors)):
		// Each line says where it is from.
		fmt.Fprintln(os.Stderr, err)
		return 1
	default:
		fmt.Fprintln(os.Stderr, "webhook:", err)
		return 1
	}
}

// errRefused ends a command with exit code 1 where its output has said why.
var errRefused = errors.New("refused")

// noArgs refuses arguments without repeating them: one may be a token.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q takes no arguments, only flags; see --help", cmd.CommandPath())
	}
	return nil
}

func newCommand() *cobra.Command {
	ver, _ := build()
	cmd := &cobra.Command{
		Use:           "webhook",
		Version:       ver,
		Short:         "Answer Kubernetes TokenReviews for JWTs of the issuers you trust",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newServeCommand(), newReviewCommand(), newTestCommand(), newConfigCommand(), newCertsCommand(),
		newBootstrapCommand(), newStateCommand(), newProbeCommand(), newVersionCommand())
	return cmd
}
