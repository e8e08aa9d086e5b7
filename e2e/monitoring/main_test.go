package monitoring

import (
	"context"
	"fmt"
	"os"
	"testing"

	"tokenreview.dev/webhook/e2e/cluster"
)

// The programs that the tests start.
var webhookBinary, prometheusBinary, promtoolBinary string

// Where the files are that are tested.
const (
	root      = "../.."
	manifests = root + "/manifests/monitoring"
	rulesFile = manifests + "/prometheus-rules.yaml"
	dashboard = manifests + "/dashboard.json"
	runbook   = root + "/docs/runbook.md"
	guide     = root + "/docs/monitoring.md"
)

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "monitoring:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	prometheusBinary, promtoolBinary, err = cluster.PrometheusPrograms()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "tokenreview-monitoring-*")
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
