// Package libp2p is a network of peers over the internet, a darknet, or an overlay that
// others carry, made of go-libp2p: TCP, QUIC, WebSocket and WebRTC, each with Noise or TLS 1.3
// inside, and gossipsub for topics. It owns addresses (multiaddrs), connections, who is let
// in, and the gossip; what is sent is for those above (docs/spec/22-transport.md). All use of
// go-libp2p is in this folder. Floor 2.
package libp2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	golibp2p "github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	coretransport "github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	ma "github.com/multiformats/go-multiaddr"

	"souk/identity"
	"souk/transport"
	"souk/transport/intake"
)

// Config is what a peer is. Key and one of Listen and Overlay are needed, all else has a good
// zero value.
type Config struct {
	Key identity.PrivateKey
	// Listen are multiaddrs: /ip4/0.0.0.0/tcp/4001, the same with /ws behind it,
	// /ip4/0.0.0.0/udp/4001/quic-v1, /ip4/0.0.0.0/udp/4002/webrtc-direct. Empty means that
	// this peer dials and is not dialled.
	Listen []string
	// Announce replaces the addresses that others are told, such as those of a router.
	Announce []string
	Limits   intake.Limits // zero means intake.Default
	Darknet  *Darknet      // nil means open to all
	Overlay  *Overlay      // nil means the internet
	Relay    bool          // browsers may reach each other through this peer
	Log      *slog.Logger  // nil means none
}

// Darknet is a network of friends. To others its ports answer nothing (F-40). It is TCP alone.
type Darknet struct {
	Secret  [32]byte // all friends share it
	Friends []transport.ID
}

// Net is a peer. Make it with Open.
type Net struct {
	self    transport.ID
	limits  intake.Limits
	log     *slog.Logger
	host    host.Host
	gossip  *pubsub.PubSub
	gate    *gate
	seen    *intake.Seen
	meter   *intake.Meter
	conduct *intake.Conduct
	rounds  *rounds
	hand    *hand           // nil in darknets and overlays
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	over    sync.WaitGroup

	closed atomic.Bool

	// mu is held while gossipsub is asked for something, and never taken by what it calls.
	mu     sync.Mutex
	topics map[string]*topic

	ears      sync.RWMutex
	listening map[string]bool // topics that are subscribed to; under ears
}

// Open starts a peer.
func Open(c Config) (*Net, error) {
	if c.Limits == (intake.Limits{}) {
		c.Limits = intake.Default()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	n := &Net{
		self: c.Key.Public(), limits: c.Limits, log: c.Log, seen: intake.NewSeen(), meter: intake.NewMeter(c.Limits),
		conduct: intake.NewConduct(), rounds: newRounds(), topics: map[string]*topic{},
		listening: map[string]bool{},
	}
	n.gate = newGate(c, n.count)
	n.ctx, n.cancel = context.WithCancel(context.Background())
	options, err := n.hostOptions(c)
	if err == nil {
		n.host, err = golibp2p.New(options...)
	}
	if err != nil {
		n.cancel()
		return nil, fmt.Errorf("open a peer of libp2p: %w", err)
	}
	if n.gossip, err = n.openGossip(c); err != nil {
		_ = n.Close()
		return nil, fmt.Errorf("open gossip: %w", err)
	}
	n.host.Network().Notify(&network.NotifyBundle{ConnectedF: n.connected, DisconnectedF: n.disconnected})
	n.over.Go(n.clean)
	return n, nil
}

// hostOptions say what the host is. It speaks Noise inside of what has no encryption of its
// own, because browsers do.
func (n *Net) hostOptions(c Config) ([]golibp2p.Option, error) {
	seed := c.Key.Seed()
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
	clear(seed[:])
	if err != nil {
		return nil, err
	}
	limits, err := resources(c.Limits)
	if err != nil {
		return nil, err
	}
	options := []golibp2p.Option{
		golibp2p.Identity(key), golibp2p.Security(noise.ID, noise.New), golibp2p.ConnectionGater(n.gate), golibp2p.ResourceManager(limits),
		golibp2p.DisableMetrics(), golibp2p.UserAgent("souk"), golibp2p.WithDialTimeout(dialTimeout(c.Overlay != nil)),
	}
	if c.Darknet != nil {
		options = append(options, golibp2p.PrivateNetwork(pnet.PSK(c.Darknet.Secret[:])))
	}
	if c.Relay && c.Darknet == nil && c.Overlay == nil {
		options = append(options, golibp2p.EnableRelayService(), golibp2p.ForceReachabilityPublic())
	} else {
		// Without a relay nobody learns of addresses that a peer did not choose to tell.
		options = append(options, golibp2p.DisableRelay())
	}
	announce := make([]ma.Multiaddr, 0, len(c.Announce))
	for _, text := range c.Announce {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", text, err)
		}
		announce = append(announce, addr)
	}
	if len(announce) > 0 {
		options = append(options, golibp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return announce }))
	}
	if len(announce) == 0 && c.Overlay == nil {
		options = append(options, golibp2p.AddrsFactory(shown))
	}
	if c.Darknet == nil && c.Overlay == nil {
		options = append(options, golibp2p.Transport(func(u coretransport.Upgrader, r network.ResourceManager) (coretransport.Transport, error) {
			n.hand = newHand(u, r)
			return n.hand, nil
		}))
	}
	more, err := carriers(c)
	return append(options, more...), err
}

