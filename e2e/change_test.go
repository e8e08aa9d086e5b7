package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/internal/issuertest"
)

// answersPerChange is how many answers each stream has to get under each change,
// beside those it gets while the change is under way.
const answersPerChange = 25

// Everything that is ever changed about a running webhook is changed here while
// an API server keeps asking it. No answer may be missing or wrong.
func TestEveryRequestIsAnsweredRightlyWhileTheWebhookChanges(t *testing.T) {
	t.Parallel()
	steady, late := startIssuer(t), startIssuer(t)

	trustSteady := trust(steady, "steady:")
	trustLate := trust(late, "late:")
	blueOnly := object{"expression": "claims.team != 'red'", "message": "the red team has left"}

	webhook := cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, authentication(trustSteady)))
	running := webhook.Start(t)
	server := cluster.Start(t, binaries, cluster.Options{
		WebhookKubeconfig: webhook.Kubeconfig,
		WebhookVersion:    "v1",
	})

	stranger := issuertest.NewKey(steady.Key().ID, jwa.ES256)
	good := newStream("good tokens", accepted, func(n int64) (string, string) {
		return steady.Sign(claims("blue", n)), fmt.Sprintf("steady:blue-%d", n)
	})
	red := newStream("tokens of the red team", accepted, func(n int64) (string, string) {
		return steady.Sign(claims("red", n).With(issuertest.Claims{"team": "red"})), fmt.Sprintf("steady:red-%d", n)
	})
	added := newStream("tokens of the late issuer", refused, func(n int64) (string, string) {
		return late.Sign(claims("late", n)), fmt.Sprintf("late:late-%d", n)
	})
	forged := newStream("forged tokens", refused, func(n int64) (string, string) {
		return stranger.Sign(claims("blue", n).With(issuertest.Claims{"iss": steady.URL})), ""
	})
	expired := newStream("expired tokens", refused, func(n int64) (string, string) {
		return steady.Sign(claims("blue", n).With(issuertest.Claims{"exp": time.Now().Add(-time.Second).Unix()})), ""
	})
	opaque := newStream("opaque tokens", refused, func(n int64) (string, string) {
		return fmt.Sprintf("opaque-%d", n), ""
	})

	load, stop := startLoad(t, server, good, red, added, forged, expired, opaque)
	defer stop()
	load.carriesOn(t, answersPerChange)

	replace := func() {
		old := running
		running = webhook.Start(t)
		load.carriesOn(t, answersPerChange)
		if err := old.Stop(time.Minute); err != nil {
			t.Error(err)
		}
		load.carriesOn(t, answersPerChange)
	}

	t.Log("a new process replaces the old one")
	replace()

	t.Log("the serving certificate is renewed")
	before, err := webhook.ServingCertificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	webhook.RenewServingCertificate(t)
	cluster.Eventually(t, "new connections see the new certificate", time.Minute, func() error {
		now, err := webhook.ServingCertificate(t.Context())
		if err != nil {
			return err
		}
		if now.Cmp(before) == 0 {
			return fmt.Errorf("still the one with serial number %d", before)
		}
		return nil
	})
	load.carriesOn(t, answersPerChange)

	t.Log("an issuer is added")
	added.expect(either)
	webhook.Configure(t, cluster.Documents(t, authentication(trustSteady, trustLate)))
	load.becomes(t, added, accepted)
	load.carriesOn(t, answersPerChange)

	t.Log("a rule refuses who was accepted")
	red.expect(either)
	webhook.Configure(t, cluster.Documents(t, authentication(with(trustSteady, blueOnly), trustLate)))
	load.becomes(t, red, refused)
	load.carriesOn(t, answersPerChange)

	t.Log("a broken configuration changes nothing")
	broken := strings.Replace(cluster.Documents(t, authentication(trustSteady)), `"claimMappings"`, `"claimMapings"`, 1)
	webhook.Configure(t, broken)
	cluster.Eventually(t, "the webhook says what is wrong", time.Minute, func() error {
		checks := running.Readyz(t)
		if !strings.Contains(checks, "[-]configuration ") || !strings.Contains(checks, "claimMapings") {
			return fmt.Errorf("/readyz answers\n%s", checks)
		}
		return nil
	})
	load.carriesOn(t, answersPerChange)

	t.Log("the configuration is put right, and the rule is gone")
	red.expect(either)
	webhook.Configure(t, cluster.Documents(t, authentication(trustSteady, trustLate)))
	load.becomes(t, red, accepted)
	load.carriesOn(t, answersPerChange)

	t.Log("another process takes over, and the API server meets the renewed certificate")
	replace()
}

// claims are those of a good token, of which n makes one out of many.
func claims(name string, n int64) issuertest.Claims {
	now := time.Now()
	return issuertest.Claims{
		"aud":  audience,
		"sub":  fmt.Sprintf("%s-%d", name, n),
		"jti":  fmt.Sprintf("%s-%d", name, n),
		"iat":  now.Unix(),
		"exp":  now.Add(time.Hour).Unix(),
		"team": "blue",
	}
}
