// Package policy decides who a proven token speaks for.
//
// A request comes in at Policy.Decide with the Claims that package issuers has
// proven, and leaves with a Decision: the user that the cluster will see, or the
// one reason why there is none. The checks of the issuer's IssuerPolicy look at the
// claims first; then the rules of kube-apiserver's AuthenticationConfiguration run
// in upstream's own order; and last comes the question to another cluster. The
// policy's checks refuse, add groups and extras to the user, and fill in the groups
// that a token of Entra ID leaves out.
//
// Read it in this order: policy.go and checks.go; for the policy's own checks
// lifetime.go, email.go, github.go with github_index.go, github_refusal.go and
// pattern.go, entra.go, overage.go, kubernetes.go and liveness.go; for upstream's
// mapping.go, rules.go and reserved.go. claimsvalue.go and value.go show claims and users
// to CEL, and plain.go does without it where it can.
package policy
