package config

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/entra"
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
	decisions := tokenreview.DefaultDecisionCache()
	setDefaultPointer(&spec.DecisionCache.AllowedTTL, metav1.Duration{Duration: decisions.AllowedTTL})
	setDefaultPointer(&spec.DecisionCache.RefusedTTL, metav1.Duration{Duration: decisions.RefusedTTL})
	setDefaultPointer(&spec.DecisionCache.MaxEntries, decisions.MaxEntries)
	if spec.Callers.TokenReview == nil {
		spec.Callers.TokenReview = []v1alpha1.Caller{{Organization: v1alpha1.AuditorsOrganization}}
	}
	setDefault(&spec.Audit.Level, v1alpha1.AuditAll)
	setDefault(&spec.Audit.Path, defaultAuditPath)
	setDefaultPointer(&spec.Audit.MaxSizeMB, defaultAuditMaxSizeMB)
	setDefaultPointer(&spec.Audit.MaxBackups, defaultAuditMaxBackups)
	setDefaultPointer(&spec.Audit.MaxRefusalsPerSecond, defaultAuditMaxRefusals)
}

const (
	// defaultAuditPath is standard output, where there is always somebody who keeps it:
	// the kubelet, systemd or whoever looks.
	defaultAuditPath = "-"
	// A file of a gigabyte and its like hold some million decisions.
	defaultAuditMaxSizeMB, defaultAuditMaxBackups = 100, 10
	// defaultAuditMaxRefusals is what the log has, too: in a day of nothing but refusals it
	// comes to some 400 MB.
	defaultAuditMaxRefusals = 10
)

// defaultAuditClaims are the claims that say who and which run of tokens of a kind.
// The issuer's URL tells its kind as well, where it has no such block or no policy.
func defaultAuditClaims(spec *v1alpha1.IssuerPolicySpec, issuer string) []string {
	_, isEntra := entra.ParseTenant(issuer)
	switch {
	case spec.GitHubActions != nil, isGitHubActions(issuer):
		return []string{"repository", "repository_id", "ref", "sha", "run_id", "run_attempt", "actor", "event_name", "environment", "job_workflow_ref"}
	case spec.Entra != nil, isEntra:
		return []string{"tid", "oid", "azp", "appid", "uti"}
	case spec.Kubernetes != nil:
		return []string{"kubernetes.io"}
	default:
		return []string{}
	}
}

// setDefaults fills in what the policy of an issuer does not say; webhook has its own
// defaults already.
func setDefaults(spec *v1alpha1.IssuerPolicySpec, issuer string, webhook *v1alpha1.WebhookConfigurationSpec) {
	setDefault(&spec.Issuer, issuer)
	setDefault(&spec.Audit.Level, webhook.Audit.Level)
	if spec.Audit.Claims == nil {
		spec.Audit.Claims = defaultAuditClaims(spec, issuer)
	}
	setDefault(&spec.Enforcement, v1alpha1.EnforcementEnforce)
	setDefault(&spec.EmailVerified, v1alpha1.EmailVerifiedIfPresent)
	setDefault(&spec.EmailVerifiedClaim, defaultEmailVerifiedClaim)
	setDefault(&spec.ReservedNames, v1alpha1.ReservedNamesDeny)
	if spec.Keys.Algorithms == nil {
		spec.Keys.Algorithms = issuers.DefaultAlgorithms()
	}
	setDefaultPointer(&spec.Keys.MaxStaleness, metav1.Duration{Duration: issuers.DefaultMaxStaleness})
	if block := spec.Entra; block != nil {
		setDefault(&block.AppOnlyTokens, v1alpha1.AppOnlyTokensDeny)
		setDefault(&block.GroupOverage, v1alpha1.GroupOverageDeny)
		if graph := block.Graph; graph != nil {
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
