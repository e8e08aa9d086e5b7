package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

// An API server with --authentication-config gets the webhook beside its own
// authenticators, and then leaves an issuer to it. What docs/migration.md says of that.
func TestFromTheAPIServersOwnAuthenticatorToTheWebhook(t *testing.T) {
	t.Parallel()
	issuer := startIssuer(t)
	noRed := object{"expression": "claims.team != 'red'", "message": "the red team has left"}
	own := cluster.Documents(t, authentication(with(trust(issuer, "e2e:"), noRed)))
	authenticationConfig := filepath.Join(t.TempDir(), "authentication.yaml")
	writeFile(t, authenticationConfig, own)

	// The same user, a limit that the API server does not know, and no rule about teams.
	webhook := cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, authentication(trust(issuer, "e2e:")), object{
		"apiVersion": "tokenreview.dev/v1alpha1",
		"kind":       "IssuerPolicy",
		"metadata":   object{"name": "e2e"},
		"spec":       object{"issuer": issuer.URL, "token": object{"maxLifetime": "30m"}},
	}))
	webhook.Start(t)
	server := cluster.Start(t, binaries, cluster.Options{
		WebhookKubeconfig: webhook.Kubeconfig,
		WebhookVersion:    "v1",
		WebhookCacheTTL:   time.Second,
		Flags:             []string{"--authentication-config=" + authenticationConfig},
	})
	server.Admin(t, "create", "clusterrolebinding", "alice", "--clusterrole=cluster-admin", "--user=e2e:alice-1")

	sign := func(lifetime time.Duration, changes issuertest.Claims) string {
		t.Helper()
		changes["exp"] = time.Now().Add(lifetime).Unix()
		return issuer.Sign(claims("alice", 1).With(changes))
	}
	short := sign(20*time.Minute, issuertest.Claims{})
	long := sign(2*time.Hour, issuertest.Claims{})
	red := sign(20*time.Minute, issuertest.Claims{"team": "red"})
	whoami := func(token string) cluster.Result {
		return server.Kubectl(t, cluster.Credential{Token: token}, "auth", "whoami")
	}
	cluster.Eventually(t, "the API server has the issuer's keys", time.Minute, func() error { return whoami(long).Err() })

	byItself := whoami(short).Must(t)
	t.Run("webhook review names the user that the API server knows by itself", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(short), 0o600); err != nil {
			t.Fatal(err)
		}
		if review := webhook.Run(t, "review", "--config="+webhook.ConfigFile, "--token-file="+file).Must(t); review != byItself {
			t.Errorf("webhook review prints\n%swhat kubectl prints is\n%s", review, byItself)
		}
	})
	t.Run("side by side, the webhook keeps nobody out whom the API server accepts", func(t *testing.T) {
		whoami(long).Must(t)
	})
	t.Run("side by side, the webhook lets in whom the API server refuses", func(t *testing.T) {
		if table := whoami(red).Must(t); !strings.Contains(table, " e2e:alice-1\n") {
			t.Errorf("kubectl prints\n%s", table)
		}
	})

	// It reads the file again by itself.
	writeFile(t, authenticationConfig, cluster.Documents(t, authentication([]object{}...)))
	cluster.Eventually(t, "the API server leaves the issuer to the webhook", 3*time.Minute, func() error {
		if whoami(long).ExitCode == 0 {
			return errors.New("it accepts the token still")
		}
		return nil
	})
	wantRefusal(t, server, long, "e2e", reason.Refusal{Code: reason.LifetimeTooLong})
	t.Run("then the same user comes of the webhook, and keeps their bindings", func(t *testing.T) {
		if table := whoami(short).Must(t); table != byItself {
			t.Errorf("kubectl prints\n%sbefore it printed\n%s", table, byItself)
		}
		if err := canI(server.Kubectl(t, cluster.Credential{Token: short}, "auth", "can-i", "delete", "nodes"), "yes"); err != nil {
			t.Error(err)
		}
	})
	t.Run("and the way back is the file from before", func(t *testing.T) {
		writeFile(t, authenticationConfig, own)
		cluster.Eventually(t, "the API server accepts by itself again", 3*time.Minute, func() error { return whoami(long).Err() })
	})
}
