package chaos

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
)

type object = map[string]any

// bench is what a fault is done to: the webhook and issuers, all of them processes, and the
// load that has to be answered rightly meanwhile.
type bench struct {
	// steady is an issuer that is not touched, target the one that the fault is about.
	steady, target *issuer
	// issuers are these two and, for some faults, others.
	issuers []*issuer
	webhook *cluster.Webhook
	// running is the process of the webhook that serves last.
	running *cluster.WebhookProcess
	load    *load
	forger  *forger
	// valid are the streams of valid tokens, one to an issuer.
	valid     []*stream
	authority string
}

// newBench makes issuers and installs the webhook. Nothing runs yet.
func newBench(t *testing.T, others ...string) (b *bench, stop func()) {
	t.Helper()
	authority := cluster.NewAuthority(t)
	certificate, err := os.ReadFile(authority.File)
	if err != nil {
		t.Fatal(err)
	}
	b = &bench{authority: string(certificate)}
	for _, name := range append([]string{"steady", "target"}, others...) {
		i := newIssuer(t, authority, name)
		b.issuers = append(b.issuers, i)
		b.valid = append(b.valid, &stream{name: "valid tokens of " + name, workers: 2, next: i.good})
	}
	b.steady, b.target = b.issuers[0], b.issuers[1]
	b.forger = newForger(b.issuers...)
	b.webhook = cluster.InstallWebhook(t, webhookBinary, b.configuration(t, "true"))
	b.load, stop = newLoad(t, newClient(t, b.webhook))
	return b, stop
}

// configuration trusts all issuers. The rule holds for every token; another one makes
// another configuration.
func (b *bench) configuration(t *testing.T, rule string) string {
	t.Helper()
	var trusted []object
	var policies []any
	for _, i := range b.issuers {
		trusted = append(trusted, object{
			"issuer":               object{"url": i.URL, "certificateAuthority": b.authority, "audiences": []string{audience}},
			"claimMappings":        object{"username": object{"claim": "sub", "prefix": i.name + ":"}},
			"claimValidationRules": []object{{"expression": rule, "message": "never said"}},
		})
		policies = append(policies, object{
			"apiVersion": "tokenreview.dev/v1alpha1",
			"kind":       "IssuerPolicy",
			"metadata":   object{"name": i.name},
			"spec":       object{"issuer": i.URL},
		})
	}
	return cluster.Documents(t, slices.Insert(policies, 0, any(object{
		"apiVersion": "apiserver.config.k8s.io/v1",
		"kind":       "AuthenticationConfiguration",
		"jwt":        trusted,
	}))...)
}

func (b *bench) startIssuers(t *testing.T) {
	t.Helper()
	for _, i := range b.issuers {
		i.start(t)
	}
}

func (b *bench) killIssuers() {
	for _, i := range b.issuers {
		i.process.Kill()
	}
}

// start starts everything, and the load that no fault slows down.
func (b *bench) start(t *testing.T, launch cluster.Launch) {
	t.Helper()
	b.startIssuers(t)
	b.running = b.webhook.Launch(t, launch)
	b.ask(t)
}

// ask begins to ask with valid tokens and such as are wrong without a doubt.
func (b *bench) ask(t *testing.T) {
	t.Helper()
	b.load.begin(b.valid...)
	b.load.begin(&stream{name: "tokens forged, expired, unsigned, for others", workers: 2, next: b.forger.knownKey})
	b.load.carriesOn(t, 0)
}

// askForKeys begins to ask with tokens of unknown keys, for which the webhook turns to the
// issuers. They have to wait for it, and enough returns when they need not any more.
func (b *bench) askForKeys() (enough func()) {
	unknown := &stream{name: "tokens with unknown keys", workers: 12, next: b.forger.unknownKey, waits: true}
	b.load.begin(unknown)
	return func() { unknown.ended.Store(true) }
}

// expect says what has to become of the valid tokens of all issuers.
func (b *bench) expect(want expectation) {
	for _, s := range b.valid {
		s.expect(want)
	}
}

// listening is nil once a process listens, whatever it has to say.
func listening(t *testing.T) func(*cluster.WebhookProcess) error {
	return func(p *cluster.WebhookProcess) error {
		_, _, err := p.Health(t.Context(), "/livez")
		return err
	}
}

// ready is nil once /readyz is 200.
func ready(t *testing.T) func(*cluster.WebhookProcess) error {
	return func(p *cluster.WebhookProcess) error {
		code, body, err := p.Health(t.Context(), "/readyz")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("/readyz answers %d:\n%s", code, body)
		}
		return err
	}
}

// failedFetches is how often the keys of an issuer could not be had.
func (b *bench) failedFetches(t *testing.T, of *issuer) string {
	t.Helper()
	_, metrics, err := b.running.Health(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	series := fmt.Sprintf(`tokenreview_key_fetches_total{issuer=%q,result="failure"} `, of.name)
	for line := range strings.Lines(metrics) {
		if count, found := strings.CutPrefix(line, series); found {
			return strings.TrimSpace(count)
		}
	}
	return "0"
}

// healed waits until every issuer's keys are there, and the last fetch was a success.
func (b *bench) healed(t *testing.T, within time.Duration) {
	t.Helper()
	cluster.Eventually(t, "the webhook has fetched the keys of every issuer", within, func() error {
		code, checks, err := b.running.Health(t.Context(), "/readyz?verbose")
		switch {
		case err != nil:
			return err
		case code != http.StatusOK || strings.Contains(checks, "[-]issuer/") || strings.Contains(checks, "the last fetch failed"):
			return errors.New(checks)
		default:
			return nil
		}
	})
}
