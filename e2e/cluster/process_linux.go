package cluster

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the child when this process dies, as a test
// does that panics or runs out of time: no cleanup runs then.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
