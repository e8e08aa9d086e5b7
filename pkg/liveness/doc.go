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
// An error may have a method Away() bool. It returns true only where no connection to
// the API server could be made, since no token was sent then that could have caused
// it: the connection is refused or not answered for 3 seconds, there is no route to the
// address, or whoever is there hangs up before TLS is established; and no other
// connection to it stands or has stood in the last 5 seconds, or a limit of
// connections, which many tokens can reach, would look the same. It is not away by any
// answer, whichever its status and whether or not it has a Retry-After; by an answer
// that is late, breaks off or cannot be read; by questions that are too many here; by a
// name that DNS does not find; by a certificate that is not the right one; by a
// kubeconfig that cannot be used; nor ever behind a proxy, which may fail in the
// cluster's stead. A token's holder can bring some of these about, and an administrator
// has to mend the others.
//
// Read it in this order: checker.go, slots.go, verdict.go, connection.go, dial.go,
// failure.go, kubeconfig.go. Each Checker has its own kubeconfig, connections and
// memory; no cluster ever waits for another.
package liveness
