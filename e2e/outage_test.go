package e2e

import (
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
)

func TestWithoutTheWebhookOnlyItsOwnUsersAreLockedOut(t *testing.T) {
	t.Parallel()
	issuer := startIssuer(t)
	webhook := cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, authentication(trust(issuer, "e2e:"))))
	running := webhook.Start(t)
	authority := cluster.NewAuthority(t)
	server := cluster.Start(t, binaries, cluster.Options{
		WebhookKubeconfig: webhook.Kubeconfig,
		WebhookVersion:    "v1",
		ClientCAFile:      authority.File,
	})
	certificate := authority.Client(t, "alice", "system:masters")
	tokens := newStream("good tokens", accepted, func(n int64) (string, string) {
		return issuer.Sign(claims("bob", n)), ""
	})

	// Another token each time: the API server remembers those it has seen.
	jwtIs := func(want answer) {
		t.Helper()
		token, _ := tokens.next()
		result := server.Kubectl(t, cluster.Credential{Token: token}, "auth", "whoami")
		switch want {
		case accepted:
			if table := result.Must(t); !strings.Contains(table, "e2e:bob-") {
				t.Errorf("kubectl prints\n%s", table)
			}
		case refused:
			wantUnauthorized(t, result)
		}
	}
	othersWork := func() {
		t.Helper()
		for name, credential := range map[string]cluster.Credential{
			"alice": certificate,
			"admin": {Token: server.AdminToken},
		} {
			if table := server.Kubectl(t, credential, "auth", "whoami").Must(t); !strings.Contains(table, "system:masters") {
				t.Errorf("%s: kubectl prints\n%s", name, table)
			}
		}
	}

	jwtIs(accepted)
	othersWork()

	t.Log("the webhook is away")
	if err := running.Stop(time.Minute); err != nil {
		t.Fatal(err)
	}
	jwtIs(refused)
	othersWork()

	t.Log("the webhook is back")
	webhook.Start(t)
	jwtIs(accepted)
}
