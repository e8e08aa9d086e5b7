package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"sync"
	"time"
)

const (
	// handshakeTimeout is how long a TLS handshake may take.
	handshakeTimeout = 5 * time.Second
	// acceptPause is the time between two attempts to accept a connection, such as while
	// the process has too many files open.
	acceptPause = 100 * time.Millisecond
)

// door shakes hands with whoever connects to the secure port, and hands the connection
// to the server for callers if their certificate is accepted, and else to the one for
// strangers, who are told what is missing and get no more. Which it is is known before
// anything of HTTP is read: over HTTP/2 a connection is as many callers as a server
// allows it.
type door struct {
	listener  net.Listener // of connections
	config    *tls.Config
	accepts   func([]*x509.Certificate) bool
	callers   *handed
	strangers *handed
	log       *log.Logger

	// ended is closed when no handshake begins any more.
	ended      chan struct{}
	handshakes sync.WaitGroup
}

// run accepts connections until the listener fails or is closed.
func (d *door) run() error {
	defer close(d.ended)
	for {
		accepted, err := d.listener.Accept()
		if err != nil {
			if passing(err) {
				d.log.Printf("accept: %v", err)
				time.Sleep(acceptPause)
				continue
			}
			return err
		}
		d.handshakes.Go(func() { d.shakeHands(accepted.(*connection)) })
	}
}

// passing reports whether accepting may work again, as net/http does.
func passing(err error) bool {
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary()
}

func (d *door) shakeHands(conn *connection) {
	secured := tls.Server(conn, d.config)
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		var notTLS tls.RecordHeaderError
		if errors.As(err, &notTLS) && notTLS.Conn != nil {
			_, _ = io.WriteString(notTLS.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nThis port wants TLS.\n")
		}
		d.log.Printf("TLS handshake error from %s: %v", conn.RemoteAddr(), err)
		_ = conn.Close()
		return
	}
	conn.shaken.Store(true)
	if d.accepts(secured.ConnectionState().PeerCertificates) {
		conn.known()
		d.callers.hand(secured)
		return
	}
	d.strangers.hand(secured)
}

// await waits until the handshakes under way have ended, but no longer than that. The
// listener is closed already.
func (d *door) await(longest time.Duration) {
	ended := make(chan struct{})
	go func() {
		<-d.ended
		d.handshakes.Wait()
		close(ended)
	}()
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}

// handed is a net.Listener of connections that somebody else has accepted.
type handed struct {
	address net.Addr
	conns   chan net.Conn
	close   func()
	closed  <-chan struct{}
}

func newHanded(address net.Addr) *handed {
	closed := make(chan struct{})
	return &handed{address: address, conns: make(chan net.Conn), closed: closed, close: sync.OnceFunc(func() { close(closed) })}
}

func (h *handed) hand(conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.closed:
		_ = conn.Close()
	}
}

func (h *handed) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handed) Close() error {
	h.close()
	return nil
}

func (h *handed) Addr() net.Addr { return h.address }
