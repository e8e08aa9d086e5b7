package config

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/pkg/issuers"
)

// setDefaults fills in what the policy of an issuer does not say.
func setDefaults(spec *IssuerPolicySpec, issuer string) {
	setDefault(&spec.Issuer, issuer)
	setDefault(&spec.Enforcement, EnforcementEnforce)
	setDefault(&spec.EmailVerified, EmailVerifiedIfPresent)
	setDefault(&spec.EmailVerifiedClaim, defaultEmailVerifiedClaim)
	setDefault(&spec.ReservedNames, ReservedNamesDeny)
	if spec.Keys.Algorithms == nil {
		spec.Keys.Algorithms = issuers.DefaultAlgorithms()
	}
	if spec.Keys.MaxStaleness == nil {
		spec.Keys.MaxStaleness = &metav1.Duration{Duration: issuers.DefaultMaxStaleness}
	}
	if entra := spec.Entra; entra != nil {
		setDefault(&entra.AppOnlyTokens, AppOnlyTokensDeny)
		setDefault(&entra.GroupOverage, GroupOverageDeny)
	}
	if kubernetes := spec.Kubernetes; kubernetes != nil {
		setDefault(&kubernetes.Liveness, LivenessSignature)
	}
}

func setDefault[T ~string](field *T, value T) {
	if *field == "" {
		*field = value
	}
}
