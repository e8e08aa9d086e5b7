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
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

type serveOptions struct {
	server.Options
	configFile, stateDir, logFormat, logLevel string
}

func newServeCommand() *cobra.Command {
	var options serveOptions
	cmd := &cobra.Command{
		Use:   "serve --config FILE --tls-cert-file FILE --tls-private-key-file FILE --client-ca-file FILE",
		Short: "Serve TokenReviews over mutual TLS",
		Long: `Serve TokenReviews for kube-apiserver's --authentication-token-webhook-config-file.

POST /authenticate answers on the secure port. /livez, /readyz and /metrics answer
on the health port, without TLS. The configuration, the certificates and the client
CA are read again when their files change, within seconds; SIGHUP is ignored.
SIGTERM and SIGINT end the server after the requests under way.`,
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
	// Some process managers send it to say that a file has changed; we look anyway.
	signal.Ignore(syscall.SIGHUP)
	ver, com := build()
	log.Info("starting", "version", ver, "commit", com)
	logProxy(log)
	metrics := server.NewMetrics(ver, com)
	building := config.Options{Options: keyOptions(options.stateDir, metrics, log)}
	rules, err := loaded.Build(nil, building)
	if err != nil {
		return err
	}
	reviewer := tokenreview.NewReviewer(rules, tokenreview.NewMetrics(metrics.Registry))
	health := server.NewHealth(reviewer, metrics)
	reload := &reloader{file: options.configFile, building: building, reviewer: reviewer, health: health, log: log}
	reload.loaded(loaded, rules)
	defer func() { reviewer.Rules().Issuers.Close(nil) }()

	// Not before the keys are there: on a shared port the new process is asked from
	// the moment it listens.
	awaitKeys(ctx, rules)
	listening, err := server.New(ctx, options.Options, tokenreview.NewHandler(reviewer, log), health, log)
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

// reloader puts a changed configuration file in force.
type reloader struct {
	file     string
	building config.Options
	reviewer *tokenreview.Reviewer
	health   *server.Health
	log      *slog.Logger
}

const (
	// keysWait is how long the keys of new issuers are waited for before a configuration
	// is put in force without them.
	keysWait = 2 * time.Second
	// savedKeysWait is how long where an issuer's tokens can be verified already, with keys
	// that were saved or stand in the configuration.
	savedKeysWait = time.Second
)

func awaitKeys(ctx context.Context, rules *tokenreview.Rules) {
	wait := keysWait
	for _, status := range rules.Issuers.Statuses() {
		if status.Err == nil {
			wait = savedKeysWait
		}
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	rules.Issuers.AwaitFirstFetch(ctx)
}

func (r *reloader) watch(ctx context.Context, digest string) {
	config.Watch(ctx, r.file, digest, func(data []byte, err error) {
		if err == nil {
			err = r.apply(ctx, data)
		}
		if err != nil {
			r.health.Reloaded(err)
			r.log.Error("the changed configuration is not used; the one from before goes on", "err", err)
		}
	})
}

// apply puts a configuration in force if it is valid as a whole.
func (r *reloader) apply(ctx context.Context, data []byte) error {
	loaded, err := config.Parse(r.file, data)
	if err != nil {
		return err
	}
	before := r.reviewer.Rules()
	rules, err := loaded.Build(before, r.building)
	if err != nil {
		return err
	}
	awaitKeys(ctx, rules)
	r.reviewer.Use(rules)
	before.Issuers.Close(rules.Issuers)
	closeReplaced(before, rules)
	r.loaded(loaded, rules)
	return nil
}

// loaded tells people that a configuration is in force.
func (r *reloader) loaded(loaded *config.Config, rules *tokenreview.Rules) {
	r.health.Reloaded(nil)
	for _, warning := range loaded.Warnings {
		r.log.Warn("configuration: " + warning.Error())
	}
	for _, issuer := range loaded.Issuers {
		for _, problem := range unreadable(rules.Policies[issuer.Name]) {
			r.log.Warn("whom the policy asks cannot be asked until this is put right", "issuer", issuer.Name, "err", problem)
		}
	}
	r.log.Info("configuration in force", "file", r.file, "digest", loaded.Digest, "issuers", len(loaded.Issuers))
}

// unreadable says which files cannot be used with which a policy asks others. The
// server starts all the same: the file may come later, and other issuers' tokens do
// not need it.
func unreadable(decides *policy.Policy) []error {
	var problems []error
	groups, live := decides.Asked()
	for _, asked := range []any{groups, live} {
		if files, ok := asked.(interface{ CheckFiles() error }); ok {
			if err := files.CheckFiles(); err != nil {
				problems = append(problems, err)
			}
		}
	}
	return problems
}

// closeReplaced closes the connections to those whom the rules from before asked and
// the new ones do not. A review that is under way opens another.
func closeReplaced(before, rules *tokenreview.Rules) {
	goOn := asked(rules)
	for other := range asked(before) {
		if replaced, ok := other.(interface{ Close() }); ok && !goOn[other] {
			replaced.Close()
		}
	}
}

// asked are those whom rules ask while a token is decided.
func asked(rules *tokenreview.Rules) map[any]bool {
	all := map[any]bool{}
	for _, decides := range rules.Policies {
		groups, live := decides.Asked()
		all[groups], all[live] = true, true
	}
	return all
}
