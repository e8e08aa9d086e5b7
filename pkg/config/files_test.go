package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"tokenreview.dev/webhook/pkg/config"
)

func TestTheFilesThatAConfigurationNames(t *testing.T) {
	const configuration = `
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: "https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/v2.0", audiences: [a]}
  claimMappings: {username: {claim: oid, prefix: "entra:"}}
- issuer: {url: "https://login.microsoftonline.com/7b6ac5b6-2b7a-4b7b-9a3c-0d6ed2ab0c11/v2.0", audiences: [a]}
  claimMappings: {username: {claim: oid, prefix: "other:"}}
- issuer: {url: "https://build.example", audiences: [a]}
  claimMappings: {username: {claim: sub, prefix: "build:"}}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: entra}
spec:
  issuer: https://login.microsoftonline.com/de5169f1-9a13-45fe-a4cf-07feee258b7f/v2.0
  entra:
    tenantIDs: [de5169f1-9a13-45fe-a4cf-07feee258b7f]
    groupOverage: Resolve
    graph: {clientID: 0a1b2c3d-0000-4000-8000-000000000001, clientSecretFile: /c/secret}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: other}
spec:
  issuer: https://login.microsoftonline.com/7b6ac5b6-2b7a-4b7b-9a3c-0d6ed2ab0c11/v2.0
  entra:
    tenantIDs: [7b6ac5b6-2b7a-4b7b-9a3c-0d6ed2ab0c11]
    groupOverage: Resolve
    graph: {clientID: 0a1b2c3d-0000-4000-8000-000000000001, clientAssertionFile: /c/assertion}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: build}
spec:
  issuer: https://build.example
  keys: {jwksFile: /c/keys.json}
  kubernetes:
    clusterName: build
    allow: [{namespace: a, serviceAccount: b}]
    liveness: TokenReview
    kubeconfig: /c/build.kubeconfig
---
apiVersion: tokenreview.dev/v1alpha1
kind: WebhookConfiguration
spec:
  disallowedIssuers: ["https://kubernetes.default.svc"]
  audit: {path: /c/audit.log, fingerprintKeyFile: /c/fingerprints}
`
	loaded, err := config.Parse("webhook.yaml", []byte(configuration))
	if err != nil {
		t.Fatal(err)
	}
	want := []config.File{
		{Setting: "IssuerPolicy entra: spec.entra.graph.clientSecretFile", Path: "/c/secret"},
		{Setting: "IssuerPolicy other: spec.entra.graph.clientAssertionFile", Path: "/c/assertion"},
		{Setting: "IssuerPolicy build: spec.keys.jwksFile", Path: "/c/keys.json"},
		{Setting: "IssuerPolicy build: spec.kubernetes.kubeconfig", Path: "/c/build.kubeconfig"},
		{Setting: "WebhookConfiguration: spec.audit.fingerprintKeyFile", Path: "/c/fingerprints"},
	}
	// The audit log is written, not read.
	if diff := cmp.Diff(want, loaded.Files()); diff != "" {
		t.Errorf("files (-want +have):\n%s", diff)
	}
}
