package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"tokenreview.dev/webhook/internal/logging"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

const (
	// A TokenReview is one small packet; a caller that takes longer is not one.
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	// writeTimeout leaves room for the longest decision.
	writeTimeout   = 20 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10
	// What strangers send is kept until somebody reads it, or nobody will: these bound it
	// for one request and one connection over HTTP/2. The largest TokenReview fits.
	maxUnreadPerStream     = 160 << 10
	maxUnreadPerConnection = 256 << 10
	// writeByteTimeout ends an HTTP/2 connection whose caller takes no answers.
	writeByteTimeout = 10 * time.Second
	// handshakesWait is how long handshakes under way may take at shutdown: a caller's is
	// over in milliseconds.
	handshakesWait = time.Second
	// maxHealthConnections is for the health port, where all are strangers.
	maxHealthConnections = 256
)

// Options says where and how to listen.
type Options struct {
	// BindAddress and SecurePort are those of the secure port.
	BindAddress string
	SecurePort  int
	// HealthBindAddress is host:port of the health port.
	HealthBindAddress string
	// CertFile and KeyFile are the serving certificate and its key, PEM.
	CertFile, KeyFile string
	// ClientCAFile is the CA of the callers' certificates, PEM. Empty only if
	// AllowAnyCaller.
	ClientCAFile string
	// AllowAnyCaller lets anybody ask, certificate or not.
	AllowAnyCaller bool
	// PermitPortSharing lets another process listen on the same ports meanwhile
	// (SO_REUSEPORT), so that one can replace the other without a gap.
	PermitPortSharing bool
	// MaxConnectionAge is about how long a connection may last before an answer ends
	// it, so that callers come to spread over replicas. Zero is for ever.
	MaxConnectionAge time.Duration
	// ShutdownDelay is how long requests are still taken, while /readyz says that the
	// server is shutting down, so that load balancers stop sending them.
	ShutdownDelay time.Duration
	// GracePeriod is how long requests under way may take to end at shutdown.
	GracePeriod time.Duration
	// Tracer makes spans of requests, nil none.
	Tracer trace.Tracer
}

// Server is both listeners, bound and not yet serving.
type Server struct {
	options      Options
	log          *slog.Logger
	certificates *certificates
	health       *Health
	// callers answers connections of accepted callers, strangers those of others; door
	// says which is which.
	callers, strangers *http.Server
	door               *door
	open               *connections // to the secure port
	plain              *http.Server
	plainListen        net.Listener
}

// New loads the certificates and binds the ports.
func New(ctx context.Context, options Options, handler *tokenreview.Handler, health *Health, log *slog.Logger) (*Server, error) {
	certificates, err := loadCertificates(options, log)
	if err != nil {
		return nil, err
	}
	health.metrics.certificates(certificates)
	s := &Server{options: options, log: log, certificates: certificates, health: health}

	open := newConnections(health.reviewer.MaxConnections, log)
	health.metrics.connections(open)
	secured := spans{tracer: options.Tracer, callersKnown: certificates.clientCA != nil}.wrap(handler, tokenreview.AuthenticatePath, tokenreview.TokenReviewPath)
	age := maxAge(options.MaxConnectionAge)
	// A failed handshake may be the API server's, which does not trust our certificate.
	errorLog := slog.NewLogLogger(logging.Limited(log, 1).Handler(), slog.LevelWarn)
	connContext := func(ctx context.Context, connection net.Conn) context.Context {
		return open.connContext(age.connContext(ctx, connection), connection)
	}
	accepts := func([]*x509.Certificate) bool { return true }
	if certificates.clientCA != nil {
		callers := tokenreview.NewCallers(certificates.clientCA.VerifyOptions, time.Now, log)
		callers.Refused = open.refused
		accepts = callers.Accept
		secured = callers.Wrap(secured)
		outer := connContext
		connContext = func(ctx context.Context, connection net.Conn) context.Context {
			return callers.ConnContext(outer(ctx, connection), connection)
		}
	}
	secured = health.metrics.countResponses(age.wrap(secured))
	s.callers = newHTTPServer(secured, errorLog)
	s.strangers = newStrangersServer(secured, errorLog)
	for _, server := range []*http.Server{s.callers, s.strangers} {
		server.TLSConfig = certificates.config.Clone() // a server adds to it
		server.ConnContext = connContext
	}
	s.open = open
	s.plain = newHTTPServer(health.handler(), errorLog)

	config := net.ListenConfig{}
	if options.PermitPortSharing {
		config.Control = sharePort
	}
	address := net.JoinHostPort(options.BindAddress, strconv.Itoa(options.SecurePort))
	secureListen, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("secure port: %w", err)
	}
	if s.plainListen, err = config.Listen(ctx, "tcp", options.HealthBindAddress); err != nil {
		_ = secureListen.Close()
		return nil, fmt.Errorf("health port: %w", err)
	}
	s.door = &door{
		listener: open.listener(secureListen), config: certificates.config, accepts: accepts, log: errorLog,
		callers: newHanded(secureListen.Addr()), strangers: newHanded(secureListen.Addr()), ended: make(chan struct{}),
	}
	s.plainListen = newConnections(func() int { return maxHealthConnections }, log).withoutTLS().listener(s.plainListen)
	return s, nil
}

