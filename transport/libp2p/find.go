package libp2p

import (
	"context"
	"fmt"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"github.com/libp2p/go-libp2p/p2p/discovery/routing"

	"souk/transport"
)

// found tells of a peer that libp2p found.
func found(self transport.ID, tell func(transport.Peer), info peer.AddrInfo) {
	id, ok := idOf(info.ID)
	if !ok || id == self || len(info.Addrs) == 0 {
		return
	}
	p := transport.Peer{ID: id}
	for _, a := range info.Addrs {
		if text := a.String(); len(text) <= transport.MaxAddr && len(p.Addrs) < maxAddrs {
			p.Addrs = append(p.Addrs, transport.Addr(text))
		}
	}
	tell(p)
}

const maxAddrs = 16 // of a peer that is told of

// Local finds peers of the same local network by multicast DNS, and answers those who look
// for peers there. Name keeps networks apart.
func (n *Net) Local(name string) transport.Finder { return local{n, name} }

type local struct {
	net  *Net
	name string
}

type notifee func(peer.AddrInfo)

func (f notifee) HandlePeerFound(info peer.AddrInfo) { f(info) }

// Find is transport.Finder's. What it announces are this host's addresses.
func (l local) Find(ctx context.Context, _ transport.Peer, tell func(transport.Peer)) error {
	service := mdns.NewMdnsService(l.net.host, "_"+l.name+"._udp", notifee(func(info peer.AddrInfo) {
		if ctx.Err() == nil {
			found(l.net.self, tell, info)
		}
	}))
	if err := service.Start(); err != nil {
		return fmt.Errorf("find peers in the local network: %w", err)
	}
	<-ctx.Done()
	return service.Close()
}

// Rendezvous is who meets under a name in a hash table that peers keep together.
type Rendezvous struct {
	Name string           // of the meeting
	Via  []transport.Peer // who keep the table already; this peer keeps a part of it, too
	// Every is how often it looks and announces; zero means ten minutes. It looks every
	// second until it has found somebody.
	Every time.Duration
}

// Rendezvous finds peers through a Kademlia table.
func (n *Net) Rendezvous(r Rendezvous) transport.Finder { return meeting{n, r} }

type meeting struct {
	net *Net
	Rendezvous
}

// tablePrefix keeps this table apart from those of others.
const tablePrefix = protocol.ID("/souk")

// Find is transport.Finder's.
func (m meeting) Find(ctx context.Context, _ transport.Peer, tell func(transport.Peer)) error {
	var via []peer.AddrInfo
	for _, p := range m.Via {
		id, err := peerID(p.ID)
		if err != nil {
			return fmt.Errorf("rendezvous by %s: %w", p.ID, err)
		}
		info := peer.AddrInfo{ID: id}
		for _, text := range p.Addrs {
			if addr, ok := parseAddr(text, id); ok {
				info.Addrs = append(info.Addrs, addr)
			}
		}
		via = append(via, info)
	}
	table, err := dht.New(ctx, m.net.host, dht.Mode(dht.ModeServer), dht.ProtocolPrefix(tablePrefix), dht.BootstrapPeers(via...), dht.DisableValues())
	if err != nil {
		return fmt.Errorf("open the table of peers: %w", err)
	}
	defer func() { _ = table.Close() }()
	if err := table.Bootstrap(ctx); err != nil {
		return fmt.Errorf("enter the table of peers: %w", err)
	}
	every := m.Every
	if every == 0 {
		every = 10 * time.Minute
	}
	place := routing.NewRoutingDiscovery(table)
	for any := false; ; {
		for _, p := range m.Via { // it is a neighbour that the table is entered by
			_ = m.net.Dial(ctx, p.ID, p.Addrs...)
		}
		round, cancel := context.WithTimeout(ctx, time.Minute)
		_, _ = place.Advertise(round, m.Name)
		peers, err := place.FindPeers(round, m.Name)
		if err == nil {
			for info := range peers {
				any = any || info.ID != m.net.host.ID()
				found(m.net.self, tell, info)
			}
		}
		cancel()
		wait := every
		if !any {
			wait = min(every, time.Second)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}
