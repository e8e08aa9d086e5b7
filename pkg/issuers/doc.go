// Package issuers proves which issuer signed a token.
//
// A request comes in at Set.Verify with a bearer token that nobody has looked at
// yet, and leaves with the token's Claims once the one issuer configured for its
// iss is shown to have signed it, for one of our audiences, and for now. What the
// claims mean is the policy's business, not this package's.
//
// Read it in this order: set.go, token.go, claims.go, members.go, issuer.go, times.go,
// distributed.go; for the keys keys.go, waiting.go, source.go, fresh.go, keyset.go;
// and for those that are saved saver.go, state.go. Each issuer has its own keys,
// connections and background refresh; no issuer ever waits for another.
package issuers
