package cluster

import (
	"net/http"
	"testing"
	"time"
)

// startEtcd starts an empty etcd and returns the address for its clients.
func startEtcd(t *testing.T, binaries Binaries) string {
	t.Helper()
	var clients string
	startOnPorts(t, time.Minute, 2, func(ports []int) (*Process, func() error) {
		clients = url("http", ports[0], "")
		peers := url("http", ports[1], "")
		etcd := start(t, "etcd", binaries.Etcd,
			"--data-dir="+t.TempDir(),
			"--listen-client-urls="+clients,
			"--advertise-client-urls="+clients,
			"--listen-peer-urls="+peers,
			"--initial-advertise-peer-urls="+peers,
			"--initial-cluster=default="+peers,
			// The data lives as long as the test: nothing has to reach a disk.
			"--unsafe-no-fsync",
			"--log-level=warn",
		)
		return etcd, func() error { return getOK(t.Context(), http.DefaultClient, clients+"/health") }
	})
	return clients
}
