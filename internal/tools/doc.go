// Package tools holds no code: its module pins the version of the linter that
// `make lint` builds, apart from what the product depends on.
package tools
