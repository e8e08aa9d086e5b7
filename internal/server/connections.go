package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"tokenreview.dev/webhook/internal/logging"
)

const (
	// maxHandshakeBytes is how much a caller may send before the TLS handshake is over: a
	// chain of certificates, which is kept as long as the connection.
	maxHandshakeBytes = 32 << 10
	// strangerLasts is how long a stranger's connection lasts.
	strangerLasts = 10 * time.Second
)

// connections bounds how many connections a listener has at a time, and what strangers
// can do with theirs: whoever connects and shows no accepted certificate. One too many
// takes the place of the oldest stranger, who can so keep out others of his kind alone;
// where there are no strangers, the one too many is reset. It is safe for concurrent
// use.
type connections struct {
	limit func() int
	log   *slog.Logger
	// plain is whether there is no handshake, so that all are strangers for ever.
	plain bool
	// displaced counts those that were closed because there were too many.
	displaced atomic.Int64

	mu        sync.Mutex
	open      int
	strangers list.List // of *connection, the oldest first
}

// connection is one of them.
type connection struct {
	net.Conn
	all      *connections
	ended    bool // and no longer counted
	stranger *list.Element
	// expiry ends the connection of a stranger; nil on a plain one.
	expiry *time.Timer

	read     atomic.Int64 // bytes, until shaken
	shaken   atomic.Bool  // the handshake is over
	refusals atomic.Int64
}

var errHandshakeTooLong = errors.New("more than a TLS handshake takes")

// Read bounds what is read before the handshake is over.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.shaken.Load() && c.read.Add(int64(n)) > maxHandshakeBytes {
		return 0, errHandshakeTooLong
	}
	return n, err
}

// newConnections returns connections that are bounded by what limit returns, which is
// asked for each.
func newConnections(limit func() int, log *slog.Logger) *connections {
	return &connections{limit: limit, log: logging.Limited(log, 1)}
}

func (c *connections) withoutTLS() *connections {
	c.plain = true
	return c
}

// listener is a net.Listener of connections.
type listener struct {
	net.Listener
	connections *connections
}

func (c *connections) listener(l net.Listener) net.Listener { return listener{l, c} }

// Accept waits for a connection that there is room for.
func (l listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.connections.add(accepted); c != nil {
			return c, nil
		}
		l.connections.log.Warn("too many connections, all of them callers': the newest is reset", "limit", l.connections.limit(), "remote", accepted.RemoteAddr())
		l.connections.displaced.Add(1)
		reset(accepted)
	}
}

// reset closes a connection so that the other side sees it reset, which is what
// kube-apiserver's client tries again after.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// add returns nil if there is no room.
func (c *connections) add(accepted net.Conn) *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := c.limit() // which may have become lower
	for c.open >= limit && c.strangers.Len() > 0 {
		oldest := c.strangers.Front().Value.(*connection)
		c.forget(oldest)
		c.log.Warn("too many connections: the oldest without an accepted caller is reset", "limit", limit, "remote", oldest.RemoteAddr())
		c.displaced.Add(1)
		reset(oldest.Conn)
	}
	if c.open >= limit {
		return nil
	}
	added := &connection{Conn: accepted, all: c}
	added.shaken.Store(c.plain)
	added.stranger = c.strangers.PushBack(added)
	if !c.plain {
		added.expiry = time.AfterFunc(strangerLasts, added.cutOff)
	}
	c.open++
	return added
}

// cutOff ends a connection at once, whatever is under way on it.
func (c *connection) cutOff() {
	c.all.mu.Lock()
	c.all.forget(c)
	c.all.mu.Unlock()
	reset(c.Conn)
}

// closeStrangers ends the connections whose callers have shown no accepted certificate:
// nobody is owed an answer.
func (c *connections) closeStrangers() {
	c.mu.Lock()
	var all []*connection
	for element := c.strangers.Front(); element != nil; element = element.Next() {
		all = append(all, element.Value.(*connection))
	}
	c.mu.Unlock()
	for _, stranger := range all {
		stranger.cutOff()
	}
}

// forget takes a connection that ends out of the count.
func (c *connections) forget(ended *connection) {
	if ended.ended {
		return
	}
	ended.ended = true
	if ended.expiry != nil {
		ended.expiry.Stop()
	}
	c.open--
	if ended.stranger != nil {
		c.strangers.Remove(ended.stranger)
		ended.stranger = nil
	}
}

func (c *connection) Close() error {
	c.all.mu.Lock()
	c.all.forget(c)
	c.all.mu.Unlock()
	return c.Conn.Close()
}

// known says that the caller has shown an accepted certificate, and that it is his.
func (c *connection) known() {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.stranger != nil {
		c.expiry.Stop()
		c.all.strangers.Remove(c.stranger)
		c.stranger = nil
	}
}

type connectionKey struct{}

// connContext is for http.Server.ConnContext.
func (c *connections) connContext(ctx context.Context, conn net.Conn) context.Context {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, conn)
}

// refused is for tokenreview.Callers: a connection is refused once. Whoever has asked
// for more is cut off, before answers that he may never take are waiting for him.
func (c *connections) refused(r *http.Request) {
	if conn, ok := r.Context().Value(connectionKey{}).(*connection); ok && conn.refusals.Add(1) > 1 {
		conn.cutOff()
	}
}
