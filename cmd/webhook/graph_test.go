package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"tokenreview.dev/webhook/internal/entratest"
	"tokenreview.dev/webhook/internal/issuertest"
)

// The scripts of testdata/graph find in their folder a configuration with the
// overage of groups resolved, entra.yaml, another that goes on without groups while
// Graph cannot tell, omitting.yaml, and tokens of people. Microsoft's hosts
// are reached through a proxy, behind which is a server that answers as they do.
func TestGroupsFromMicrosoftGraph(t *testing.T) {
	const (
		tenant   = "de5169f1-9a13-45fe-a4cf-07feee258b7f"
		issuer   = "https://login.microsoftonline.com/" + tenant + "/v2.0"
		client   = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"
		known    = "0c6b2e4e-53c5-4f0a-9d5e-6a1f3f6f8f0b"
		deleted  = "11111111-1111-1111-1111-111111111111"
		group    = "921b8d0f-a256-4a59-8baa-65c90ec581ac"
		mailList = "c23b7510-9d24-4c94-882c-2afff5be1562"
	)
	microsoft := entratest.Start(tenant, client)
	t.Cleanup(microsoft.Close)
	microsoft.SetSecrets("correct horse battery staple")
	microsoft.AddUser(known, entratest.Group{ID: group, SecurityEnabled: true}, entratest.Group{ID: mailList})
	proxy := httptest.NewServer(microsoft.Proxy())
	t.Cleanup(proxy.Close)
	key := issuertest.NewKey("key", "ES256")

	params := testscript.Params{
		Dir: filepath.Join("testdata", "graph"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("HTTPS_PROXY", proxy.URL)
			env.Setenv("SSL_CERT_FILE", env.WorkDir+"/microsoft.pem")
			files := map[string]string{
				"microsoft.pem": microsoft.CertificateAuthority(),
				"entra.yaml": fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: %[1]s, audiences: [cluster]}
  claimMappings:
    username: {claim: oid, prefix: "entra:"}
    groups: {claim: groups, prefix: "entra:"}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: entra}
spec:
  issuer: %[1]s
  keys: {jwks: '%[2]s'}
  entra:
    groupOverage: Resolve
    graph: {clientID: %[3]s, clientSecretFile: %[4]s/secret}
`, issuer, issuertest.KeySet(key), client, env.WorkDir),
			}
			files["omitting.yaml"] = strings.Replace(files["entra.yaml"], "/secret}", "/secret, onFailure: OmitGroups}", 1)
			for name, objectID := range map[string]string{"known": known, "deleted": deleted} {
				files[name+".jwt"] = key.Sign(issuertest.Claims{
					"iss": issuer, "aud": "cluster", "exp": time.Now().Add(time.Hour).Unix(),
					"sub": "pairwise", "oid": objectID, "tid": tenant, "ver": "2.0",
					"_claim_names":   issuertest.Claims{"groups": "src1"},
					"_claim_sources": issuertest.Claims{"src1": issuertest.Claims{"endpoint": "https://graph.windows.net/" + tenant + "/users/" + objectID + "/getMemberObjects"}},
				})
			}
			for name, content := range files {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(content), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	}
	// The scripts run in parallel, and have ended when this returns.
	t.Run("scripts", func(t *testing.T) { testscript.Run(t, params) })
	for _, host := range microsoft.Hosts() {
		if host != "login.microsoftonline.com" && host != "graph.microsoft.com" {
			t.Errorf("%s was asked", host)
		}
	}
	if requests := microsoft.Requests(); requests.Graph < 2 || requests.Other > 0 {
		t.Errorf("expected Graph to be asked about two people, got %+v", requests)
	}
}
