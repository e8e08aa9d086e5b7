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
		Flags:             []string{"--enable-bootstrap-token-auth"},
	})
	server.Admin(t, "create", "serviceaccount", "robot", "--namespace=kube-system")
	server.Admin(t, "create", "secret", "generic", "bootstrap-token-abcdef", "--namespace=kube-system", "--type=bootstrap.kubernetes.io/token",
		"--from-literal=token-id=abcdef", "--from-literal=token-secret=0123456789abcdef", "--from-literal=usage-bootstrap-authentication=true")
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
		robot := strings.TrimSpace(server.Admin(t, "create", "token", "robot", "--namespace=kube-system"))
		for who, credential := range map[string]cluster.Credential{
			"alice": certificate,
			"admin": {Token: server.AdminToken},
			"system:serviceaccount:kube-system:robot": {Token: robot},
			"system:bootstrap:abcdef":                 {Token: "abcdef.0123456789abcdef"},
		} {
			if table := server.Kubectl(t, credential, "auth", "whoami").Must(t); !strings.Contains(table, " "+who+"\n") {
				t.Errorf("%s: kubectl prints\n%s", who, table)
			}
		}
	}

	remembered, _ := tokens.next()
	server.Kubectl(t, cluster.Credential{Token: remembered}, "auth", "whoami").Must(t)
	jwtIs(accepted)
	cluster.Eventually(t, "the bootstrap token is known", 30*time.Second, func() error {
		return server.Kubectl(t, cluster.Credential{Token: "abcdef.0123456789abcdef"}, "auth", "whoami").Err()
	})
	othersWork()

	t.Log("the webhook is away")
	if err := running.Stop(time.Minute); err != nil {
		t.Fatal(err)
	}
	jwtIs(refused)
	othersWork()
	// The API server goes by the webhook's answer for two minutes, which are not over.
	server.Kubectl(t, cluster.Credential{Token: remembered}, "auth", "whoami").Must(t)

	t.Log("the webhook is back")
	webhook.Start(t)
	jwtIs(accepted)
}
