package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"tokenreview.dev/webhook/internal/certs"
)

func newCertsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "certs",
		Short: "Make the certificates between kube-apiserver and the webhook",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCertsInitCommand())
	return cmd
}

func newCertsInitCommand() *cobra.Command {
	opts := certs.DefaultOptions("")
	cmd := &cobra.Command{
		Use:   "init --dir DIR",
		Short: "Make a CA, the serving and client pairs, and the API server's webhook kubeconfig",
		Long: `Make what kube-apiserver and the webhook need to trust each other, in one folder:

  ca.crt ca.key                the certificate authority that signs the rest
  tls.crt tls.key              what the webhook serves with
  apiserver.crt apiserver.key  what kube-apiserver presents to the webhook
  auditor.crt auditor.key      what people present who ask the webhook by hand
  webhook.kubeconfig           for kube-apiserver --authentication-token-webhook-config-file

What is there and still good is kept, so it is safe to run again. What is there
but unusable is an error that says which file and what to do.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// It takes milliseconds, and cut short it would leave private keys behind.
			signal.Ignore(os.Interrupt, syscall.SIGTERM)
			results, err := certs.Init(opts)
			if err != nil {
				return err
			}
			for _, result := range results {
				fmt.Fprintln(cmd.OutOrStdout(), result)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Dir, "dir", opts.Dir, "folder for the files, created with mode 0700 if missing")
	flags.StringArrayVar(&opts.Hosts, "host", opts.Hosts, "IP address or DNS name the serving certificate is valid for; repeat for more, replaces the default")
	flags.StringVar(&opts.Server, "server", opts.Server, "URL where kube-apiserver finds the webhook; its host must be one of --host")
	flags.DurationVar(&opts.Validity, "validity", opts.Validity, "how long new serving and client certificates are valid, at most as long as the CA")
	flags.DurationVar(&opts.CAValidity, "ca-validity", opts.CAValidity, "how long a new CA is valid")
	flags.BoolVar(&opts.EmbedCerts, "embed-certs", opts.EmbedCerts, "put the certificates and the client key into the kubeconfig; false names the files instead, so that kube-apiserver takes up renewed ones without a restart")
	flags.BoolVar(&opts.Renew, "renew", opts.Renew, "replace the serving and client pairs and the kubeconfig, keep the CA")
	_ = cmd.MarkFlagRequired("dir") // fails only for a flag that is not defined
	return cmd
}
