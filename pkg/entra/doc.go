// Package entra knows of Microsoft Entra ID what a token's claims do not tell.
//
// It begins with an issuer's URL, of which ParseIssuer says whether it is Entra's,
// for which tenant and in which cloud. And it begins with the object id of a user
// or service principal whose token is proven but names too many groups to list
// them: Graph.Groups asks Microsoft Graph and returns the ids of the groups. What
// a group is good for is the policy's business, and no claim of a token is read
// here.
//
// Read it in this order: cloud.go, issuer.go, and for the groups graph.go,
// lookup.go, token.go, pause.go, transport.go. Nothing runs in the
// background: what goes on after the caller has left ends within lookupTimeout.
package entra
