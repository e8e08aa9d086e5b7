package acceptance

import (
	"bytes"
	"fmt"

	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/manifests/acceptance"
)

// Issuers are running loopback issuers by the URL they claim to be.
type Issuers map[string]*issuertest.Issuer

// StartIssuers runs one issuer for every issuer URL of the cases.
func StartIssuers(cases []Case) Issuers {
	issuers := Issuers{}
	for _, c := range cases {
		if issuers[c.Issuer] == nil {
			issuers[c.Issuer] = issuertest.Start(c.Issuer)
		}
	}
	return issuers
}

// Close stops the issuers.
func (i Issuers) Close() {
	for _, issuer := range i {
		issuer.Close()
	}
}

// Sign signs a token of the case with the key of the case's issuer.
func (i Issuers) Sign(c Case, t Token) string { return i[c.Issuer].Key().Sign(t.Claims) }

// Authentication is document 1 of the case's configuration, which kube-apiserver
// reads, and the policies after it.
func (c Case) Authentication() (first, policies []byte, err error) {
	data, err := acceptance.Files.ReadFile(c.Configuration)
	if err != nil {
		return nil, nil, err
	}
	first, policies, _ = bytes.Cut(data, []byte("\n---\n"))
	return first, policies, nil
}

// Configuration combines the configurations of the cases into one. The keys of an
// issuer that runs on loopback are fetched there instead of from the Internet;
// everything else, the iss of its tokens included, stays as published.
func Configuration(cases []Case, issuers Issuers) ([]byte, error) {
	var (
		combined apiserverv1.AuthenticationConfiguration
		policies []byte
		seen     = map[string]bool{}
	)
	for _, c := range cases {
		if seen[c.Configuration] {
			continue
		}
		seen[c.Configuration] = true
		first, others, err := c.Authentication()
		if err != nil {
			return nil, err
		}
		var one apiserverv1.AuthenticationConfiguration
		if err := yaml.UnmarshalStrict(first, &one); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Configuration, err)
		}
		for n := range one.JWT {
			redirect(&one.JWT[n].Issuer, issuers)
		}
		combined.TypeMeta = one.TypeMeta
		combined.JWT = append(combined.JWT, one.JWT...)
		if len(others) > 0 {
			policies = append(append(policies, "---\n"...), others...)
		}
	}
	data, err := yaml.Marshal(combined)
	if err != nil {
		return nil, err
	}
	return append(data, policies...), nil
}

// redirect lets the keys of a published issuer be fetched from its loopback
// counterpart, if there is one.
func redirect(published *apiserverv1.Issuer, issuers Issuers) {
	issuer := issuers[published.URL]
	if issuer == nil {
		return
	}
	discoveryURL := issuer.DiscoveryURL()
	published.DiscoveryURL = &discoveryURL
	published.CertificateAuthority = issuer.CertificateAuthority()
}
