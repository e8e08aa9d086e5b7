package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"

	"tokenreview.dev/webhook/e2e/cluster"
)

// The programs that every test starts, built before the first.
var (
	binaries      cluster.Binaries
	webhookBinary string
)

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	ctx := context.Background()
	binaries, err = cluster.BuildBinaries(ctx, os.Stderr)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "tokenreview-e2e-*")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	webhookBinary, err = cluster.BuildWebhook(ctx, dir, os.Stderr)
	if err != nil {
		return 0, err
	}
	return m.Run(), nil
}
