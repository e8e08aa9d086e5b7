package v1alpha1

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KindPolicyTest is the kind of the files that `webhook test` reads.
const KindPolicyTest = "PolicyTest"

// PolicyTest says what a configuration decides about tokens. The tokens are given
// as claims: nobody has to sign them.
type PolicyTest struct {
	metav1.TypeMeta `json:",inline"`
	// Metadata.Name names the test in what is printed. Required.
	Metadata Metadata       `json:"metadata"`
	Spec     PolicyTestSpec `json:"spec"`
}

// PolicyTestSpec is what a PolicyTest says.
type PolicyTestSpec struct {
	// Configuration is the path of the configuration file, relative to the test's own.
	// Required.
	Configuration string `json:"configuration"`
	// Issuer is who has signed the tokens: the URL of an issuer of the configuration,
	// or its policy's name. Default: the configuration's only issuer.
	Issuer string `json:"issuer,omitempty"`
	// Claims are what all cases have in common.
	Claims map[string]any `json:"claims,omitempty"`
	// Cases are the tokens. Required.
	Cases []PolicyTestCase `json:"cases"`
}

// PolicyTestCase is one token and what must become of it.
type PolicyTestCase struct {
	// Name is unique in the test. Required.
	Name string `json:"name"`
	// Issuer is used in the place of spec.issuer.
	Issuer string `json:"issuer,omitempty"`
	// Claims are used in the place of those of spec.claims that have the same name;
	// null leaves a claim out. In exp, nbf and iat the text now, now+6h or now-5m stands
	// for that NumericDate (RFC 7519 §2). Where nothing is said of them, iss is the
	// issuer, aud its first audience, iat now and exp now+5m.
	Claims map[string]any `json:"claims,omitempty"`
	// Audiences are the spec.audiences of the TokenReview. Default: none.
	Audiences []string `json:"audiences,omitempty"`
	// Graph is what Microsoft Graph would answer. Only where entra.groupOverage is
	// Resolve.
	Graph *PolicyTestGraph `json:"graph,omitempty"`
	// Liveness is what the cluster that issued the token would answer. Only where
	// kubernetes.liveness is TokenReview. Default Live.
	Liveness PolicyTestLiveness `json:"liveness,omitempty"`
	// Expect is what must become of the token. Required.
	Expect PolicyTestExpectation `json:"expect"`
}

// PolicyTestGraph is what Microsoft Graph would answer: exactly one of its fields.
type PolicyTestGraph struct {
	// Groups are the object ids of the user's groups, and may be [].
	Groups []string `json:"groups,omitempty"`
	// Unknown says that there is no such user.
	Unknown bool `json:"unknown,omitempty"`
	// Error says that Graph cannot tell now, and why.
	Error string `json:"error,omitempty"`
}

// PolicyTestLiveness is what the cluster that issued a token would answer.
type PolicyTestLiveness string

const (
	PolicyTestLive PolicyTestLiveness = "Live"
	// PolicyTestNotLive says that the cluster no longer honours the token.
	PolicyTestNotLive PolicyTestLiveness = "NotLive"
	// PolicyTestUnavailable says that the cluster cannot be asked.
	PolicyTestUnavailable PolicyTestLiveness = "Unavailable"
)

// PolicyTestExpectation is what must become of a token: exactly one of User and
// Reason.
type PolicyTestExpectation struct {
	// User is who the token must be accepted as, before the API server adds
	// system:authenticated. What is left out must be absent.
	User *authenticationv1.UserInfo `json:"user,omitempty"`
	// Audiences are the status.audiences of the TokenReview. Default: not compared.
	Audiences []string `json:"audiences,omitempty"`
	// Reason is the code that the token must be refused with: see docs/reasons.md.
	Reason string `json:"reason,omitempty"`
	// Text must be part of the reason's text. Default: any.
	Text string `json:"text,omitempty"`
	// WouldRefuse is the code that the policy must have recorded and not enforced, for
	// enforcement Audit or an onFailure setting. Where it is left out there must be
	// none.
	WouldRefuse string `json:"wouldRefuse,omitempty"`
}
