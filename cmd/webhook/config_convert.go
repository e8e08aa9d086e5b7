package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"tokenreview.dev/webhook/internal/convert"
	"tokenreview.dev/webhook/pkg/config"
)

type convertOptions struct {
	flags                convert.Flags
	manifest, root, name string
}

func newConvertCommand() *cobra.Command {
	options := convertOptions{flags: convert.Flags{}}
	cmd := &cobra.Command{
		Use:   "convert {--from-manifest FILE | --oidc-issuer-url URL --oidc-client-id ID ...}",
		Short: "Turn kube-apiserver's --oidc-* flags into a configuration file of the same meaning",
		Long: `Turn kube-apiserver's --oidc-* flags into a configuration file of the same meaning
and print it. The flags are given here as the API server has them, or read from the
manifest of its pod: YAML or JSON, from /etc/kubernetes/manifests or from kubectl.
A manifest's --service-account-issuer becomes disallowedIssuers; its other flags are
not looked at. The CA file is copied into the configuration.

The file is validated as "webhook config validate" does. If the webhook would not
start with it, it is printed nonetheless, to be completed by hand, with the errors on
standard error: with flags alone, GitHub Actions lets every repository on GitHub in,
and a rule over the repository has to be added. Flags with which kube-apiserver
itself would not start, or that contradict each other, give errors alone. Exits with
0 if the file is valid and with 1 if it is not.`,
		Example: `  webhook config convert --from-manifest /etc/kubernetes/manifests/kube-apiserver.yaml >webhook.yaml
  kubectl -n kube-system get pods -l component=kube-apiserver -o yaml | webhook config convert --from-manifest -
  webhook config convert --oidc-issuer-url https://id.example.com --oidc-client-id kubernetes --oidc-groups-claim groups`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return convertFlags(cmd, options) },
	}
	flags := cmd.Flags()
	for _, flag := range convert.AllFlags() {
		flags.Func(flag.Name, flag.Usage, func(value string) error {
			options.flags.Add(flag.Name, value)
			return nil
		})
	}
	flags.StringVar(&options.manifest, "from-manifest", "", "`file` with the manifest of the API server's pod; - for standard input")
	flags.StringVar(&options.root, "root", "", "`folder` that holds copies of the files of the API server's node, for the CA file of a manifest (default \"/\")")
	flags.StringVar(&options.name, "name", "", "`name` of the issuer in logs, metrics and reasons, a DNS label; made of the issuer's host if not given")
	return cmd
}

func convertFlags(cmd *cobra.Command, options convertOptions) error {
	conversion := convert.Conversion{Flags: options.flags, Name: options.name}
	switch {
	case options.manifest != "":
		if len(options.flags) > 0 {
			return errors.New("--from-manifest: the manifest has kube-apiserver's flags: give it or the flags, not both")
		}
		data, err := readManifest(cmd.InOrStdin(), options.manifest)
		if err != nil {
			return fmt.Errorf("--from-manifest: %w", err)
		}
		if conversion.Flags, conversion.Files, err = convert.ReadManifest(data); err != nil {
			return fmt.Errorf("--from-manifest: %s: %w", options.manifest, err)
		}
		conversion.Files.Root, conversion.Source = options.root, options.manifest
		if options.manifest == "-" {
			conversion.Source = "standard input"
		}
	case options.root != "":
		return errors.New("--root: is for the files that a manifest names: give --from-manifest too, or the file's own path to --oidc-ca-file")
	case len(options.flags) == 0:
		return errors.New("nothing to convert: give --from-manifest or kube-apiserver's --oidc-* flags; see --help")
	}
	text, warnings, err := conversion.Convert()
	if _, printErr := cmd.OutOrStdout().Write(text); printErr != nil {
		return printErr
	}
	for _, warning := range warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
	}
	var wrong convert.Errors
	if errors.As(err, &wrong) {
		for _, one := range wrong {
			fmt.Fprintln(cmd.ErrOrStderr(), "webhook:", one)
		}
		return errRefused
	}
	return err
}

func readManifest(stdin io.Reader, file string) ([]byte, error) {
	source := stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = opened.Close() }()
		source = opened
	}
	data, err := io.ReadAll(io.LimitReader(source, config.MaxFileSize+1))
	if err == nil && len(data) > config.MaxFileSize {
		err = fmt.Errorf("%s is larger than %d bytes: give the API server's pod alone", file, config.MaxFileSize)
	}
	return data, err
}
