// Package freeport chooses ports of loopback for tests whose servers are told where to
// listen.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

const loopback = "127.0.0.1"

// lowest and highest are below the ports from which systems take one for whoever names
// none. Of those, another connection would have taken it before the server listens.
const lowest, highest = 10_000, 30_000

// Pick returns a port that nobody listens on now.
func Pick() (int, error) {
	var last error
	for range 100 {
		port := lowest + rand.IntN(highest-lowest)
		var listener net.Listener
		if listener, last = net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port))); last == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("no port of %s is free: %w", loopback, last)
}
