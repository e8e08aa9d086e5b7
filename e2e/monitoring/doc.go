// Package monitoring has a real Prometheus scrape the webhook, and checks what
// manifests/monitoring and docs say of metrics. It holds tests alone.
//
// It needs prometheus and promtool in PATH, and says what to install where they are
// missing.
package monitoring
