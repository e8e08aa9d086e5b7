package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"tokenreview.dev/webhook/internal/bootstrap"
)

func newBootstrapCommand() *cobra.Command {
	options := bootstrap.Options{CacheTTL: bootstrap.DefaultCacheTTL}
	var names, summaries strings.Builder
	for _, target := range bootstrap.Targets() {
		fmt.Fprintf(&names, "|%s", target.Name)
		fmt.Fprintf(&summaries, "  %-11s %s\n", target.Name, target.Summary)
	}
	cmd := &cobra.Command{
		Use:   "bootstrap " + names.String()[1:] + " --config FILE --dir DIR",
		Short: "Write what it takes to run the webhook on a kind of cluster",
		Long: `Write everything that a kind of cluster needs to run the webhook, from one configuration:

` + summaries.String() + `
DIR/pki is what "webhook certs init" makes; its keys stay with you. DIR/node mirrors the files
that go to every control-plane node. The rest of DIR is for the cluster's own tools. Nothing
outside DIR is touched. Run it again after a change of the configuration: certificates are
kept, or replaced with --renew, and what has not changed is left alone.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("expected one target: %s", names.String()[1:])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			// It takes milliseconds, and cut short it would leave private keys behind.
			signal.Ignore(os.Interrupt, syscall.SIGTERM)
			options.Target = args[0]
			return writeBootstrap(cmd, options)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&options.ConfigFile, "config", "", "the webhook's configuration; files that it names are read beside it")
	flags.StringVar(&options.Dir, "dir", "", "folder for everything, created with mode 0700 if missing")
	flags.StringVar(&options.Image, "image", "", "name of the webhook's image; where nodes do not pull it the default is what 'make image' of this version calls it")
	flags.DurationVar(&options.CacheTTL, "cache-ttl", options.CacheTTL, "how long kube-apiserver caches an answer")
	flags.BoolVar(&options.Renew, "renew", false, "replace the serving and client pairs and the kubeconfig, keep the CA")
	flags.StringVar(&options.TalosVersion, "talos-version", "", "version of Talos on the nodes, such as 1.13; target talos")
	flags.StringVar(&options.MachineConfig, "machine-config", "", "machine configuration of a control-plane node without the webhook, to see whether it can be given one; target talos")
	flags.StringVar(&options.ClusterIP, "cluster-ip", "", "address of the webhook's Service, a free one of the cluster's service range; target kubernetes")
	flags.StringVar(&options.KubeadmConfig, "kubeadm-config", "", "ClusterConfiguration of a cluster that there is, to be completed; target kubeadm")
	for _, required := range []string{"config", "dir"} {
		_ = cmd.MarkFlagRequired(required)
	}
	return cmd
}

func writeBootstrap(cmd *cobra.Command, options bootstrap.Options) error {
	ver, _ := build()
	options.Version = ver
	report, err := bootstrap.Write(options)
	if err != nil {
		return err
	}
	for _, warning := range report.Warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
	}
	out := cmd.OutOrStdout()
	for _, result := range report.Certificates {
		fmt.Fprintln(out, result)
	}
	for _, result := range report.Files {
		fmt.Fprintln(out, result)
	}
	_, err = fmt.Fprint(out, report.Next)
	return err
}
