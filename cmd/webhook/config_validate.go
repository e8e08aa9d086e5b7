package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tokenreview.dev/webhook/internal/whoami"
	"tokenreview.dev/webhook/pkg/config"
)

func newValidateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE",
		Short: "Check a configuration file, - for standard input; print every error and warning with its place",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			loaded, err := load(cmd.InOrStdin(), args[0])
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
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: %s\n", whoami.Printable(args[0]), names)
			return err
		},
	}
}

func load(stdin io.Reader, file string) (*config.Config, error) {
	if file != "-" {
		return config.Load(file)
	}
	data, err := io.ReadAll(io.LimitReader(stdin, config.MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return config.Parse("-", data)
}
