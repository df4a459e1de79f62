package cluster

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"souk/internal/forward"
	"souk/node"
)

// Network is what lies between the servers: a forwarder before each, which knows
// by the operating system's table of sockets which server a connection comes
// from. So a link can be bad while the others are good. It needs Linux.
type Network struct {
	cluster       *Cluster
	delay, jitter time.Duration
	forwarders    []*forward.Forwarder
}

// listen makes a forwarder for each server of a setup that has its ports, at the
// ports from first on, and enters their addresses in the setup.
func (n *Network) listen(s *node.LocalSetup, first int) error {
	for i := range s.Servers {
		target := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Consensus+i))
		f, err := forward.Listen(net.JoinHostPort("127.0.0.1", strconv.Itoa(first+i)), target, n.delay, n.jitter)
		if err != nil {
			return fmt.Errorf("forward to server %d: %w", i+1, err)
		}
		f.Source(n.source)
		n.forwarders = append(n.forwarders, f)
		s.P2P = append(s.P2P, f.Addr())
	}
	return nil
}

// source is the number of the server that a connection comes from.
func (n *Network) source(from net.Addr) int {
	addr, ok := from.(*net.TCPAddr)
	if !ok {
		return forward.Unknown
	}
	inode := socketInode(addr.Port)
	if inode == "" {
		return forward.Unknown
	}
	for i := range n.cluster.Homes {
		if pid := n.cluster.PID(i); pid != 0 && holds(pid, inode) {
			return i
		}
	}
	return forward.Unknown
}

// Cut breaks the link between two servers, so that both notice.
func (n *Network) Cut(a, b int) {
	n.forwarders[b].Cut(a)
	n.forwarders[a].Cut(b)
}

// Hold makes the link between two servers silent: nothing passes and nobody is told.
func (n *Network) Hold(a, b int) {
	n.forwarders[b].Hold(a)
	n.forwarders[a].Hold(b)
}

// Mute keeps one server from being heard by another, which it hears; nobody is told.
func (n *Network) Mute(a, b int) {
	n.forwarders[b].HoldTo(a)
	n.forwarders[a].HoldBack(b)
}

// Mend makes the link between two servers good; what was held passes.
func (n *Network) Mend(a, b int) {
	n.forwarders[b].Mend(a)
	n.forwarders[a].Mend(b)
}

// Between does something, such as Cut, to every link between two groups of servers.
func (n *Network) Between(left, right []int, do func(a, b int)) {
	for _, a := range left {
		for _, b := range right {
			do(a, b)
		}
	}
}

// MendAll makes all links good.
func (n *Network) MendAll() {
	for a := range n.forwarders {
		for b := range a {
			n.Mend(a, b)
		}
	}
}

func (n *Network) close() error {
	var errs []error
	for _, f := range n.forwarders {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
