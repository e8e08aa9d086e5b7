package cluster

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// loopback is where everything listens.
const loopback = "127.0.0.1"

// freePorts chooses n different ports that nothing listens on.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		listener, err := net.Listen("tcp", loopback+":0")
		if err != nil {
			t.Fatal(err)
		}
		// Open until all are chosen, so that they differ.
		defer listener.Close()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// ReservePort chooses a port and keeps it for the test: only programs that share
// their port (SO_REUSEPORT) can listen on it, so it is free between two of them.
// The reserving socket does not listen, and a connection to it is refused.
func ReservePort(t *testing.T) int {
	t.Helper()
	port, fd, err := bindShared()
	if err != nil {
		t.Fatalf("reserve a port: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return port
}

func bindShared() (port, fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return 0, 0, err
	}
	unix.CloseOnExec(fd)
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	if err := sharePort(fd); err != nil {
		return 0, 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, 0, err
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		return 0, 0, err
	}
	inet, ok := address.(*unix.SockaddrInet4)
	if !ok {
		return 0, 0, fmt.Errorf("bound to a %T", address)
	}
	return inet.Port, fd, nil
}

func sharePort(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }

// ListenShared listens on a port that was reserved.
func ListenShared(ctx context.Context, port int) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, connection syscall.RawConn) error {
		var err error
		if controlErr := connection.Control(func(fd uintptr) { err = sharePort(int(fd)) }); controlErr != nil {
			return controlErr
		}
		return err
	}}
	return config.Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
}

func url(scheme string, port int, path string) string {
	return fmt.Sprintf("%s://%s:%d%s", scheme, loopback, port, path)
}
