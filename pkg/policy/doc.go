// Package policy decides who a proven token speaks for.
//
// A request comes in at Policy.Decide with the Claims that package issuers has
// proven, and leaves with a Decision: the user that the cluster will see, or the
// one reason why there is none. It follows the rules of kube-apiserver's
// AuthenticationConfiguration in upstream's own order, and adds checks that only
// ever refuse more.
//
// Read it in this order: policy.go, mapping.go, rules.go, reserved.go; value.go
// shows claims and users to CEL.
package policy
