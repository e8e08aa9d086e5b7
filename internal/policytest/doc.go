// Package policytest runs policy tests: claims in, the expected user or reason out.
//
// A PolicyTest comes in at Load as a file that an administrator wrote, and leaves
// as Results that WriteText and WriteJUnit print. In between each case's claims
// become a token, signed with a key that is made for the purpose and taken for the
// issuer's by a copy of the configuration alone, which the server's own reviewer
// decides about.
// So there is no way past the signature for anybody to use, and no second reading
// of the rules. Nobody outside is asked: the tests say what they would answer.
//
// Read it in this order: load.go, validation.go, claims.go, key.go, run.go,
// answers.go; diff.go, text.go and junit.go print.
package policytest
