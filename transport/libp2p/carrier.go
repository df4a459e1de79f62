package libp2p

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	golibp2p "github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	coretransport "github.com/libp2p/go-libp2p/core/transport"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	webrtc "github.com/libp2p/go-libp2p/p2p/transport/webrtc"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Overlay is a network that others carry, and which has addresses of its own, such as onion
// services. With one, nothing is dialled, listened to or told but by it.
type Overlay struct {
	Addr     string       // where this peer is, as a multiaddr
	Listener net.Listener // what comes in there
	// Dial opens a connection to a multiaddr. Connections to different peers must not be
	// linked by whoever carries them.
	Dial func(ctx context.Context, addr, peer string) (net.Conn, error)
}

// carriers are the transports of a host, and where it listens.
func carriers(c Config) ([]golibp2p.Option, error) {
	if c.Overlay != nil {
		own, err := ma.NewMultiaddr(c.Overlay.Addr)
		if err != nil {
			return nil, fmt.Errorf("address of the overlay: %w", err)
		}
		return []golibp2p.Option{
			golibp2p.NoTransports, carry(c, own), golibp2p.ListenAddrs(own), golibp2p.DisableIdentifyAddressDiscovery(),
			golibp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return []ma.Multiaddr{own} }),
		}, nil
	}
	listen := golibp2p.ListenAddrStrings(c.Listen...)
	if len(c.Listen) == 0 {
		listen = golibp2p.NoListenAddrs
	}
	if c.Darknet != nil {
		return []golibp2p.Option{golibp2p.NoTransports, carry(c, nil), listen, golibp2p.DisableIdentifyAddressDiscovery()}, nil
	}
	options := []golibp2p.Option{
		listen, golibp2p.Transport(tcp.NewTCPTransport), golibp2p.Transport(quic.NewTransport), golibp2p.Transport(websocket.New),
	}
	for _, addr := range c.Listen {
		if strings.HasSuffix(addr, "/webrtc-direct") {
			return append(options, golibp2p.Transport(webrtc.New)), nil
		}
	}
	return options, nil
}

// carry makes the transport of an overlay, or of a darknet over TCP.
func carry(c Config, own ma.Multiaddr) golibp2p.Option {
	return golibp2p.Transport(func(u coretransport.Upgrader, r network.ResourceManager) (coretransport.Transport, error) {
		t := &carrier{upgrader: u, resources: r, overlay: c.Overlay, own: own, protocol: ma.P_TCP}
		if c.Darknet != nil {
			t.silence = newSilence(c.Darknet.Secret)
		}
		if own != nil {
			ma.ForEach(own, func(part ma.Component) bool {
				t.protocol = part.Protocol().Code
				return false
			})
		}
		return t, nil
	})
}

// carrier is a transport of libp2p over connections that others make.
type carrier struct {
	upgrader  coretransport.Upgrader
	resources network.ResourceManager
	overlay   *Overlay // nil means TCP
	own       ma.Multiaddr
	protocol  int      // of the addresses that it dials
	silence   *silence // nil means that all are answered
}

// Dial opens a connection to a peer.
func (t *carrier) Dial(ctx context.Context, addr ma.Multiaddr, p peer.ID) (coretransport.CapableConn, error) {
	scope, err := t.resources.OpenConnection(network.DirOutbound, true, addr)
	if err != nil {
		return nil, err
	}
	if err := scope.SetPeer(p); err != nil {
		scope.Done()
		return nil, err
	}
	conn, err := t.connect(ctx, addr, p)
	if err != nil {
		scope.Done()
		return nil, err
	}
	return t.upgrader.Upgrade(ctx, t, conn, network.DirOutbound, p, scope)
}

func (t *carrier) connect(ctx context.Context, addr ma.Multiaddr, p peer.ID) (manet.Conn, error) {
	if t.overlay == nil {
		var d manet.Dialer
		return d.DialContext(ctx, addr)
	}
	c, err := t.overlay.Dial(ctx, addr.String(), p.String())
	if err != nil {
		return nil, err
	}
	return &carried{Conn: c, local: t.own, remote: addr}, nil
}

// CanDial tells whether an address is of this transport.
func (t *carrier) CanDial(addr ma.Multiaddr) bool {
	if t.overlay == nil {
		parts := addr.Protocols()
		return len(parts) == 2 && (parts[0].Code == ma.P_IP4 || parts[0].Code == ma.P_IP6) && parts[1].Code == ma.P_TCP
	}
	parts := addr.Protocols()
	return len(parts) == 1 && parts[0].Code == t.protocol
}

// Listen takes connections.
func (t *carrier) Listen(addr ma.Multiaddr) (coretransport.Listener, error) {
	var l manet.Listener
	var err error
	switch {
	case t.overlay == nil:
		l, err = manet.Listen(addr)
	case t.own == nil || !addr.Equal(t.own):
		err = errors.New("the overlay has another address")
	default:
		l = &carriedListener{Listener: t.overlay.Listener, own: t.own}
	}
	if err != nil {
		return nil, err
	}
	if t.silence != nil {
		l = t.silence.guard(l)
	}
	return t.upgrader.UpgradeGatedMaListener(t, t.upgrader.GateMaListener(l)), nil
}

// Protocols are those of the addresses.
func (t *carrier) Protocols() []int { return []int{t.protocol} }

// Proxy is false: addresses are those of the peers themselves.
func (t *carrier) Proxy() bool { return false }

// carried is a connection with the addresses of an overlay.
type carried struct {
	net.Conn
	local, remote ma.Multiaddr
}

func (c *carried) LocalMultiaddr() ma.Multiaddr  { return c.local }
func (c *carried) RemoteMultiaddr() ma.Multiaddr { return c.remote }

// carriedListener is the listener of an overlay. Where a connection comes from is not known:
// what it says is this machine.
type carriedListener struct {
	net.Listener
	own ma.Multiaddr
}

func (l *carriedListener) Multiaddr() ma.Multiaddr { return l.own }

func (l *carriedListener) Accept() (manet.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	remote, err := manet.FromNetAddr(c.RemoteAddr())
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return &carried{Conn: c, local: l.own, remote: remote}, nil
}
