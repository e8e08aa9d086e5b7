package server

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/mux"

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
}

// Server is both listeners, bound and not yet serving.
type Server struct {
	options      Options
	log          *slog.Logger
	certificates *certificates
	health       *Health
	secure       *http.Server
	plain        *http.Server
	secureListen net.Listener
	plainListen  net.Listener
}

// New loads the certificates and binds the ports.
func New(ctx context.Context, options Options, handler *tokenreview.Handler, health *Health, log *slog.Logger) (*Server, error) {
	certificates, err := loadCertificates(options, log)
	if err != nil {
		return nil, err
	}
	health.metrics.certificates(certificates)
	s := &Server{options: options, log: log, certificates: certificates, health: health}

	router := mux.NewRouter()
	router.Handle("/authenticate", handler).Methods(http.MethodPost)
	router.NotFoundHandler = http.HandlerFunc(tokenreview.NotFound)
	router.MethodNotAllowedHandler = http.HandlerFunc(tokenreview.MethodNotAllowed)
	var secured http.Handler = router
	age := maxAge(options.MaxConnectionAge)
	// A failed handshake may be the API server's, which does not trust our certificate.
	errorLog := slog.NewLogLogger(logging.Limited(log, 1).Handler(), slog.LevelWarn)
	connContext := age.connContext
	if certificates.clientCA != nil {
		callers := tokenreview.NewCallers(certificates.clientCA.VerifyOptions, time.Now, log)
		secured = callers.Wrap(secured)
		connContext = func(ctx context.Context, connection net.Conn) context.Context {
			return callers.ConnContext(age.connContext(ctx, connection), connection)
		}
	}
	s.secure = newHTTPServer(health.metrics.countResponses(age.wrap(secured)), errorLog)
	s.secure.TLSConfig = certificates.config
	s.secure.ConnContext = connContext
	s.plain = newHTTPServer(health.handler(), errorLog)

	config := net.ListenConfig{}
	if options.PermitPortSharing {
		config.Control = sharePort
	}
	address := net.JoinHostPort(options.BindAddress, strconv.Itoa(options.SecurePort))
	if s.secureListen, err = config.Listen(ctx, "tcp", address); err != nil {
		return nil, fmt.Errorf("secure port: %w", err)
	}
	if s.plainListen, err = config.Listen(ctx, "tcp", options.HealthBindAddress); err != nil {
		_ = s.secureListen.Close()
		return nil, fmt.Errorf("health port: %w", err)
	}
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
	}
}

// Run serves until ctx is done, then lets requests under way end. It returns an
// error if a listener fails or the grace period runs out.
func (s *Server) Run(ctx context.Context) error {
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.certificates.run(background)

	failed := make(chan error, 2)
	var serving sync.WaitGroup
	serving.Go(func() { failed <- s.secure.ServeTLS(s.secureListen, "", "") })
	serving.Go(func() { failed <- s.plain.Serve(s.plainListen) })
	s.log.Info("serving", "secure", s.secureListen.Addr().String(), "health", s.plainListen.Addr().String())

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
	grace, stop := context.WithTimeout(background, s.options.GracePeriod)
	defer stop()
	if shutdownErr := s.secure.Shutdown(grace); shutdownErr != nil {
		err = errors.Join(err, fmt.Errorf("requests were still under way when the grace period of %s ended: %w", s.options.GracePeriod, shutdownErr))
		_ = s.secure.Close()
	}
	_ = s.plain.Close()
	// A listener that is told to end before it has begun is closed by its goroutine.
	serving.Wait()
	return err
}
