package server

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// sharePort is a net.ListenConfig.Control that sets SO_REUSEPORT.
func sharePort(_, _ string, connection syscall.RawConn) error {
	var setErr error
	if err := connection.Control(func(fd uintptr) {
		setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}); err != nil {
		return err
	}
	return setErr
}
