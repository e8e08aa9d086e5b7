// Package acceptance holds the configurations that must work and, beside each, the
// policy test that says so: claims of real tokens, and the user or the reason that
// must come of them. `webhook test manifests/acceptance/*.test.yaml` runs them; the
// package only makes the files available to programs.
package acceptance

import "embed"

// Files are the configurations and tests by file name, such as
// a-github-actions.yaml and a-github-actions.test.yaml.
//
//go:embed *.yaml
var Files embed.FS
