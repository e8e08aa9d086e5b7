package liveness

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"
)

// dialer makes the connections to the API server, TLS included, one at a time, and
// counts those that stand. While one does, the API server is there: that another
// cannot be made is then a limit on the way, which many tokens can reach.
type dialer struct {
	config   *tls.Config
	turn     chan struct{}
	standing atomic.Int64
}

func newDialer(config *tls.Config) *dialer {
	return &dialer{config: config, turn: make(chan struct{}, 1)}
}

// dial is an http.Transport's DialTLSContext.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
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
	counted := &countedConn{Conn: plain, of: &d.standing}
	connection := tls.Client(counted, config)
	if err := connection.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, err
	}
	counted.stands.Store(true)
	d.standing.Add(1)
	return connection, nil
}

// countedConn is a connection that is counted from when TLS stands until it is closed.
type countedConn struct {
	net.Conn
	of     *atomic.Int64
	stands atomic.Bool
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	if c.stands.CompareAndSwap(true, false) {
		c.of.Add(-1)
	}
	return c.Conn.Close()
}
