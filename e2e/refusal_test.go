package e2e

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

func TestWhatIsNoSignedTokenOfOursGetsNobodyIn(t *testing.T) {
	t.Parallel()
	issuer := startIssuer(t)
	configuration := cluster.Documents(t, authentication(trust(issuer, "e2e:")), object{
		"apiVersion": "tokenreview.dev/v1alpha1",
		"kind":       "IssuerPolicy",
		"metadata":   object{"name": "e2e"},
		"spec":       object{"issuer": issuer.URL},
	})
	webhook := cluster.InstallWebhook(t, webhookBinary, configuration)
	webhook.Start(t)
	server := cluster.Start(t, binaries, cluster.Options{WebhookKubeconfig: webhook.Kubeconfig, WebhookVersion: "v1"})

	good := issuer.Sign(claims("alice", 1).With(issuertest.Claims{"iss": issuer.URL}))
	header, payload, signature := parts(t, good)
	stranger := issuertest.NewKey("another", issuer.Key().Algorithm)

	for _, test := range []struct {
		name, token string
		want        reason.Code
	}{
		{"an opaque token", "3f79bb7b435b05321651daefd374cdc681dc06fa", reason.TokenMalformed},
		{"a dot", ".", reason.TokenMalformed},
		{"three empty parts", "..", reason.TokenMalformed},
		{"three empty objects", "e30.e30.e30", reason.TokenMalformed},
		{"base64 of nothing in particular", "YWJj.ZGVm.Z2hp", reason.TokenMalformed},
		{"a token cut off in its payload", header + "." + payload[:len(payload)/2], reason.TokenMalformed},
		{"an encrypted token, in five parts", header + "." + payload + "." + signature + "." + payload + "." + signature, reason.TokenMalformed},
		{"a token of ten thousand parts", strings.Repeat("a.", 10_000), reason.TokenMalformed},
		{"a token as long as headers may be", header + "." + strings.Repeat("A", 64<<10) + "." + signature, reason.TokenMalformed},
		{"a token of an issuer nobody configured", issuer.Key().Sign(claims("alice", 1).With(issuertest.Claims{"iss": "https://issuer.example.com"})), reason.IssuerUnknown},
		{"an unsigned token", encode(t, object{"alg": "none"}) + "." + payload + ".", reason.AlgorithmNotAllowed},
		{"a token signed with a shared secret", encode(t, object{"alg": "HS256", "kid": issuer.Key().ID}) + "." + payload + "." + signature, reason.AlgorithmNotAllowed},
		{"a token that another key has signed", stranger.Sign(claims("alice", 1).With(issuertest.Claims{"iss": issuer.URL})), reason.KeyUnknown},
		{"a token whose claims were changed", header + "." + encode(t, claims("root", 1).With(issuertest.Claims{"iss": issuer.URL})) + "." + signature, reason.SignatureInvalid},
		{"a token that expired a second ago", issuer.Sign(claims("alice", 1).With(issuertest.Claims{"exp": time.Now().Add(-time.Second).Unix()})), reason.Expired},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantRefusal(t, server, test.token, "e2e", reason.Refusal{Code: test.want})
		})
	}
	t.Run("while the token they were made from is accepted", func(t *testing.T) {
		table := server.Kubectl(t, cluster.Credential{Token: good}, "auth", "whoami").Must(t)
		if !strings.Contains(table, " e2e:alice-1\n") {
			t.Errorf("kubectl prints\n%s", table)
		}
	})
}

// parts are the three of a JWT in compact serialization (RFC 7515 §3.1).
func parts(t *testing.T, token string) (header, payload, signature string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("a token of %d parts", len(parts))
	}
	return parts[0], parts[1], parts[2]
}

// encode is a part of a JWT.
func encode(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}
