package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version and commit are set by the linker (see the Makefile).
var version, commit string

// build returns what this binary was built from.
func build() (ver, com string) {
	ver, com = version, commit
	if info, ok := debug.ReadBuildInfo(); ok {
		if ver == "" {
			ver = info.Main.Version
		}
		for _, setting := range info.Settings {
			if com == "" && setting.Key == "vcs.revision" {
				com = setting.Value
			}
		}
	}
	if ver == "" {
		ver = "(devel)"
	}
	if com == "" {
		com = "unknown"
	}
	return ver, com
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ver, com := build()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "webhook %s (commit %s, %s, %s/%s)\n", ver, com, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
