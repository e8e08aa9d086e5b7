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
	// Limits bound what callers take up.
	Limits Limits `json:"limits,omitzero"`
}

// Limits bound what callers take up of the server, whoever they are.
type Limits struct {
	// MaxRequestsInFlight is how many requests may be under way at a time. Those beyond
	// are answered 429, which kube-apiserver sends again. Where there are several
	// issuers, one issuer's tokens get a part of it. Default 500; never nil in a Config.
	MaxRequestsInFlight *int `json:"maxRequestsInFlight,omitempty"`
	// MaxConnections is how many connections the secure port has at a time. One beyond
	// takes the place of the oldest whose caller has shown no accepted certificate, or is
	// reset. Default 512; never nil in a Config.
	MaxConnections *int `json:"maxConnections,omitempty"`
}
