package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tokenreview.dev/webhook/pkg/config"
)

func newValidateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE",
		Short: "Check a configuration file; print every error and warning with its place",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			loaded, err := config.Load(args[0])
			if err != nil {
				return err
			}
			for _, warning := range loaded.Warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
			}
			names := "no issuer"
			for i, issuer := range loaded.Issuers {
				if i == 0 {
					names = issuer.Name
					continue
				}
				names += ", " + issuer.Name
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: %s\n", args[0], names)
			return err
		},
	}
}
