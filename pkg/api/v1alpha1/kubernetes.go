package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Kubernetes decides by the claims of another cluster's service-account token.
type Kubernetes struct {
	// ClusterName names the cluster in the groups and extras that its tokens get: a
	// DNS-1123 label. Required.
	ClusterName string `json:"clusterName"`
	// Allow lists the accounts that may come in; any rule admits. Default: every
	// account of that cluster.
	Allow []KubernetesRule `json:"allow,omitempty"`
	// Liveness says how the token is shown to be alive. Default Signature.
	Liveness Liveness `json:"liveness,omitempty"`
	// Kubeconfig is the absolute path of the kubeconfig with which the issuing
	// cluster is asked. Required for liveness TokenReview, and for nothing else.
	Kubeconfig string `json:"kubeconfig,omitempty"`
	// LivenessCacheTTL is how long that cluster's answer is remembered, and so for how
	// long a deleted pod keeps its access; 0 is not at all. An answer with an error is
	// remembered for 10s at most. Default 10s; never nil in a Config.
	LivenessCacheTTL *metav1.Duration `json:"livenessCacheTTL,omitempty"`
	// LivenessOnFailure says what becomes of a token while that cluster cannot be
	// asked. Default Deny.
	LivenessOnFailure LivenessFailure `json:"livenessOnFailure,omitempty"`
}

// KubernetesRule admits a token of which every field given here matches. Namespace
// and ServiceAccount are patterns as in GitHubActionsRule.
type KubernetesRule struct {
	Namespace      string `json:"namespace,omitempty"`
	ServiceAccount string `json:"serviceAccount,omitempty"`
	// UID is the account's uid: a re-created account does not have it.
	UID string `json:"uid,omitempty"`
}

// Liveness is how a service-account token is shown to be alive.
type Liveness string

const (
	// LivenessSignature trusts the signature and exp alone.
	LivenessSignature Liveness = "Signature"
	// LivenessTokenReview also asks the cluster that issued the token, so that
	// deleted pods and accounts lose access.
	LivenessTokenReview Liveness = "TokenReview"
)

// LivenessFailure is what becomes of a token while the cluster that issued it
// cannot be asked.
type LivenessFailure string

const (
	// LivenessFailureDeny answers that it cannot be decided, which is never cached.
	LivenessFailureDeny LivenessFailure = "Deny"
	// LivenessFailureSignature goes by the signature alone while the cluster is away
	// for every token.
	LivenessFailureSignature LivenessFailure = "Signature"
)
