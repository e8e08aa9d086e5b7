// Package certmanager holds no code: its module pins the version of cert-manager whose
// types the end-to-end tests give to the API server. A module of its own, so that what
// cert-manager depends on touches nothing else.
package certmanager

// It has no imports itself, and is here for `go mod tidy`.
import _ "github.com/cert-manager/cert-manager/pkg/apis/certmanager"
