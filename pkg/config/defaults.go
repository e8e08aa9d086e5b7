package config

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// defaultEmailVerifiedClaim is the claim of OpenID Connect Core §5.1.
const defaultEmailVerifiedClaim = "email_verified"

const (
	// defaultGraphCacheTTL is well below the hour that a token of Entra ID lasts, in
	// which its own groups do not change either.
	defaultGraphCacheTTL = 5 * time.Minute
	// defaultLivenessCacheTTL is what kube-apiserver remembers an accepted token for.
	defaultLivenessCacheTTL = 10 * time.Second
)

// setWebhookDefaults fills in what the WebhookConfiguration does not say.
func setWebhookDefaults(spec *v1alpha1.WebhookConfigurationSpec) {
	defaults := tokenreview.DefaultLimits()
	setDefaultPointer(&spec.Limits.MaxRequestsInFlight, defaults.MaxRequestsInFlight)
	setDefaultPointer(&spec.Limits.MaxConnections, defaults.MaxConnections)
}

// setDefaults fills in what the policy of an issuer does not say.
func setDefaults(spec *v1alpha1.IssuerPolicySpec, issuer string) {
	setDefault(&spec.Issuer, issuer)
	setDefault(&spec.Enforcement, v1alpha1.EnforcementEnforce)
	setDefault(&spec.EmailVerified, v1alpha1.EmailVerifiedIfPresent)
	setDefault(&spec.EmailVerifiedClaim, defaultEmailVerifiedClaim)
	setDefault(&spec.ReservedNames, v1alpha1.ReservedNamesDeny)
	if spec.Keys.Algorithms == nil {
		spec.Keys.Algorithms = issuers.DefaultAlgorithms()
	}
	setDefaultPointer(&spec.Keys.MaxStaleness, metav1.Duration{Duration: issuers.DefaultMaxStaleness})
	if entra := spec.Entra; entra != nil {
		setDefault(&entra.AppOnlyTokens, v1alpha1.AppOnlyTokensDeny)
		setDefault(&entra.GroupOverage, v1alpha1.GroupOverageDeny)
		if graph := entra.Graph; graph != nil {
			setDefault(&graph.OnFailure, v1alpha1.GraphFailureDeny)
			setDefaultPointer(&graph.SecurityEnabledOnly, true)
			setDefaultPointer(&graph.CacheTTL, metav1.Duration{Duration: defaultGraphCacheTTL})
		}
	}
	if kubernetes := spec.Kubernetes; kubernetes != nil {
		setDefault(&kubernetes.Liveness, v1alpha1.LivenessSignature)
		setDefault(&kubernetes.LivenessOnFailure, v1alpha1.LivenessFailureDeny)
		setDefaultPointer(&kubernetes.LivenessCacheTTL, metav1.Duration{Duration: defaultLivenessCacheTTL})
	}
}

func setDefault[T ~string](field *T, value T) {
	if *field == "" {
		*field = value
	}
}

func setDefaultPointer[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
