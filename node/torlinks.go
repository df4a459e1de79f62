package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"

	"souk/exchange"
	"souk/transport/tor"
)

// torLinks sends links of consensus through tor: what consensus dials are ports of this
// machine, each of which leads to one member's onion service; it is reached through one of its own.
// A nil one changes nothing.
type torLinks struct {
	net     *tor.Net
	members map[string]string // onion services by the addresses of cards
	log     *slog.Logger

	mu     sync.Mutex
	local  map[string]net.Listener // by onion service
	onions map[exchange.ID]string  // where each virtual server is reached
}

// openLinks makes links if the configuration asks for them.
func (n *network) openLinks() error {
	c := &n.config.Tor
	if n.tor == nil || !c.Consensus {
		return nil
	}
	members, err := c.members()
	if err != nil {
		return err
	}
	n.links = &torLinks{net: n.tor, members: members, log: n.log, local: map[string]net.Listener{}, onions: map[exchange.ID]string{}}
	return nil
}

// peers are those of consensus, NODE@IP:PORT, as they are dialled. Who has no onion service
// in the configuration is not dialled at all: that would show where this server is.
func (l *torLinks) peers(list []string) []string {
	if l == nil {
		return list
	}
	var all []string
	for _, p := range list {
		node, addr, _ := strings.Cut(p, "@")
		onion, ok := l.members[addr]
		if !ok {
			l.log.Warn("a member's server is not dialled, for network.tor.members does not name its onion service", slog.String("address", addr))
			continue
		}
		local, err := l.forward(onion)
		if err != nil {
			l.log.Warn("a member's server cannot be dialled through tor", slog.String("address", addr), slog.Any("error", err))
			continue
		}
		all = append(all, node+"@"+local)
	}
	return all
}

// forward is a port of this machine that leads to an onion service.
func (l *torLinks) forward(onion string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if there := l.local[onion]; there != nil {
		return there.Addr().String(), nil
	}
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	if err := l.net.Forward(at, onion); err != nil {
		return "", errors.Join(err, at.Close())
	}
	l.local[onion] = at
	return at.Addr().String(), nil
}

// serve makes the onion service of a virtual server whose consensus listens on this machine.
func (l *torLinks) serve(id exchange.ID, listen string) error {
	if l == nil || listen == "" {
		return nil
	}
	at, err := netip.ParseAddrPort(listen)
	if err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("%w: consensus goes through tor (network.tor.consensus), so virtual_server.listen is a port that this machine alone reaches, such as 127.0.0.1:26600", ErrConfig)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.onions[id] != "" {
		return nil
	}
	onion, err := l.net.Serve(fmt.Sprintf("consensus/%x", id[:]), int(at.Port()), listen)
	if err != nil {
		return err
	}
	l.onions[id] = onion
	l.log.Info("consensus is reached through tor", slog.String("virtual_server", fmt.Sprintf("%x", id[:8])), slog.String("onion", onion))
	return nil
}

// served are the onion services of virtual servers.
func (l *torLinks) served() map[exchange.ID]string {
	all := map[exchange.ID]string{}
	if l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		for id, onion := range l.onions {
			all[id] = onion
		}
	}
	return all
}

// close ends what leads to others. Onion services end with tor's control connection.
func (l *torLinks) close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.local {
		_ = at.Close() // it carries nothing any more
	}
}
