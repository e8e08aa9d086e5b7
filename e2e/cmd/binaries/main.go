// Command binaries builds kube-apiserver, kubectl and etcd for the end-to-end
// tests, unless they are in the user's cache folder already. The tests do it too;
// this shows the progress that `go test` holds back, and runs under no test
// timeout.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"tokenreview.dev/webhook/e2e/cluster"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	binaries, err := cluster.BuildBinaries(ctx, os.Stderr)
	if err != nil {
		return err
	}
	for _, path := range []string{binaries.Etcd, binaries.APIServer, binaries.Kubectl, binaries.Kubeadm} {
		fmt.Println(path)
	}
	return nil
}
