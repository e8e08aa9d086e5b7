// Package examples holds the configurations that the project ships for people
// to start from, each of them one real set-up. The text of a file is its
// documentation; the package only makes the files available to programs.
package examples

import "embed"

// Files are the examples by file name, such as github-actions.yaml. Their policy
// tests, such as github-actions.test.yaml, are not among them.
//
//go:embed authentik.yaml dex.yaml entra.yaml entra-v1.yaml github-actions.yaml
//go:embed gitlab.yaml google.yaml keycloak.yaml kubernetes.yaml pocket-id.yaml
var Files embed.FS