// newHTTPServer returns a server that no caller can keep waiting.
func newHTTPServer(handler http.Handler, errorLog *log.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          errorLog,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     maxUnreadPerStream,
			MaxReceiveBufferPerConnection: maxUnreadPerConnection,
			WriteByteTimeout:              writeByteTimeout,
		},
	}
}

// newStrangersServer returns a server for callers who are told that they are not
// accepted: one request at a time, and soon.
func newStrangersServer(handler http.Handler, errorLog *log.Logger) *http.Server {
	server := newHTTPServer(handler, errorLog)
	server.ReadTimeout, server.WriteTimeout, server.IdleTimeout = readHeaderTimeout, readHeaderTimeout, readHeaderTimeout
	server.HTTP2.MaxConcurrentStreams = 1
	server.HTTP2.MaxReceiveBufferPerConnection = 64 << 10 // the least there can be
	return server
}

// Run serves until ctx is done, then lets requests under way end. It returns an
// error if a listener fails or the grace period runs out.
func (s *Server) Run(ctx context.Context) error {
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.certificates.run(background)

	failed := make(chan error, 4)
	var serving sync.WaitGroup
	serving.Go(func() { failed <- s.door.run() })
	serving.Go(func() { failed <- s.callers.Serve(s.door.callers) })
	serving.Go(func() { failed <- s.strangers.Serve(s.door.strangers) })
	serving.Go(func() { failed <- s.plain.Serve(s.plainListen) })
	s.log.Info("serving", "secure", s.door.listener.Addr().String(), "health", s.plainListen.Addr().String())

	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		s.log.Info("shutting down", "grace", s.options.GracePeriod.String())
	}
	s.health.shuttingDown.Store(true)
	if s.options.PermitPortSharing {
		// Probes are for the process that takes over.
		_ = s.plain.Close()
	}
	if err == nil {
		time.Sleep(s.options.ShutdownDelay)
	}
	_ = s.door.listener.Close()
	s.door.await(handshakesWait)
	s.open.closeStrangers()
	_ = s.strangers.Close()
	grace, stop := context.WithTimeout(background, s.options.GracePeriod)
	defer stop()
	if shutdownErr := s.callers.Shutdown(grace); shutdownErr != nil {
		err = errors.Join(err, fmt.Errorf("requests were still under way when the grace period of %s ended: %w", s.options.GracePeriod, shutdownErr))
		_ = s.callers.Close()
	}
	_ = s.plain.Close()
	// A listener that is told to end before it has begun is closed by its goroutine.
	serving.Wait()
	return err
}
