// Package liveness asks another cluster whether a service-account token of its own
// is still alive.
//
// A token comes in at Checker.Check when its signature, times and audiences are
// proven already, which say nothing of a pod or an account that was deleted since:
// only the API server that issued the token knows, and tells by a TokenReview of its
// own. What leaves is the one reason why the token is not alive, none if it is, or an
// error where that could not be told. Whose the token is, and what follows from the
// answer, is the policy's business.
//
// Read it in this order: checker.go, verdict.go, connection.go, kubeconfig.go,
// text.go. Each Checker has its own kubeconfig, connections and memory; no cluster
// ever waits for another.
package liveness
