package chaos

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
)

const (
	// replacements is how often the configuration is replaced. Of those that come after the
	// fault's time is over, one in waitedFor is waited for.
	replacements = 50
	waitedFor    = 10
	// replacing is the shortest time between two.
	replacing = 50 * time.Millisecond
	// noticing is longer than any change of a file takes to be noticed.
	noticing = time.Minute
)

// webhookFaults are what happens to the webhook's own processes and files.
func webhookFaults() []fault {
	return []fault{
		{name: "the serving certificate and the client CA are replaced", provoke: renewing},
		{name: "the configuration is replaced fifty times, a broken one among them", provoke: reconfiguring},
		{name: "the webhook is told to end (SIGTERM) and another process takes over", provoke: takingOver(func(p *cluster.WebhookProcess) error {
			return p.Stop(time.Minute)
		})},
		{name: "the webhook is killed (SIGKILL) beside another process on its port", provoke: func(t *testing.T, b *bench) {
			b.load.forgiving.Store(true)
			kills := 0
			takingOver(func(p *cluster.WebhookProcess) error {
				kills++
				p.Kill()
				return nil
			})(t, b)
			b.load.cutsOff(t, kills)
		}},
		{name: "the webhook is killed (SIGKILL) and started again at once", provoke: restarting},
	}
}

// renewing has the connections end quickly, so that the certificates are looked at again
// and again.
func renewing(t *testing.T, b *bench) {
	b.start(t, cluster.Launch{Flags: []string{"--max-connection-age=200ms"}})
	over := time.After(*duration)
	for renewals := 1; ; renewals++ {
		before, err := b.webhook.ServingCertificate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b.webhook.RenewServingCertificate(t)
		// Another end each time, by which the metric can tell one from the other.
		ends := b.webhook.ReissueClientCA(t, time.Duration(renewals)*time.Hour)
		cluster.Eventually(t, "the new serving certificate and client CA are in use", noticing, func() error {
			now, err := b.webhook.ServingCertificate(t.Context())
			if err == nil && now.Cmp(before) == 0 {
				err = fmt.Errorf("the serving certificate is still the one with serial number %d", before)
			}
			return errors.Join(err, b.hasMetric(t, `tokenreview_certificate_expiry_timestamp_seconds{certificate="client_ca"}`, float64(ends.Unix())))
		})
		b.load.carriesOn(t, 0)
		select {
		case <-over:
			t.Logf("%d renewals", renewals)
			return
		default:
		}
	}
}

// hasMetric is nil if a series has a value.
func (b *bench) hasMetric(t *testing.T, series string, want float64) error {
	t.Helper()
	got, err := b.metric(t, series)
	if err == nil && got != want {
		err = fmt.Errorf("%s is %g, want %g", series, got, want)
	}
	return err
}

// metric is the value of a series.
func (b *bench) metric(t *testing.T, series string) (value float64, err error) {
	t.Helper()
	_, metrics, err := b.running.Health(t.Context(), "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(metrics) {
		if text, found := strings.CutPrefix(line, series+" "); found {
			_, err := fmt.Sscan(text, &value)
			return value, err
		}
	}
	return 0, fmt.Errorf("there is no %s", series)
}

func reconfiguring(t *testing.T, b *bench) {
	b.start(t, cluster.Launch{})
	begun := time.Now()
	ticker := time.NewTicker(replacing)
	defer ticker.Stop()
	inForce := 0
	for n := 1; n <= replacements; n++ {
		configuration := b.configuration(t, fmt.Sprintf("%d > 0", n))
		broken := n == replacements/2
		if broken {
			configuration = strings.Replace(configuration, `"claimMappings"`, `"claimMapings"`, 1)
		}
		mark := b.running.LogSize()
		b.webhook.Configure(t, configuration)
		switch {
		case broken:
			cluster.Eventually(t, "the webhook says what is wrong", noticing, func() error {
				if checks := b.running.Readyz(t); !strings.Contains(checks, "[-]configuration ") || !strings.Contains(checks, "claimMapings") {
					return errors.New(checks)
				}
				return nil
			})
		case n%waitedFor == 0 || time.Since(begun) < *duration:
			inForce++
			cluster.Eventually(t, "the configuration is in force", noticing, func() error {
				if !strings.Contains(b.running.Log(mark), `"msg":"configuration in force"`) {
					return errors.New("not yet")
				}
				return nil
			})
			b.load.carriesOn(t, 0)
		}
		<-ticker.C
	}
	t.Logf("%d of %d configurations were waited for", inForce, replacements)
}

// takingOver has one process replace the other, again and again: it starts on the same port
// before the other is ended. The API server's connection is to the one that ends.
func takingOver(end func(*cluster.WebhookProcess) error) func(*testing.T, *bench) {
	return func(t *testing.T, b *bench) {
		b.start(t, cluster.Launch{})
		over := time.After(*duration)
		for replaced := 1; ; replaced++ {
			old := b.running
			b.running = b.webhook.Start(t)
			b.load.carriesOn(t, 0)
			if err := end(old); err != nil {
				t.Error(err)
			}
			b.load.carriesOn(t, 0)
			select {
			case <-over:
				t.Logf("%d processes were replaced", replaced)
				return
			default:
			}
		}
	}
}

// restarting leaves the port to nobody for a moment, in which the API server's client gives up
// without trying again. Whoever gets through is answered with the keys of a slow issuer, too.
func restarting(t *testing.T, b *bench) {
	b.start(t, cluster.Launch{})
	b.target.answers(t, slow)
	b.load.forgiving.Store(true)
	over := time.After(*duration)
	for restarts := 1; ; restarts++ {
		b.running.Kill()
		b.running = b.webhook.Start(t)
		b.load.carriesOn(t, 0)
		select {
		case <-over:
			t.Logf("%d restarts", restarts)
			return
		default:
		}
	}
}
