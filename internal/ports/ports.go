// Package ports finds TCP ports for servers that are to listen on the loopback
// address later, perhaps again and again, as servers on one machine do that are
// stopped and started.
//
// A port that the kernel hands out (listening on port 0) is not safe for that: it
// comes from the range that outgoing connections take theirs from, so that while
// its server is down, or before it is first up, any connection of any process may
// sit on it.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// The ports come from below the ranges that kernels take the ports of outgoing
// connections from (Linux: 32768 and up; some sandboxes: 16000 and up), and from
// above those of well-known servers.
const lowest, highest = 10_000, 15_999

// ErrNone says that no port is free.
var ErrNone = errors.New("no free port of the loopback address between " +
	strconv.Itoa(lowest) + " and " + strconv.Itoa(highest))

// claimed are the sockets that keep other processes from taking the same ports.
var (
	mu      sync.Mutex
	claimed = map[int]net.PacketConn{}
)

// tries is how many places for a row of ports are tried.
const tries = 200

// Claim answers n TCP ports of the loopback address, in a row, that nobody listens on
// and that no other call, in this process or another, has been answered. The claim
// lasts until Release or the end of the process; it is a UDP socket of the same
// number, which the kernel gives back whatever way the process ends. It returns ErrNone
// if it finds no such row.
func Claim(n int) ([]int, error) {
	mu.Lock()
	defer mu.Unlock()
	const span = highest - lowest + 1
	for range tries {
		if n > span {
			break
		}
		if row, ok := claimRow(lowest+rand.IntN(span-n+1), n); ok { //nolint:gosec // no secret
			return row, nil
		}
	}
	return nil, fmt.Errorf("%w: %d in a row wanted", ErrNone, n)
}

func claimRow(first, n int) (row []int, ok bool) {
	for port := first; port < first+n; port++ {
		c, ok := claim(port)
		if !ok {
			release(row)
			return nil, false
		}
		claimed[port] = c
		row = append(row, port)
	}
	return row, true
}

// Release gives ports back for others to claim.
func Release(ports ...int) {
	mu.Lock()
	defer mu.Unlock()
	release(ports)
}

func release(ports []int) {
	for _, p := range ports {
		if c, ok := claimed[p]; ok {
			c.Close() //nolint:errcheck // nothing was sent
			delete(claimed, p)
		}
	}
}

// claim takes a port unless somebody has claimed it or listens there.
func claim(port int) (net.PacketConn, bool) {
	address := Address(port)
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, false
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		c.Close() //nolint:errcheck // nothing was sent
		return nil, false
	}
	l.Close() //nolint:errcheck // nothing was served
	return c, true
}

// Address is the loopback address with a port.
func Address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
