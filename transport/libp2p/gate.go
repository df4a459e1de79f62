package libp2p

import (
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	ma "github.com/multiformats/go-multiaddr"

	"souk/transport"
	"souk/transport/intake"
)

// gate decides who is let in and dialled: nobody who is banned, in a darknet nobody but
// friends, and not more than there is room for.
type gate struct {
	bans    *intake.Bans
	friends map[transport.ID]bool // nil means that all are
	room    int
	count   func() int // of neighbours
}

func newGate(c Config, count func() int) *gate {
	g := &gate{bans: intake.NewBans(), room: c.Limits.Peers, count: count}
	if c.Darknet != nil {
		g.friends = map[transport.ID]bool{}
		for _, p := range c.Darknet.Friends {
			g.friends[p] = true
		}
	}
	return g
}

// wants tells whether a peer may be a neighbour.
func (g *gate) wants(p transport.ID) bool {
	return (g.friends == nil || g.friends[p]) && !g.bans.Has(p, time.Now())
}

// InterceptPeerDial is asked before a peer is dialled.
func (g *gate) InterceptPeerDial(p peer.ID) bool {
	id, ok := idOf(p)
	return ok && g.wants(id)
}

// InterceptAddrDial lets all addresses of a peer that may be dialled.
func (g *gate) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept is asked before it is known who comes.
func (g *gate) InterceptAccept(network.ConnMultiaddrs) bool { return g.count() < 2*g.room }

// InterceptSecured is asked when a peer has proven who it is.
func (g *gate) InterceptSecured(dir network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	id, ok := idOf(p)
	return ok && g.wants(id) && (dir == network.DirOutbound || g.count() < g.room)
}

// InterceptUpgraded has nothing more to ask.
func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// resources are the fixed limits of a host: what it keeps open and in memory, whatever others
// do (F-35).
func resources(l intake.Limits) (network.ResourceManager, error) {
	conns, perPeer := rcmgr.LimitVal(4*l.Peers), rcmgr.LimitVal(4)
	const streams, memory = 128, 16 << 20
	all := rcmgr.LimitVal(l.Peers * streams)
	limits := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: conns, ConnsInbound: conns, ConnsOutbound: conns, FD: conns,
			Streams: 2 * all, StreamsInbound: all, StreamsOutbound: all, Memory: 256 << 20,
		},
		Transient: rcmgr.ResourceLimits{
			Conns: conns, ConnsInbound: conns / 2, ConnsOutbound: conns, FD: conns,
			Streams: 4 * streams, StreamsInbound: 2 * streams, StreamsOutbound: 4 * streams, Memory: 64 << 20,
		},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: perPeer, ConnsInbound: perPeer, ConnsOutbound: perPeer, FD: perPeer,
			Streams: 2 * streams, StreamsInbound: streams, StreamsOutbound: streams, Memory: memory,
		},
		ProtocolPeerDefault: rcmgr.ResourceLimits{Streams: streams, StreamsInbound: streams, StreamsOutbound: streams, Memory: memory},
	}.Build(rcmgr.DefaultLimits.Scale(256<<20, 1024))
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits), rcmgr.WithMetricsDisabled(), rcmgr.WithLimitPerSubnet(
		[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: 4}, {PrefixLength: 24, ConnCount: 8}, {PrefixLength: 16, ConnCount: 16}},
		[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 64, ConnCount: 4}, {PrefixLength: 48, ConnCount: 8}, {PrefixLength: 32, ConnCount: 16}},
	), rcmgr.WithNetworkPrefixLimit([]rcmgr.NetworkPrefixLimit{
		// Who is here, in this machine, shares it with what else is.
		{Network: netip.MustParsePrefix("127.0.0.0/8"), ConnCount: int(conns)},
	}, []rcmgr.NetworkPrefixLimit{
		{Network: netip.MustParsePrefix("::1/128"), ConnCount: int(conns)},
	}))
}
