package convert

import (
	"bytes"
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
)

// The types below are the configuration's in the order in which people read it, and
// without what the flags cannot say. Kubernetes' own would be sorted by the alphabet.

type authentication struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	JWT        []jwt  `yaml:"jwt"`
}

type jwt struct {
	Issuer struct {
		URL                  string   `yaml:"url"`
		Audiences            []string `yaml:"audiences,flow"`
		CertificateAuthority string   `yaml:"certificateAuthority,omitempty"`
	} `yaml:"issuer"`
	ClaimMappings struct {
		Username mapping  `yaml:"username"`
		Groups   *mapping `yaml:"groups,omitempty"`
	} `yaml:"claimMappings"`
	ClaimValidationRules []claimRule `yaml:"claimValidationRules,omitempty"`
}

type mapping struct {
	Claim  string `yaml:"claim"`
	Prefix string `yaml:"prefix"`
}

type claimRule struct {
	Claim         string `yaml:"claim"`
	RequiredValue string `yaml:"requiredValue"`
}

type issuerPolicy struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec struct {
		Issuer string `yaml:"issuer"`
		Keys   struct {
			Algorithms []string `yaml:"algorithms,flow"`
		} `yaml:"keys"`
	} `yaml:"spec"`
}

type webhookConfiguration struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Spec       struct {
		DisallowedIssuers []string `yaml:"disallowedIssuers"`
	} `yaml:"spec"`
}

// write writes the file in YAML.
func (f *file) write() ([]byte, error) {
	var text bytes.Buffer
	f.writeComment(&text)
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	documents := []any{f.authentication(), f.policy()}
	if len(f.disallowedIssuers) > 0 {
		documents = append(documents, f.webhook())
	}
	for _, document := range documents {
		if err := encoder.Encode(document); err != nil {
			return nil, fmt.Errorf("write configuration: %w", err)
		}
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return text.Bytes(), nil
}

// writeComment says where the file is from and what to do with it. A source that is
// a file is quoted: its name can have more than one line.
func (f *file) writeComment(text *bytes.Buffer) {
	source := "flags given to it"
	if f.source != "" {
		source = strconv.Quote(f.source)
	}
	fmt.Fprintf(text, "# Converted by \"webhook config convert\" from %s.\n", source)
	text.WriteString(`# It means what the flags mean to kube-apiserver: the same users, the same groups.
# The webhook is stricter in a few places, which docs/migration.md tells.
#
# 1. Check it whenever it has changed: webhook config validate FILE
# 2. Serve it, and have the API server ask:
#    --authentication-token-webhook-config-file
# 3. Remove the --oidc-* flags from the API server. Until then its own OIDC
#    authenticator comes first, and whom that accepts the webhook never sees.
`)
	if len(f.notes) > 0 {
		text.WriteString("#\n")
	}
	for _, note := range f.notes {
		fmt.Fprintf(text, "# %s\n", note)
	}
}

func (f *file) authentication() authentication {
	var out jwt
	out.Issuer.URL = f.jwt.Issuer.URL
	out.Issuer.Audiences = f.jwt.Issuer.Audiences
	out.Issuer.CertificateAuthority = f.jwt.Issuer.CertificateAuthority
	username, groups := f.jwt.ClaimMappings.Username, f.jwt.ClaimMappings.Groups
	out.ClaimMappings.Username = mapping{username.Claim, *username.Prefix}
	if groups.Claim != "" {
		out.ClaimMappings.Groups = &mapping{groups.Claim, *groups.Prefix}
	}
	for _, rule := range f.jwt.ClaimValidationRules {
		out.ClaimValidationRules = append(out.ClaimValidationRules, claimRule{rule.Claim, rule.RequiredValue})
	}
	return authentication{"apiserver.config.k8s.io/v1", "AuthenticationConfiguration", []jwt{out}}
}

func (f *file) policy() issuerPolicy {
	out := issuerPolicy{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindIssuerPolicy}
	out.Metadata.Name = f.name
	out.Spec.Issuer = f.jwt.Issuer.URL
	out.Spec.Keys.Algorithms = f.algorithms
	return out
}

func (f *file) webhook() webhookConfiguration {
	out := webhookConfiguration{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindWebhookConfiguration}
	out.Spec.DisallowedIssuers = f.disallowedIssuers
	return out
}
