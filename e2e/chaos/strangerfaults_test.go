package chaos

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
)

const (
	// silent strangers connect and say nothing, more of them than there may be connections.
	silentStrangers = 600
	// curiousStrangers shake hands without a certificate and ask, again and again, over
	// HTTP/2 and several at a time on a connection.
	curiousStrangers     = 4
	curiousPerConnection = 20
	// mostMemory is what the webhook may take up meanwhile, in bytes. Without bounds for
	// strangers it is gigabytes.
	mostMemory = 256 << 20
)

// strangerFaults are about who reaches the port and has no certificate.
func strangerFaults() []fault {
	return []fault{{name: "strangers besiege the port", load: "usual, 600 silent connections, and four strangers that ask as fast as they can", provoke: besieged}}
}

// besieged has the API server connect again and again, since strangers must not keep it
// out either.
func besieged(t *testing.T, b *bench) {
	b.start(t, cluster.Launch{Flags: []string{"--max-connection-age=200ms"}})
	ctx, cancel := context.WithTimeout(t.Context(), *duration)
	defer cancel()
	var strangers sync.WaitGroup
	var refused, silent atomic.Int64
	for range curiousStrangers {
		strangers.Go(func() { b.askWithoutCertificate(ctx, t, &refused) })
	}
	strangers.Go(func() { b.saysNothing(ctx, &silent) })
	b.load.carriesOn(t, *duration)
	strangers.Wait()
	t.Logf("%d silent connections, %d refusals", silent.Load(), refused.Load())
	if silent.Load() == 0 || refused.Load() == 0 {
		t.Errorf("expected silent connections and refusals, got %d and %d", silent.Load(), refused.Load())
	}
	memory, err := b.metric(t, "process_resident_memory_bytes")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.0f MiB of memory", memory/(1<<20))
	if memory > mostMemory {
		t.Errorf("the webhook takes up %.0f bytes, want %d at most", memory, mostMemory)
	}
	b.load.carriesOn(t, 0)
}

// askWithoutCertificate asks until ctx ends, and wants 401 whenever there is an answer.
func (b *bench) askWithoutCertificate(ctx context.Context, t *testing.T, refused *atomic.Int64) {
	for ctx.Err() == nil {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
		var asking sync.WaitGroup
		for range curiousPerConnection {
			asking.Go(func() {
				request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+b.webhook.Address()+"/authenticate", strings.NewReader("{}"))
				if err != nil {
					t.Error(err)
					return
				}
				response, err := transport.RoundTrip(request)
				if err != nil {
					return // cut off
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode != http.StatusUnauthorized {
					t.Errorf("a stranger is answered %s", response.Status)
				}
				refused.Add(1)
			})
		}
		asking.Wait()
		transport.CloseIdleConnections()
	}
}

// saysNothing connects again and again, and keeps what it has until ctx ends.
func (b *bench) saysNothing(ctx context.Context, opened *atomic.Int64) {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	var kept []net.Conn
	defer func() {
		for _, conn := range kept {
			_ = conn.Close()
		}
	}()
	for dialer := (&net.Dialer{}); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		conn, err := dialer.DialContext(ctx, "tcp", b.webhook.Address())
		if err != nil {
			continue
		}
		opened.Add(1)
		if kept = append(kept, conn); len(kept) > silentStrangers {
			_ = kept[0].Close()
			kept = kept[1:]
		}
	}
}
