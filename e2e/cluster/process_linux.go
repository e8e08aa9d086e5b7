package cluster

import (
	"os"
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the child when this process dies, as a test
// does that panics or runs out of time: no cleanup runs then.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// ownMounts has the child see mounts of its own, which it may change: it is root in a
// namespace of users, whoever it is outside.
func ownMounts(cmd *exec.Cmd) error {
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	return nil
}
