// Package examples holds the configurations that the project ships for people
// to start from, each of them one real set-up. The text of a file is its
// documentation; the package only makes the files available to programs.
package examples

import "embed"

// Files are the examples by file name, such as github-actions.yaml.
//
//go:embed *.yaml
var Files embed.FS
