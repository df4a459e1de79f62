package libp2p

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	coretransport "github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"souk/transport"
)

// maxHanded is how many connections are under way from who has made them to libp2p.
const maxHanded = 16

// hand is a transport of libp2p over connections that others have made, one at a time. Each
// waits under a name that nobody else knows, as an address of memory; such addresses are
// told to nobody and mean nothing elsewhere.
type hand struct {
	upgrader  coretransport.Upgrader
	resources network.ResourceManager
	own       ma.Multiaddr
	in        chan manet.Conn
	listens   sync.Once
	failed    error // of listening; read after listens is done

	mu   sync.Mutex
	last uint64
	out  map[string]manet.Conn // to be dialled, by address
}

func newHand(u coretransport.Upgrader, r network.ResourceManager) *hand {
	return &hand{upgrader: u, resources: r, own: memory(0), in: make(chan manet.Conn, maxHanded), out: map[string]manet.Conn{}}
}

func memory(n uint64) ma.Multiaddr {
	return ma.StringCast("/memory/" + strconv.FormatUint(n, 10))
}

// shown are the addresses that others may be told.
func shown(list []ma.Multiaddr) []ma.Multiaddr {
	return slices.DeleteFunc(slices.Clone(list), func(a ma.Multiaddr) bool {
		_, err := a.ValueForProtocol(ma.P_MEMORY)
		return err == nil
	})
}

// Take makes a connection between this peer and another one, which others have opened and
// hand over at both ends, a connection of the network, unless there is one already. Of the
// two the one with the lower key begins. Who the other end is is proven again. The other one
// does not wait: it gets the peer a moment later. Overlays and darknets take none.
func (n *Net) Take(ctx context.Context, p transport.ID, conn net.Conn) error {
	id, err := n.dialable(p)
	if err == nil && n.hand == nil {
		err = fmt.Errorf("take a connection to %s: %w", p, transport.ErrRefused)
	}
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	handed := &carried{Conn: conn, local: n.hand.own, remote: n.hand.own}
	if addr, err := manet.FromNetAddr(conn.RemoteAddr()); err == nil {
		handed.remote = addr
	}
	if slices.Compare(n.self[:], p[:]) > 0 {
		return n.accept(handed)
	}
	addr := n.hand.put(handed)
	if addr == nil {
		return errors.Join(fmt.Errorf("take a connection to %s: too many come at once", p), conn.Close())
	}
	defer n.hand.drop(addr)
	return n.Dial(ctx, p, transport.Addr(addr.String()+"/p2p/"+id.String()))
}

// accept gives a connection to the listener.
func (n *Net) accept(c manet.Conn) error {
	n.hand.listens.Do(func() { n.hand.failed = n.host.Network().Listen(n.hand.own) })
	if n.hand.failed != nil {
		return errors.Join(fmt.Errorf("take a connection: %w", n.hand.failed), c.Close())
	}
	select {
	case n.hand.in <- c:
		return nil
	default:
		return errors.Join(errors.New("take a connection: too many come at once"), c.Close())
	}
}

// put keeps a connection until it is dialled; nil if too many are kept.
func (t *hand) put(c manet.Conn) ma.Multiaddr {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.out) >= maxHanded {
		return nil
	}
	t.last++
	addr := memory(t.last)
	t.out[addr.String()] = c
	return addr
}

func (t *hand) get(addr ma.Multiaddr) manet.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.out[addr.String()]
	delete(t.out, addr.String())
	return c
}

// drop closes a connection that nobody has dialled.
func (t *hand) drop(addr ma.Multiaddr) {
	if c := t.get(addr); c != nil {
		_ = c.Close()
	}
}

// Dial begins on a connection that waits.
func (t *hand) Dial(ctx context.Context, addr ma.Multiaddr, p peer.ID) (coretransport.CapableConn, error) {
	c := t.get(addr)
	if c == nil {
		return nil, errors.New("nobody has handed over such a connection")
	}
	scope, err := t.resources.OpenConnection(network.DirOutbound, true, c.RemoteMultiaddr())
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := scope.SetPeer(p); err != nil {
		scope.Done()
		return nil, errors.Join(err, c.Close())
	}
	return t.upgrader.Upgrade(ctx, t, c, network.DirOutbound, p, scope)
}

// CanDial tells whether a connection waits under an address.
func (t *hand) CanDial(addr ma.Multiaddr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out[addr.String()] != nil
}

// Listen takes the connections on which the other end begins.
func (t *hand) Listen(addr ma.Multiaddr) (coretransport.Listener, error) {
	if !addr.Equal(t.own) {
		return nil, errors.New("there is one address of connections that are handed over")
	}
	return t.upgrader.UpgradeGatedMaListener(t, t.upgrader.GateMaListener(&handListener{hand: t, stop: make(chan struct{})})), nil
}

// Protocols are those of the addresses.
func (t *hand) Protocols() []int { return []int{ma.P_MEMORY} }

// Proxy is false: addresses are those of the peers themselves.
func (t *hand) Proxy() bool { return false }

type handListener struct {
	*hand
	once sync.Once
	stop chan struct{}
}

func (l *handListener) Accept() (manet.Conn, error) {
	select {
	case c := <-l.in:
		return c, nil
	case <-l.stop:
		return nil, net.ErrClosed
	}
}

func (l *handListener) Close() error {
	l.once.Do(func() { close(l.stop) })
	for {
		select {
		case c := <-l.in:
			_ = c.Close()
		default:
			return nil
		}
	}
}

func (l *handListener) Multiaddr() ma.Multiaddr { return l.own }

func (l *handListener) Addr() net.Addr { return &net.UnixAddr{Name: l.own.String(), Net: "memory"} }
