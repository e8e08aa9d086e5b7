// Package tokenreview answers Kubernetes TokenReviews over HTTP.
//
// A request comes in at Handler as bytes that anybody may have sent, and leaves as
// a TokenReview whose status says who the token speaks for, or why nobody. Handler
// bounds and decodes it, Reviewer uses a decision that it remembers, or has the issuers
// prove the token and the issuer's policy decide, reply.go writes the answer, and
// record.go tells people what came of it. It is the only package that knows TokenReview
// types and HTTP status codes.
//
// Read it in this order: callers.go, permissions.go, handler.go, buffers.go, stack.go,
// limits.go, reviewer.go, patience.go, decisions.go, kept.go, repeats.go, record.go,
// metrics.go, exemplars.go, recent.go, reply.go, explain.go.
package tokenreview
