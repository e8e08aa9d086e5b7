// Package tools holds no code: its module pins the versions of the programs that make
// builds, apart from what the product depends on. The folders below it hold programs of
// our own that need such modules.
package tools
