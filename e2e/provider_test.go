package e2e

import (
	"errors"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/yaml"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/e2e/provider"
	"tokenreview.dev/webhook/manifests/acceptance"
	"tokenreview.dev/webhook/pkg/reason"
)

// The published configuration for Authentik with a provider in Authentik's place
// that is not ours: how it discovers, signs, names and rotates is its own.
func TestProviderOfPeople(t *testing.T) {
	t.Parallel()
	const otherClientID = "grafana"
	configuration, issuer := authentik(t)
	clientID := issuer["audiences"].([]any)[0].(string)
	p, err := provider.Start(clientID, otherClientID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	issuer["url"] = p.URL
	issuer["certificateAuthority"] = p.CertificateAuthority()

	groups := object{"groups": []string{"Tech", "Kubernetes administrators"}}
	alice := provider.Person{Subject: "8c1f2a7e", Email: "alice@example.com", EmailVerified: true, Claims: groups}
	p.SetPerson(alice)
	signIn := func(t *testing.T, clientID string) string {
		t.Helper()
		token, err := p.SignIn(t.Context(), clientID, alice.Email)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	rotateKey := func(t *testing.T) {
		t.Helper()
		if err := p.RotateKey(); err != nil {
			t.Fatal(err)
		}
	}

	// The first key has been replaced by the second, and is still published. Each
	// token is shown once: the API server remembers those it has accepted.
	ofFirstKey, moreOfFirstKey := signIn(t, clientID), signIn(t, clientID)
	rotateKey(t)
	moreOfSecondKey := signIn(t, clientID)

	webhook := cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, configuration, object{
		"apiVersion": "tokenreview.dev/v1alpha1",
		"kind":       "IssuerPolicy",
		"metadata":   object{"name": "authentik"},
		"spec":       object{"issuer": p.URL, "emailVerified": "Required"},
	}))
	webhook.Start(t)
	server := cluster.Start(t, binaries, cluster.Options{WebhookKubeconfig: webhook.Kubeconfig, WebhookVersion: "v1"})

	isAlice := func(t *testing.T, token string) {
		t.Helper()
		whoami := server.Kubectl(t, cluster.Credential{Token: token}, "auth", "whoami").Must(t)
		t.Logf("kubectl auth whoami\n%s", whoami)
		want := table(&user.DefaultInfo{
			Name:   "alice@example.com:authentik",
			UID:    "8c1f2a7e",
			Groups: []string{"Tech", "Kubernetes administrators"},
		})
		if whoami != want {
			t.Errorf("kubectl prints\n%swant\n%s", whoami, want)
		}
	}

	t.Run("a person with a verified address is let in with their groups", func(t *testing.T) {
		isAlice(t, signIn(t, clientID))
	})
	t.Run("a token that the former key has signed is good while the key is published", func(t *testing.T) {
		isAlice(t, ofFirstKey)
	})
	t.Run("the same person is refused when the provider does not say that the address is verified", func(t *testing.T) {
		silent := alice
		silent.EmailVerified = false
		p.SetPerson(silent)
		defer p.SetPerson(alice)
		wantRefusal(t, server, signIn(t, clientID), "authentik", reason.Refusal{Code: reason.EmailNotVerified, Text: `it has no claim "email_verified"`})
	})
	t.Run("the same person is refused when the provider says that the address is not verified", func(t *testing.T) {
		unverified := alice
		unverified.EmailVerified = false
		unverified.Claims = object{"groups": groups["groups"], "email_verified": false}
		p.SetPerson(unverified)
		defer p.SetPerson(alice)
		wantRefusal(t, server, signIn(t, clientID), "authentik", reason.Refusal{Code: reason.EmailNotVerified, Text: "email_verified is false"})
	})
	t.Run("the same person is refused with a token for another application", func(t *testing.T) {
		wantRefusal(t, server, signIn(t, otherClientID), "authentik", reason.Refusal{Code: reason.AudienceMismatch, Text: `got ["grafana"]`})
	})
	t.Run("a rotation", func(t *testing.T) {
		rotateKey(t)
		ofThirdKey := signIn(t, clientID)
		// Refused until then, since fetches for an unknown key are some time apart.
		cluster.Eventually(t, "the webhook finds the new key", time.Minute, func() error {
			_, accepted, err := server.WhoAmI(t.Context(), ofThirdKey)
			if err == nil && !accepted {
				err = errors.New("still refused")
			}
			return err
		})
		t.Run("brings a key whose tokens are good", func(t *testing.T) { isAlice(t, signIn(t, clientID)) })
		t.Run("leaves the tokens of the former key good", func(t *testing.T) { isAlice(t, moreOfSecondKey) })
		t.Run("withdraws the key before, whose tokens are refused", func(t *testing.T) {
			wantRefusal(t, server, moreOfFirstKey, "authentik", reason.Refusal{Code: reason.KeyUnknown})
		})
	})
}

// authentik is the published configuration for Authentik, and the issuer in it.
func authentik(t *testing.T) (configuration, issuer object) {
	t.Helper()
	data, err := acceptance.Files.ReadFile("c-authentik.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &configuration); err != nil {
		t.Fatal(err)
	}
	return configuration, configuration["jwt"].([]any)[0].(object)["issuer"].(object)
}
