package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tokenreview.dev/webhook/manifests/examples"
)

func newExampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "example [NAME]",
		Short: "Print a configuration file to start from, for the issuer of that name",
		Long: `Print a configuration file to start from, for the issuer of that name; without one,
list the names. The file is valid as it is. Its comments say what to set up on the
issuer's side and which lines to replace: they are marked REPLACE.`,
		Example: `  webhook config example
  webhook config example keycloak >webhook.yaml
  grep -n REPLACE webhook.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := examples.List()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return printExamples(cmd.OutOrStdout(), list)
			}
			var names []string
			for _, example := range list {
				if example.Name == args[0] {
					_, err := cmd.OutOrStdout().Write(example.Text)
					return err
				}
				names = append(names, example.Name)
			}
			return fmt.Errorf("no example is called %.50q: choose one of %s", args[0], strings.Join(names, ", "))
		},
	}
}

func printExamples(out io.Writer, list []examples.Example) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, example := range list {
		fmt.Fprintf(table, "%s\t%s\n", example.Name, example.Title)
	}
	return table.Flush()
}
