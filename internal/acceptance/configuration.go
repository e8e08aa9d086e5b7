package acceptance

import (
	"fmt"

	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/manifests/examples"
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
func (i Issuers) Sign(c Case, t Token) string { return i[c.Issuer].Sign(t.Claims) }

// Configuration combines the configurations of the cases into one. The keys of an
// issuer that runs on loopback are fetched there instead of from the Internet;
// everything else, the iss of its tokens included, stays as published.
func Configuration(cases []Case, issuers Issuers) ([]byte, error) {
	var combined apiserverv1.AuthenticationConfiguration
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.Example] {
			continue
		}
		seen[c.Example] = true
		data, err := examples.Files.ReadFile(c.Example)
		if err != nil {
			return nil, err
		}
		var example apiserverv1.AuthenticationConfiguration
		if err := yaml.UnmarshalStrict(data, &example); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Example, err)
		}
		for n := range example.JWT {
			redirect(&example.JWT[n].Issuer, issuers)
		}
		combined.TypeMeta = example.TypeMeta
		combined.JWT = append(combined.JWT, example.JWT...)
	}
	return yaml.Marshal(combined)
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