// How long a dial may take. An overlay builds a path over several machines first.
const (
	directTimeout  = 15 * time.Second
	overlayTimeout = time.Minute
)

func dialTimeout(overlay bool) time.Duration {
	if overlay {
		return overlayTimeout
	}
	return directTimeout
}

// Self is transport.Net's.
func (n *Net) Self() transport.ID { return n.self }

// Addrs is transport.Located's.
func (n *Net) Addrs() []transport.Addr {
	var list []transport.Addr
	for _, a := range n.host.Addrs() {
		if text := a.String(); len(text) <= transport.MaxAddr {
			list = append(list, transport.Addr(text))
		}
	}
	return list
}

// Named are the same with this peer's name of libp2p at the end, for programs that know no other.
func (n *Net) Named() []transport.Addr {
	var list []transport.Addr
	for _, a := range n.Addrs() {
		list = append(list, a+transport.Addr("/p2p/"+n.host.ID().String()))
	}
	return list
}

// Dial is transport.Net's.
func (n *Net) Dial(ctx context.Context, p transport.ID, hints ...transport.Addr) error {
	id, err := n.dialable(p)
	if err != nil {
		return err
	}
	if n.host.Network().Connectedness(id) == network.Connected {
		return nil
	}
	where := peer.AddrInfo{ID: id}
	for _, hint := range hints {
		if addr, ok := parseAddr(hint, id); ok {
			where.Addrs = append(where.Addrs, addr)
		}
	}
	// The swarm waits after a failed dial. Who dials here has a reason to.
	if s, ok := n.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(id)
	}
	if err := n.host.Connect(ctx, where); err != nil {
		return fmt.Errorf("dial %s: %w", p, dialError(ctx, err))
	}
	// Connect has waited for the other side's identification, before which a refusal shows.
	if n.host.Network().Connectedness(id) != network.Connected {
		return fmt.Errorf("dial %s: %w", p, transport.ErrRefused)
	}
	return nil
}

// dialable is the name of a peer that may be dialled now.
func (n *Net) dialable(p transport.ID) (peer.ID, error) {
	id, err := peerID(p)
	switch {
	case n.closed.Load():
		return "", transport.ErrClosed
	case err != nil:
		return "", fmt.Errorf("dial %s: %w", p, errors.Join(transport.ErrUnreachable, err))
	case p == n.self:
		return "", fmt.Errorf("dial oneself: %w", transport.ErrUnreachable)
	case !n.gate.wants(p):
		return "", fmt.Errorf("dial %s, who is shut out: %w", p, transport.ErrRefused)
	}
	return id, nil
}

// dialError says what an error of a dial means.
func dialError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), transport.ErrUnreachable)
	case errors.Is(err, swarm.ErrGaterDisallowedConnection):
		return errors.Join(transport.ErrRefused, err)
	}
	return errors.Join(transport.ErrUnreachable, err)
}

// parseAddr reads an address of a peer, with or without the peer's name behind it.
func parseAddr(a transport.Addr, id peer.ID) (ma.Multiaddr, bool) {
	if len(a) == 0 || len(a) > transport.MaxAddr {
		return nil, false
	}
	addr, err := ma.NewMultiaddr(string(a))
	if err != nil {
		return nil, false
	}
	addr, named := peer.SplitAddr(addr)
	return addr, addr != nil && (named == "" || named == id)
}

