package chaos

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"tokenreview.dev/webhook/e2e/cluster"
)

var (
	duration   = flag.Duration("duration", 2*time.Second, "how long each fault lasts, at least")
	pace       = flag.Duration("pace", 20*time.Millisecond, "the shortest time between two questions of one worker")
	reportFile = flag.String("report", "", "file in which to replace the table of what came of each fault")
)

// faultsAtATime is how many faults are tested at the same time.
const faultsAtATime = 4

// webhookBinary is built before the first test.
var webhookBinary string

func TestMain(m *testing.M) {
	if settings := os.Getenv(issuerSettings); settings != "" {
		// This process is one of the issuers, see issuer.start.
		fmt.Fprintln(os.Stderr, serveIssuer(context.Background(), settings))
		os.Exit(1)
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	// Faults are waited for more than they keep processors busy. A -parallel that is given
	// comes after this.
	if err := flag.Set("test.parallel", strconv.Itoa(faultsAtATime)); err != nil {
		return 0, err
	}
	flag.Parse()
	if err := quiet(); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "tokenreview-chaos-*")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	webhookBinary, err = cluster.BuildWebhook(context.Background(), dir, os.Stderr)
	if err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// quiet has the API server's client log nothing. It logs each answer that it did not get, and
// so do the tests.
func quiet() error {
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	klog.SetOutput(io.Discard)
	return errors.Join(flags.Set("logtostderr", "false"), flags.Set("stderrthreshold", "FATAL"))
}
