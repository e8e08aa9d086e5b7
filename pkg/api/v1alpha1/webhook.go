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
	// Callers says whose requests are answered.
	Callers Callers `json:"callers,omitzero"`
	// Limits bound what callers take up.
	Limits Limits `json:"limits,omitzero"`
	// DecisionCache says for how long decisions are used again.
	DecisionCache DecisionCache `json:"decisionCache,omitzero"`
	// Audit says what is written down of decisions, and where.
	Audit Audit `json:"audit,omitzero"`
}

// Callers says who may ask what, among those whose certificate the client CA has
// signed.
type Callers struct {
	// Authenticate are those who may use /authenticate: API servers. Default, nil in a
	// Config: every one of them.
	Authenticate []Caller `json:"authenticate,omitempty"`
	// TokenReview are those who may use /tokenreview: auditors, who are told why. Default:
	// those of the organization tokenreview:auditors. An empty list is nobody.
	TokenReview []Caller `json:"tokenreview,omitempty"`
}

// Caller describes client certificates. Every field given must match, to the
// letter; one is required.
type Caller struct {
	// CommonName is the subject's.
	CommonName string `json:"commonName,omitempty"`
	// Organization is one of the subject's, which Kubernetes takes for groups.
	Organization string `json:"organization,omitempty"`
	// URI is one of the certificate's URI subject alternative names, such as a SPIFFE id.
	URI string `json:"uri,omitempty"`
}

// AuditorsOrganization is that of the certificates that may use /tokenreview by
// default.
const AuditorsOrganization = "tokenreview:auditors"

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

// DecisionCache says for how long decisions about proven tokens are used again, for the
// same token and audiences. What could not be decided never is, nor is a decision for
// which Microsoft Graph or another cluster was asked: these have a cacheTTL of their own.
// A change of the configuration, or of the issuer's keys, ends it.
type DecisionCache struct {
	// AllowedTTL is for tokens that are accepted, up to 10 minutes, and never past their
	// exp. 0 is not at all. Default 10s, which is for how long kube-apiserver remembers
	// tokens that it need not ask about; never nil in a Config.
	AllowedTTL *metav1.Duration `json:"allowedTTL,omitempty"`
	// RefusedTTL is for tokens that are refused, up to a minute. 0 is not at all. Default
	// 5s; never nil in a Config.
	RefusedTTL *metav1.Duration `json:"refusedTTL,omitempty"`
	// MaxEntries is how many decisions of either kind are remembered at a time, 0 for
	// none. Default 10000; never nil in a Config.
	MaxEntries *int `json:"maxEntries,omitempty"`
}

// Audit says what is written down of decisions, and where.
type Audit struct {
	// Level is for the tokens of issuers whose policy says none, and for those of no
	// configured issuer. Default All.
	Level AuditLevel `json:"level,omitempty"`
	// Path is the absolute path of the file, or - for standard output. Default -.
	Path string `json:"path,omitempty"`
	// MaxSizeMB is the size in megabytes at which a file is set aside and another begun;
	// 0 leaves that to others. Default 100; never nil in a Config.
	MaxSizeMB *int `json:"maxSizeMB,omitempty"`
	// MaxBackups is how many files set aside are kept, 0 for all. Default 10; never nil
	// in a Config.
	MaxBackups *int `json:"maxBackups,omitempty"`
	// MaxAgeDays is for how many days files set aside are kept, 0 for ever. Default 0.
	MaxAgeDays int `json:"maxAgeDays,omitempty"`
	// MaxRefusalsPerSecond is how many refusals a second are written of each issuer's
	// tokens, and of all those that no issuer is shown to have signed, after a burst of
	// ten times as many. Anybody can cause them; those beyond are counted. Default 10;
	// never nil in a Config.
	MaxRefusalsPerSecond *int `json:"maxRefusalsPerSecond,omitempty"`
	// FingerprintKeyFile is the absolute path of a file of 32 bytes or more, the key of
	// the tokens' fingerprints: replicas that share it give a token the same one. Default:
	// a key of each process's own.
	FingerprintKeyFile string `json:"fingerprintKeyFile,omitempty"`
}

// AuditLevel is which decisions are written down.
type AuditLevel string

const (
	// AuditAll writes down every decision.
	AuditAll AuditLevel = "All"
	// AuditRefusals writes down those that let nobody in, and those that would have but
	// for enforcement Audit or an onFailure setting.
	AuditRefusals AuditLevel = "Refusals"
	// AuditNone writes down none.
	AuditNone AuditLevel = "None"
)

// IssuerAudit is what is written down of the decisions about one issuer's tokens.
type IssuerAudit struct {
	// Level is which. Default: the WebhookConfiguration's.
	Level AuditLevel `json:"level,omitempty"`
	// Claims are the names of claims that are written down of tokens that the issuer has
	// signed. Default: those that say who and which run for githubActions, entra and
	// kubernetes, else none. Never nil in a Config.
	Claims []string `json:"claims,omitempty"`
}