// CheckAddrs tells which of some addresses is none.
func CheckAddrs(list []string) error {
	for _, text := range list {
		if _, err := ma.NewMultiaddr(text); err != nil || len(text) > transport.MaxAddr {
			return fmt.Errorf("%q is no address: write it like /ip4/192.0.2.7/tcp/4001", text)
		}
	}
	return nil
}

// peerID is libp2p's name for one of ours.
func peerID(p transport.ID) (peer.ID, error) {
	key, err := crypto.UnmarshalEd25519PublicKey(p[:])
	if err != nil {
		return "", err
	}
	return peer.IDFromPublicKey(key)
}

// idOf is our name for one of libp2p's; false if its key is of another kind.
func idOf(p peer.ID) (id transport.ID, ok bool) {
	key, err := p.ExtractPublicKey()
	if err != nil || key.Type() != crypto.Ed25519 {
		return id, false
	}
	raw, err := key.Raw()
	if err != nil || len(raw) != len(id) {
		return id, false
	}
	return transport.ID(raw), true
}

// Known are the addresses that this peer would dial another one at.
func (n *Net) Known(p transport.ID) (list []transport.Addr) {
	id, err := peerID(p)
	if err != nil {
		return nil
	}
	for _, a := range n.host.Peerstore().Addrs(id) {
		list = append(list, transport.Addr(a.String()))
	}
	return list
}

// RoundTrip is transport.Net's.
func (n *Net) RoundTrip(p transport.ID) (time.Duration, bool) { return n.rounds.least(p) }

// Peers is transport.Net's.
func (n *Net) Peers() []transport.ID {
	var list []transport.ID
	for _, p := range n.host.Network().Peers() {
		if id, ok := idOf(p); ok {
			list = append(list, id)
		}
	}
	return list
}

// count is how many neighbours there are; the gate asks before there is a host, too.
func (n *Net) count() int {
	if n.host == nil {
		return 0
	}
	return len(n.host.Network().Peers())
}

// Ban is transport.Guard's.
func (n *Net) Ban(p transport.ID, until time.Time, why string) {
	n.gate.bans.Add(transport.Ban{ID: p, Until: until, Why: why}, time.Now())
	if id, err := peerID(p); err == nil && !n.gate.wants(p) {
		_ = n.host.Network().ClosePeer(id)
	}
}

// Drop is transport.Dropper's.
func (n *Net) Drop(p transport.ID) {
	if id, err := peerID(p); err == nil {
		_ = n.host.Network().ClosePeer(id)
	}
}

// cut bans a neighbour for what it did. It does not wait: gossip calls it.
func (n *Net) cut(p transport.ID, why string) {
	n.log.Info("a peer is cut", slog.String("peer", p.String()), slog.String("why", why))
	n.gate.bans.Add(transport.Ban{ID: p, Until: time.Now().Add(intake.CutFor), Why: why}, time.Now())
	if id, err := peerID(p); err == nil {
		go func() { _ = n.host.Network().ClosePeer(id) }()
	}
}

// Bans is transport.Guard's.
func (n *Net) Bans() []transport.Ban { return n.gate.bans.List(time.Now()) }

// Score is transport.Guard's.
func (n *Net) Score(p transport.ID) (float64, bool) {
	id, err := peerID(p)
	if err != nil || n.host.Network().Connectedness(id) != network.Connected {
		return 0, false
	}
	return n.conduct.Score(p, time.Now()), true
}

// Refused is how many messages were not read because their neighbours brought too many.
func (n *Net) Refused() uint64 { return n.meter.Refused() }

// Close is transport.Net's.
func (n *Net) Close() error {
	if n.closed.Swap(true) {
		return nil
	}
	n.mu.Lock()
	topics := n.topics
	n.topics = map[string]*topic{}
	n.mu.Unlock()
	n.rounds.end()
	n.cancel()
	for _, t := range topics {
		if t.inbox != nil {
			t.inbox.End()
		}
	}
	err := n.host.Close()
	n.over.Wait()
	return err
}

// clean forgets what has passed.
func (n *Net) clean() {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			n.conduct.Forget(now)
		case <-n.ctx.Done():
			return
		}
	}
}

var (
	_ transport.Net     = (*Net)(nil)
	_ transport.Located = (*Net)(nil)
	_ transport.Guard   = (*Net)(nil)
	_ transport.Dropper = (*Net)(nil)
)
