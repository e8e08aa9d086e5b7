// Command talos does to a machine configuration what talosctl and a node do, with the
// code of Talos itself: the version that the module file names which it is built with,
// go.mod or talos-1.13.mod.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/configpatcher"
	"github.com/siderolabs/talos/pkg/machinery/config/encoder"
	"github.com/siderolabs/talos/pkg/machinery/config/generate"
	"github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/config/validation"
	"github.com/siderolabs/talos/pkg/machinery/constants"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "gen":
		return gen(args[1])
	case len(args) >= 2 && args[0] == "patch":
		return patch(args[1], args[2:])
	case len(args) == 2 && args[0] == "validate":
		return validate(args[1])
	}
	return errors.New("usage: talos gen VERSION | patch FILE PATCH... | validate FILE")
}

// gen prints the configuration of a control-plane node, as `talosctl gen config
// --talos-version VERSION` writes it.
func gen(version string) error {
	contract, err := config.ParseContractFromVersion(version)
	if err != nil {
		return err
	}
	input, err := generate.NewInput("example", "https://cluster.example:6443", constants.DefaultKubernetesVersion,
		generate.WithVersionContract(contract), generate.WithInstallDisk("/dev/sda"),
		generate.WithInstallImage("registry.example.com/installer:v1"))
	if err != nil {
		return err
	}
	provider, err := input.Config(machine.TypeControlPlane)
	if err != nil {
		return err
	}
	return printConfig(provider)
}

// patch prints a configuration with patches, as `talosctl machineconfig patch` does, and
// apply-config with --config-patch before it sends it.
func patch(file string, files []string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	named := make([]string, len(files))
	for i, name := range files {
		named[i] = "@" + name
	}
	patches, err := configpatcher.LoadPatches(named)
	if err != nil {
		return err
	}
	out, err := configpatcher.Apply(configpatcher.WithBytes(text), patches)
	if err != nil {
		return err
	}
	provider, err := out.Config()
	if err != nil {
		return err
	}
	return printConfig(provider)
}

func printConfig(provider config.Provider) error {
	text, err := provider.EncodeBytes(encoder.WithComments(encoder.CommentsDisabled))
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

// validate says what a node says before it takes a configuration. Warnings are printed.
func validate(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	provider, err := configloader.NewFromBytes(text)
	if err != nil {
		return err
	}
	// 1.13 has no ValidateAsClient yet.
	warnings, err := provider.Validate(metal{}) //nolint:staticcheck // deprecated in 1.14 alone
	for _, warning := range warnings {
		fmt.Println(warning)
	}
	return err
}

// metal is how Talos runs on machines.
type metal struct{}

var _ validation.RuntimeMode = metal{}

func (metal) String() string        { return "metal" }
func (metal) RequiresInstall() bool { return true }
func (metal) InContainer() bool     { return false }
