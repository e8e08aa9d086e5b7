package server

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// pipes is a listener of connections in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return nil }

// connecting is a listener with a limit, and those who connect to it.
type connecting struct {
	t        *testing.T
	arriving pipes
	listener net.Listener
	all      *connections
	limit    int
	log      strings.Builder
}

func newConnecting(t *testing.T, limit int) *connecting {
	c := &connecting{t: t, arriving: make(pipes, 1), limit: limit}
	c.all = newConnections(func() int { return c.limit }, slog.New(slog.NewTextHandler(&c.log, nil)))
	c.listener = c.all.listener(c.arriving)
	return c
}

// connect returns both ends of a connection that was accepted.
func (c *connecting) connect() (theirs net.Conn, ours *connection) {
	c.t.Helper()
	theirs, served := net.Pipe()
	c.arriving <- served
	accepted, err := c.listener.Accept()
	if err != nil {
		c.t.Fatal(err)
	}
	return theirs, accepted.(*connection)
}

func TestOneConnectionTooManyTakesThePlaceOfTheOldestStranger(t *testing.T) {
	c := newConnecting(t, 3)
	_, apiServer := c.connect()
	apiServer.known()
	_, oldest := c.connect()
	_, younger := c.connect()
	_, _ = c.connect()
	if !apiServer.open() || oldest.open() || !younger.open() {
		t.Errorf("expected the oldest stranger to be gone: API server %v, oldest %v, younger %v", apiServer.open(), oldest.open(), younger.open())
	}
	_, _ = c.connect()
	if !apiServer.open() || younger.open() {
		t.Error("expected the next oldest to be gone, and the API server to stay")
	}
	if n := c.all.displaced.Load(); n != 2 || strings.Count(c.log.String(), "level=WARN") != 2 || !strings.Contains(c.log.String(), "limit=3") {
		t.Errorf("expected both to be told of, got %d and %s", n, c.log.String())
	}
}

func TestWithoutStrangersOneTooManyIsClosed(t *testing.T) {
	c := newConnecting(t, 2)
	for range 2 {
		_, ours := c.connect()
		ours.known()
	}
	theirs, served := net.Pipe()
	c.arriving <- served
	go func() {
		_, _ = theirs.Read(make([]byte, 1)) // until it is closed
		_ = c.arriving.Close()
	}()
	if _, err := c.listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("expected no connection before the listener ended, got %v", err)
	}
}

func TestAConnectionThatEndsMakesRoom(t *testing.T) {
	c := newConnecting(t, 2)
	_, known := c.connect()
	known.known()
	_, stranger := c.connect()
	_ = stranger.Close()
	_ = stranger.Close() // as net/http does
	_, next := c.connect()
	if !known.open() || !next.open() || c.all.open != 2 || c.all.strangers.Len() != 1 {
		t.Errorf("expected two connections, one of a stranger, got %d, %d", c.all.open, c.all.strangers.Len())
	}
	_ = known.Close()
	_ = next.Close()
	if c.all.open != 0 || c.all.strangers.Len() != 0 {
		t.Errorf("expected none, got %d, %d", c.all.open, c.all.strangers.Len())
	}
}

func TestALimitThatIsLoweredHoldsFromTheNextConnectionOn(t *testing.T) {
	c := newConnecting(t, 3)
	_, first := c.connect()
	_, second := c.connect()
	c.limit = 1
	_, third := c.connect()
	if first.open() || second.open() || !third.open() {
		t.Error("expected strangers to go until the limit holds")
	}
}

func TestAHandshakeIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		shaken bool
		err    error
	}{"before it is over": {false, errHandshakeTooLong}, "after that": {true, nil}} {
		t.Run(name, func(t *testing.T) {
			c := newConnecting(t, 1)
			theirs, ours := c.connect()
			if test.shaken {
				ours.shaken.Store(true)
			}
			go func() { _, _ = theirs.Write(make([]byte, maxHandshakeBytes+1)) }()
			if _, err := io.ReadFull(ours, make([]byte, maxHandshakeBytes+1)); !errors.Is(err, test.err) {
				t.Errorf("expected %v, got %v", test.err, err)
			}
			_ = ours.Close()
		})
	}
}

func TestAStrangerIsRefusedOnceOnAConnection(t *testing.T) {
	c := newConnecting(t, 1)
	_, ours := c.connect()
	request := httptest.NewRequest(http.MethodPost, "/", nil)
	request = request.WithContext(c.all.connContext(request.Context(), ours))
	c.all.refused(request)
	if !ours.open() {
		t.Error("expected the first refusal to be sent")
	}
	c.all.refused(request)
	if ours.open() || c.all.count() != 0 {
		t.Error("expected the second to cut the connection off")
	}
}

func TestStrangersAreCutOffAtShutdown(t *testing.T) {
	c := newConnecting(t, 3)
	_, known := c.connect()
	known.known()
	_, first := c.connect()
	_, second := c.connect()
	c.all.closeStrangers()
	if !known.open() || first.open() || second.open() {
		t.Errorf("expected the caller alone to stay, got %v, %v, %v", known.open(), first.open(), second.open())
	}
}

// open reports whether the server has not closed the connection.
func (c *connection) open() bool {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	return !c.ended
}
