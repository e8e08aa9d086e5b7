package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpproxy"

	"tokenreview.dev/webhook/internal/logging"
	"tokenreview.dev/webhook/internal/server"
	"tokenreview.dev/webhook/internal/tracing"
	"tokenreview.dev/webhook/pkg/audit"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

type serveOptions struct {
	server.Options
	configFile, stateDir, logFormat, logLevel, tracingExporter string
}

func newServeCommand() *cobra.Command {
	var options serveOptions
	cmd := &cobra.Command{
		Use:   "serve --config FILE --tls-cert-file FILE --tls-private-key-file FILE --client-ca-file FILE",
		Short: "Serve TokenReviews over mutual TLS",
		Long: `Serve TokenReviews for kube-apiserver's --authentication-token-webhook-config-file.

POST /authenticate and, for auditors, POST /tokenreview answer on the secure port. /livez, /readyz and /metrics answer
on the health port, without TLS. The configuration, the certificates and the client
CA are read again when their files change, within seconds. SIGHUP opens the audit log
anew. SIGTERM and SIGINT end the server after the requests under way.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd, options) },
	}
	flags := cmd.Flags()
	flags.StringVar(&options.configFile, "config", "", "configuration file")
	flags.StringVar(&options.CertFile, "tls-cert-file", "", "serving certificate, PEM")
	flags.StringVar(&options.KeyFile, "tls-private-key-file", "", "key of the serving certificate, PEM")
	flags.StringVar(&options.ClientCAFile, "client-ca-file", "", "CA of the callers' client certificates, PEM")
	flags.StringVar(&options.BindAddress, "bind-address", "127.0.0.1", "address of the secure port")
	flags.IntVar(&options.SecurePort, "secure-port", 8443, "port for TokenReviews over TLS")
	flags.StringVar(&options.HealthBindAddress, "health-bind-address", "127.0.0.1:8081", "address and port of /livez, /readyz and /metrics")
	flags.StringVar(&options.stateDir, "state-dir", "", "directory, created if missing, in which the issuers' keys are saved, so that the next process can go on with them while an issuer is away")
	flags.BoolVar(&options.AllowAnyCaller, "insecure-allow-any-caller", false, "let callers without a client certificate try tokens, and take up connections like those with one")
	flags.BoolVar(&options.PermitPortSharing, "permit-port-sharing", false, "listen with SO_REUSEPORT, so that a new process can take over from an old one without a gap")
	flags.DurationVar(&options.MaxConnectionAge, "max-connection-age", 5*time.Minute, "about how long a connection may last before it is ended with GOAWAY, so that API servers come to spread over replicas; 0 is for ever")
	flags.DurationVar(&options.ShutdownDelay, "shutdown-delay-duration", 0, "how long requests are still taken after SIGTERM, while /readyz already fails, so that load balancers stop sending them")
	flags.DurationVar(&options.GracePeriod, "shutdown-grace-period", 20*time.Second, "how long requests under way may take to end at shutdown")
	flags.StringVar(&options.logFormat, "log-format", "text", "text or json")
	flags.StringVar(&options.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&options.tracingExporter, "tracing-exporter", tracing.None, "none, otlp-grpc or otlp-http: how OpenTelemetry spans are sent; where to, and how many, say the environment variables OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER and others")
	for _, required := range []string{"config", "tls-cert-file", "tls-private-key-file"} {
		_ = cmd.MarkFlagRequired(required)
	}
	return cmd
}

func serve(cmd *cobra.Command, options serveOptions) error {
	// Other commands end at once, as programs do, whatever they wait for.
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if options.MaxConnectionAge < 0 {
		return fmt.Errorf("--max-connection-age: expected a duration or 0, got %s", options.MaxConnectionAge)
	}
	log, err := logging.New(cmd.ErrOrStderr(), options.logFormat, options.logLevel)
	if err != nil {
		return err
	}
	loaded, err := config.Load(options.configFile)
	if err != nil {
		return err
	}
	// Whoever reads the audit log from a pipe may end; that must not end the server.
	signal.Ignore(syscall.SIGPIPE)
	ver, com := build()
	log.Info("starting", "version", ver, "commit", com)
	logProxy(log)
	spans, err := tracing.New(ctx, options.tracingExporter, ver, log)
	if err != nil {
		return err
	}
	defer spans.Close()
	options.Tracer = spans.Tracer()
	metrics := server.NewMetrics(ver, com)
	building := config.Options{
		Options:       keyOptions(options.stateDir, metrics, log),
		OnGraphAnswer: metrics.GraphAnswered, OnGraphQuestion: metrics.GraphAsked,
		OnLivenessAnswer: metrics.LivenessAnswered, OnLivenessQuestion: metrics.LivenessAsked,
	}
	building.Tracer = options.Tracer
	rules, err := loaded.Build(nil, building)
	if err != nil {
		return err
	}
	decisions := audit.New(audit.Options{Stdout: cmd.OutOrStdout(), Observe: metrics.Audited, Log: log})
	defer closeAudit(decisions, log)
	reopenOnHangup(ctx, decisions, log)
	reviewer := tokenreview.NewReviewer(rules)
	health := server.NewHealth(reviewer, decisions, metrics)
	reload := &reloader{file: options.configFile, building: building, reviewer: reviewer, audit: decisions, health: health, log: log}
	reload.useAudit(loaded)
	reload.loaded(loaded, rules)
	defer func() { reviewer.Rules().Issuers.Close(nil) }()

	// Not before the keys are there: on a shared port the new process is asked from
	// the moment it listens.
	awaitKeys(ctx, rules)
	handler := tokenreview.NewHandler(reviewer, tokenreview.Options{Metrics: tokenreview.NewMetrics(metrics.Registry), Audit: decisions, Log: log})
	listening, err := server.New(ctx, options.Options, handler, health, log)
	if err != nil {
		return err
	}
	watching, stopWatching := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		reload.watch(watching, loaded.Digest)
	}()
	err = listening.Run(ctx)
	stopWatching()
	<-done
	return err
}

// auditWait is how long the last lines of the audit log may take at the end.
const auditWait = 5 * time.Second

func closeAudit(decisions *audit.Log, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), auditWait)
	defer cancel()
	if err := decisions.Close(ctx); err != nil {
		log.Error(err.Error())
	}
}

// reopenOnHangup opens the audit log anew at SIGHUP until ctx is done: whoever has set
// its file aside says so with it. Process managers send it, too, to say that a file has
// changed; we look anyway.
func reopenOnHangup(ctx context.Context, decisions *audit.Log, log *slog.Logger) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-hangups:
				log.Info("SIGHUP: the audit log is opened anew")
				decisions.Reopen()
			case <-ctx.Done():
				return // Ignored from now on: nobody takes it from the channel.
			}
		}
	}()
}

// logProxy tells of a proxy, which is in the environment more often than it is meant:
// whoever wonders why keys are missing looks here.
func logProxy(log *slog.Logger) {
	address := httpproxy.FromEnvironment().HTTPSProxy
	if address == "" {
		return
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	host := "(not a URL)"
	// Without the password that may stand in it.
	if proxy, err := url.Parse(address); err == nil {
		host = proxy.Host
	}
	log.Info("HTTPS_PROXY is set: issuers are asked through it, but for those of NO_PROXY", "proxy", host)
}

// keyOptions has the issuers' keys saved in stateDir, and tells people what becomes of
// them.
func keyOptions(stateDir string, metrics *server.Metrics, log *slog.Logger) issuers.Options {
	if stateDir != "" {
		// Who cannot be helped by it need not be kept out either: saving fails, too, and
		// shows in /readyz.
		if err := os.MkdirAll(stateDir, 0o700); err != nil {
			log.Warn("keys will not be saved: --state-dir cannot be created", "err", err)
		}
	}
	var failing sync.Map // issuers whose last fetch failed
	return issuers.Options{
		StateDir: stateDir,
		OnFetch: func(issuer string, err error) {
			metrics.Fetched(issuer, err)
			if err != nil {
				failing.Store(issuer, true)
				log.Warn("keys not fetched", "issuer", issuer, "err", err)
				return
			}
			level := slog.LevelDebug
			if _, failed := failing.LoadAndDelete(issuer); failed {
				level = slog.LevelInfo
			}
			log.Log(context.Background(), level, "keys fetched", "issuer", issuer)
		},
		OnSave: func(issuer string, err error) {
			metrics.Saved(issuer, err)
			if err != nil {
				log.Warn("keys not saved", "issuer", issuer, "err", err)
			}
		},
		OnRestore: func(issuer string, err error) {
			if err != nil {
				log.Warn("saved keys not used", "issuer", issuer, "err", err)
				return
			}
			log.Info("saved keys serve until others are fetched", "issuer", issuer)
		},
	}
}
