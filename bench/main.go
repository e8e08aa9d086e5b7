// Command bench is what `make bench` runs. It measures how fast the webhook is beside
// what it can be compared with: the check of the signature alone, kube-apiserver's own
// authenticator with the same configuration and token, and a server that answers
// TokenReviews without looking at them. One run on one machine makes one report, with
// what must be reached and whether it is.
//
// What is compared takes turns, and is compared within each turn: what else the machine
// does meanwhile happens to all of them. Everything is on loopback.
//
// Read it in this order: options.go, turns.go, sample.go, decisions.go, https.go,
// start.go, memory.go, curves.go, report.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command is the program, or the one that this program runs beside itself.
func command(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == nullCommand {
		return serveNull(ctx, args[1:])
	}
	opts, err := parseOptions(args)
	if err != nil {
		return err
	}
	return run(ctx, opts)
}

// run measures everything, and concludes.
func run(ctx context.Context, opts options) error {
	if err := quiet(); err != nil {
		return err
	}
	r, err := measure(ctx, opts)
	if err != nil {
		return err
	}
	return r.conclude()
}

// measure does one thing after the other: they would disturb each other.
func measure(ctx context.Context, opts options) (*report, error) {
	dir, err := os.MkdirTemp("", "tokenreview-bench-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b, err := newBench(ctx, opts, dir)
	if err != nil {
		return nil, err
	}
	defer b.close()
	r := &report{options: opts}
	begun := time.Now()
	for _, part := range []struct {
		name    string
		measure func(context.Context, *report) error
	}{
		{"Decisions in process", b.decisions},
		{"TokenReviews over HTTPS", b.https},
		{"From the start to ready", b.starts},
		{"Curves of a decision", b.decisionCurves},
		{"Curve of distinct tokens", b.distinctTokens},
		{"Curve of connections", b.connections},
		{"Memory", b.memory},
	} {
		say("%s, %s after the start", part.name, time.Since(begun).Round(time.Second))
		if err := part.measure(ctx, r); err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	r.machine, err = describeMachine(ctx, opts.webhook)
	return r, err
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "==> "+format+"\n", args...) }

// quiet has upstream's authenticator log nothing.
func quiet() error {
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	klog.SetOutput(io.Discard)
	return errors.Join(flags.Set("logtostderr", "false"), flags.Set("stderrthreshold", "FATAL"))
}
