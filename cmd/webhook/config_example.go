package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tokenreview.dev/webhook/manifests/examples"
)

func newExampleCommand() *cobra.Command {
	var policyTest bool
	cmd := &cobra.Command{
		Use:   "example [NAME]",
		Short: "Print a configuration file to start from, for the issuer of that name",
		Long: `Print a configuration file to start from, for the issuer of that name; without one,
list the names. The file is valid as it is. Its comments say what to set up on the
issuer's side and which lines to replace: they are marked REPLACE.

With --test print its policy test, for "webhook test". The lines to replace in the
same way are marked there, too.`,
		Example: `  webhook config example
  webhook config example keycloak >keycloak.yaml
  webhook config example keycloak --test >keycloak.test.yaml
  grep -n REPLACE keycloak.yaml keycloak.test.yaml
  webhook test keycloak.test.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := examples.List()
			if err != nil {
				return err
			}
			switch {
			case len(args) == 0 && policyTest:
				return errors.New("--test: name the example whose policy test to print")
			case len(args) == 0:
				return printExamples(cmd.OutOrStdout(), list)
			}
			var names []string
			for _, example := range list {
				if example.Name == args[0] {
					text := example.Text
					if policyTest {
						text = example.Test
					}
					_, err := cmd.OutOrStdout().Write(text)
					return err
				}
				names = append(names, example.Name)
			}
			return fmt.Errorf("no example is called %.50q: choose one of %s", args[0], strings.Join(names, ", "))
		},
	}
	cmd.Flags().BoolVar(&policyTest, "test", false, "print the example's policy test")
	return cmd
}

func printExamples(out io.Writer, list []examples.Example) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, example := range list {
		fmt.Fprintf(table, "%s\t%s\n", example.Name, example.Title)
	}
	return table.Flush()
}
