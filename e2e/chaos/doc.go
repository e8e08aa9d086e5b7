// Package chaos breaks what the webhook depends on, and the webhook itself, while the
// API server's own client keeps asking it, and checks every answer. It holds tests
// alone; `make chaos` runs them at length, `make e2e` briefly.
//
// The webhook and the issuers are processes of their own, so that they can be killed,
// frozen and started again. The tests keep the issuers' private keys and sign the tokens.
package chaos
