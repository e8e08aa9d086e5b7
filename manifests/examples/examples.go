// Package examples holds the configurations that the project ships for people
// to start from, each of them one real set-up with a policy test. The text of a file
// is its documentation; the package only makes the files available to programs.
package examples

import "embed"

// Files are the examples by file name, such as github-actions.yaml, each with its
// policy test, such as github-actions.test.yaml.
//
//go:embed authentik.yaml dex.yaml entra.yaml entra-v1.yaml github-actions.yaml
//go:embed gitlab.yaml google.yaml keycloak.yaml kubernetes.yaml pocket-id.yaml
//go:embed authentik.test.yaml dex.test.yaml entra.test.yaml entra-v1.test.yaml github-actions.test.yaml
//go:embed gitlab.test.yaml google.test.yaml keycloak.test.yaml kubernetes.test.yaml pocket-id.test.yaml
var Files embed.FS
