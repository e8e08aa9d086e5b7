//go:build !linux

package cluster

import (
	"errors"
	"os/exec"
)

// dieWithParent is known to Linux alone; elsewhere a test that panics leaves its
// children behind.
func dieWithParent(*exec.Cmd) {}

// ownMounts is known to Linux alone.
func ownMounts(*exec.Cmd) error { return errors.New("only Linux has mounts of one process's own") }
