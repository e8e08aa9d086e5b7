package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tokenreview.dev/webhook/internal/certs"
)

// A caller that keeps the server waiting is given up, however it goes about it. Time is
// the bubble's.
func TestCallersThatKeepTheServerWaitingAreGivenUp(t *testing.T) {
	request := "POST / HTTP/1.1\r\nHost: x\r\n"
	for _, test := range []struct {
		name string
		// wait keeps the server waiting until it hangs up.
		wait func(t *testing.T, conn net.Conn)
		at   time.Duration // after which it must have done so
	}{
		{"by saying nothing", func(_ *testing.T, conn net.Conn) { hungUp(conn) }, readHeaderTimeout},
		{"by a header that does not end", func(_ *testing.T, conn net.Conn) {
			_, _ = io.WriteString(conn, request)
			hungUp(conn)
		}, readHeaderTimeout},
		{"by a header that trickles", func(_ *testing.T, conn net.Conn) {
			go hungUp(conn) // takes what the server may have to say
			for {
				if _, err := io.WriteString(conn, "a"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, readHeaderTimeout + time.Second},
		{"by a body that does not end", func(_ *testing.T, conn net.Conn) {
			_, _ = io.WriteString(conn, request+"Content-Length: 100\r\n\r\n{")
			hungUp(conn)
		}, readTimeout},
		{"by not asking again", func(t *testing.T, conn net.Conn) {
			_, _ = io.WriteString(conn, request+"Content-Length: 0\r\n\r\n")
			if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
				t.Error(err)
			}
			hungUp(conn)
		}, idleTimeout},
		{"by not taking the answer", func(_ *testing.T, conn net.Conn) {
			_, _ = io.WriteString(conn, request+"Content-Length: 0\r\n\r\n")
			time.Sleep(writeTimeout)
			synctest.Wait()
			hungUp(conn)
		}, writeTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				arriving := make(pipes)
				server := newHTTPServer(http.HandlerFunc(reader), log.New(io.Discard, "", 0))
				go func() { _ = server.Serve(arriving) }()
				defer func() { _ = server.Close() }()
				theirs, ours := net.Pipe()
				arriving <- ours
				start := time.Now()
				test.wait(t, theirs)
				if took := time.Since(start); took > test.at {
					t.Errorf("expected the connection to be closed after %s at the latest, got %s", test.at, took)
				}
			})
		})
	}
}

// reader reads the body and answers with more than fits into buffers.
func reader(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	_, _ = io.WriteString(w, strings.Repeat("a", 1<<20))
}

// hungUp waits until the other end is closed.
func hungUp(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// overHTTP2 returns a client, and the server that it asks over connections in memory.
// Both live in the bubble.
func overHTTP2(t *testing.T, pair tls.Certificate, handler http.HandlerFunc) *http.Transport {
	arriving := make(pipes)
	server := newHTTPServer(handler, log.New(io.Discard, "", 0))
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}
	go func() { _ = server.ServeTLS(arriving, "", "") }()
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			theirs, ours := net.Pipe()
			arriving <- ours
			return theirs, nil
		},
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
	})
	return transport
}

func servingPair(t *testing.T) tls.Certificate {
	t.Helper()
	dir := t.TempDir()
	if _, err := certs.Init(certs.DefaultOptions(dir)); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// Over HTTP/2 one request of many can be slow, while the connection is not.
func TestABodyThatDoesNotEndIsGivenUpOverHTTP2(t *testing.T) {
	pair := servingPair(t)
	synctest.Test(t, func(t *testing.T) {
		transport := overHTTP2(t, pair, reader)
		body, unfinished := io.Pipe()
		defer func() { _ = unfinished.Close() }()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://127.0.0.1/", body)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.ProtoMajor != 2 || response.StatusCode != http.StatusBadRequest || time.Since(start) != readTimeout {
			t.Errorf("expected 400 over HTTP/2 after %s, got %s over %s after %s", readTimeout, response.Status, response.Proto, time.Since(start))
		}
	})
}

func TestACallerThatDoesNotShakeHandsIsHungUpOn(t *testing.T) {
	pair := servingPair(t)
	synctest.Test(t, func(t *testing.T) {
		c := newConnecting(t, 1)
		d := &door{listener: c.listener, config: &tls.Config{Certificates: []tls.Certificate{pair}}, log: log.New(io.Discard, "", 0), ended: make(chan struct{})}
		go func() { _ = d.run() }()
		theirs, ours := net.Pipe()
		c.arriving <- ours
		start := time.Now()
		hungUp(theirs)
		if took := time.Since(start); took != handshakeTimeout {
			t.Errorf("expected the connection to be closed after %s, got %s", handshakeTimeout, took)
		}
		_ = c.arriving.Close()
		d.await(time.Hour)
		if took := time.Since(start); took != handshakeTimeout || c.all.count() != 0 {
			t.Errorf("expected nothing to be left, got %d connections after %s", c.all.count(), took)
		}
	})
}

// A stranger's connection lasts no longer than a caller needs to ask.
func TestAStrangersConnectionDoesNotLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConnecting(t, 2)
		theirs, _ := c.connect()
		_, known := c.connect()
		known.known()
		start := time.Now()
		hungUp(theirs)
		if took := time.Since(start); took != strangerLasts {
			t.Errorf("expected the connection to be closed after %s, got %s", strangerLasts, took)
		}
		time.Sleep(strangerLasts)
		if !known.open() || c.all.count() != 1 {
			t.Error("expected the caller's to stay")
		}
	})
}

// endless is a body without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestWhatNobodyReadsIsBoundedOverHTTP2(t *testing.T) {
	pair := servingPair(t)
	// Frames, TLS records and the handshake take their part, too.
	const around = 16 << 10
	for requests, limit := range map[int]int64{1: maxUnreadPerStream, 4: maxUnreadPerConnection} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			transport := overHTTP2(t, pair, func(http.ResponseWriter, *http.Request) { <-release })
			var sent atomic.Int64
			dial := transport.DialContext
			transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				return counted{conn, &sent}, err
			}
			var asking sync.WaitGroup
			for range requests {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://127.0.0.1/", io.NopCloser(endless{}))
				if err != nil {
					t.Fatal(err)
				}
				asking.Go(func() {
					if response, err := transport.RoundTrip(request); err == nil {
						_ = response.Body.Close()
					}
				})
				synctest.Wait()
			}
			if got := sent.Load(); got < limit || got > limit+around {
				t.Errorf("%d requests: expected the client to get rid of %d bytes, got %d", requests, limit, got)
			}
			close(release)
			asking.Wait()
		})
	}
}

// counted counts what is written to a connection.
type counted struct {
	net.Conn
	sent *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	c.sent.Add(int64(len(p)))
	return c.Conn.Write(p)
}
