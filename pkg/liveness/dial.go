package liveness

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// dialer makes the connections to the API server, TLS included, one at a time. It is
// safe for concurrent use.
type dialer struct {
	config   *tls.Config
	turn     chan struct{}
	standing *standing

	mu sync.Mutex
	// attempts counts those that have ended, and failure is why the last one failed, nil
	// if it did not.
	attempts int
	failure  error
}

func newDialer(config *tls.Config, standing *standing) *dialer {
	return &dialer{config: config, turn: make(chan struct{}, 1), standing: standing}
}

// dial is an http.Transport's DialTLSContext.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	before := d.ended()
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	// Who has waited while another failed knows enough. Else a crowd would wait for one
	// failure after the other, each longer than its question lasts.
	if err := d.failedSince(before); err != nil {
		return nil, err
	}
	connection, err := d.connect(ctx, network, address)
	if ctx.Err() == nil { // or it was given up, which says nothing
		d.mu.Lock()
		d.attempts, d.failure = d.attempts+1, err
		d.mu.Unlock()
	}
	return connection, err
}

// ended is how many attempts have ended.
func (d *dialer) ended() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.attempts
}

// failedSince returns why the last attempt failed, nil if it did not, or if none has
// ended since ended returned before.
func (d *dialer) failedSince(before int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.attempts == before {
		return nil
	}
	return d.failure
}

func (d *dialer) connect(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	plain, err := (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := d.config.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	counted := &countedConn{Conn: plain, standing: d.standing}
	connection := tls.Client(counted, config)
	if err := connection.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, err
	}
	d.standing.add()
	counted.stands.Store(true)
	return connection, nil
}

// standing counts the connections to the API server that stand, whichever state of the
// kubeconfig they are by. While one does, or did a moment ago, the API server is there:
// that another cannot be made is then a limit on the way, which many tokens can reach.
// It is safe for concurrent use.
type standing struct {
	now func() time.Time

	mu     sync.Mutex
	number int
	closed time.Time // when the last one was that was closed
}

// within reports whether a connection stands, or has stood not longer ago than a time.
func (s *standing) within(ago time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.number > 0 || !s.closed.IsZero() && s.now().Sub(s.closed) < ago
}

func (s *standing) add() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
}

func (s *standing) remove() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number--
	s.closed = s.now()
}

// countedConn is a connection that is counted from when TLS stands until it is closed.
type countedConn struct {
	net.Conn
	standing *standing
	stands   atomic.Bool
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	if c.stands.CompareAndSwap(true, false) {
		c.standing.remove()
	}
	return c.Conn.Close()
}
