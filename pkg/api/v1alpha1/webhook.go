package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// WebhookConfiguration holds what concerns the server and no one issuer. At most
// one to a file; without one everything is at its default.
type WebhookConfiguration struct {
	metav1.TypeMeta `json:",inline"`
	// Metadata.Name is free; it may be left out.
	Metadata Metadata                 `json:"metadata,omitzero"`
	Spec     WebhookConfigurationSpec `json:"spec"`
}

// WebhookConfigurationSpec is what a WebhookConfiguration says.
type WebhookConfigurationSpec struct {
	// DisallowedIssuers are issuers that document 1 must not name: the API server's
	// own service-account issuers, whose tokens reach the webhook after the API
	// server itself has refused them. Default: none.
	DisallowedIssuers []string `json:"disallowedIssuers,omitempty"`
}
