// Package irc finds peers on channels of IRC servers: it joins a channel on a few of them,
// sees by their realnames who in it is a peer, and exchanges signed addresses with each by a
// CTCP verb of its own. It makes and takes DCC CHAT offers, and hands their sockets on when
// the other end has proven over Noise whose they are. A Bot gives the channel's voice to the
// peers that have been there longest, one of each ring.
//
// IRC is a place to meet, and believed in nothing: a server, a nick or a realname proves
// nobody. Through a dialler that hides where this peer is there is no DCC, which would tell.
// The rules are docs/spec/23-peernet.md, U-60 to U-68. Floor 2: it imports identity and
// transport.
package irc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/proxy"

	"souk/identity"
	"souk/transport"
)

// Limits.
const (
	// MaxServers is the most servers that a Finder joins.
	MaxServers = 8
	// maxMembers is how many members of a channel are looked at.
	maxMembers = 1024
	// maxSeen is how many addresses are remembered to have been found.
	maxSeen = 4096
	// again is after how long an address is told again.
	again = 10 * time.Minute
)

// ErrAbsent is returned by Chat for a peer that is on no channel.
var ErrAbsent = errors.New("the peer is on no channel")

// DialFunc opens connections.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Config is where a Finder meets others, and how.
type Config struct {
	Servers []string // host:port; tls:host:port with TLS
	Channel string   // with its #
	Key     identity.PrivateKey
	// Ring is the ring that this peer sits in, for the bot; nil or zeros for none.
	Ring func() [32]byte
	// Dial is used for servers instead of the machine's own network, say SOCKS. Then there is
	// no DCC, whatever DCC says.
	Dial DialFunc
	// DCC allows connections from peer to peer; nil for none.
	DCC *DCC
	// Pace is the time between two lines after a few fast ones; a second, as servers want it.
	Pace time.Duration
	Log  *slog.Logger
}

// DCC is how DCC CHAT offers are made and taken.
type DCC struct {
	// IP is this machine's address as others reach it, in IPv4.
	IP net.IP
	// Listen is the address to listen on; IP if it is nil.
	Listen net.IP
	// Private lets offers of machines in private networks be taken.
	Private bool
	// Got is given every socket whose other end has proven to be the peer. It closes it.
	Got func(p transport.ID, conn net.Conn)
}

// Finder is a transport.Finder.
type Finder struct {
	cfg Config

	mu      sync.Mutex
	self    transport.Peer
	seen    map[sighting]time.Time
	servers []*server
	busy    map[transport.ID]bool // DCC under way
	wg      sync.WaitGroup
}

type sighting struct {
	peer transport.ID
	addr transport.Addr
}

var _ transport.Finder = (*Finder)(nil)

// New checks a configuration.
func New(cfg Config) (*Finder, error) {
	switch {
	case len(cfg.Servers) == 0 || len(cfg.Servers) > MaxServers:
		return nil, fmt.Errorf("%d IRC servers: name 1 to %d, best four or five", len(cfg.Servers), MaxServers)
	case !channelName(cfg.Channel):
		return nil, fmt.Errorf("IRC channel %q: a # and 1 to 49 of a-z, 0-9, dash and underscore", cfg.Channel)
	}
	for _, s := range cfg.Servers {
		if _, _, err := net.SplitHostPort(strings.TrimPrefix(s, tlsPrefix)); err != nil {
			return nil, fmt.Errorf("IRC server %q: %w", s, err)
		}
	}
	if cfg.Dial != nil {
		cfg.DCC = nil
	}
	if cfg.DCC != nil && (cfg.DCC.IP.To4() == nil || cfg.DCC.Got == nil) {
		return nil, errors.New("DCC needs an IPv4 address of this machine and somebody to take sockets")
	}
	if cfg.Ring == nil {
		cfg.Ring = func() [32]byte { return [32]byte{} }
	}
	cfg.Pace = cmp.Or(cfg.Pace, time.Second)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Finder{cfg: cfg, seen: map[sighting]time.Time{}, busy: map[transport.ID]bool{}}, nil
}

func channelName(s string) bool {
	if len(s) < 2 || len(s) > 50 || s[0] != '#' {
		return false
	}
	for _, c := range []byte(s[1:]) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// ThroughSOCKS dials through a SOCKS5 proxy, which also resolves names. Each server is a
// user of its own, so that tor uses different circuits.
func ThroughSOCKS(proxyAddr string) DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d, err := proxy.SOCKS5("tcp", proxyAddr, &proxy.Auth{User: addr, Password: "souk"}, &net.Dialer{})
		if err != nil {
			return nil, fmt.Errorf("use SOCKS proxy %s: %w", proxyAddr, err)
		}
		c, ok := d.(proxy.ContextDialer)
		if !ok {
			return nil, errors.New("the SOCKS dialler cannot be interrupted")
		}
		return c.DialContext(ctx, network, addr)
	}
}

// Find joins the servers and looks for peers until the context ends. One Find at a time.
func (f *Finder) Find(ctx context.Context, self transport.Peer, found func(transport.Peer)) error {
	if self.ID != f.cfg.Key.Public() {
		return errors.New("the peer is not the owner of the key")
	}
	f.mu.Lock()
	f.self = transport.Peer{ID: self.ID, Addrs: slices.Clone(self.Addrs)}
	f.servers = nil
	for _, addr := range f.cfg.Servers {
		f.servers = append(f.servers, newServer(f, addr, found))
	}
	servers := slices.Clone(f.servers)
	f.mu.Unlock()
	for _, s := range servers {
		f.wg.Go(func() { s.run(ctx) })
	}
	f.wg.Wait()
	return nil
}

// Chat offers a peer on one of the channels a direct connection, and waits until it is there
// and was given to DCC.Got.
func (f *Finder) Chat(ctx context.Context, p transport.ID) error {
	if f.cfg.DCC == nil {
		return errors.New("DCC is off")
	}
	f.mu.Lock()
	servers := slices.Clone(f.servers)
	f.mu.Unlock()
	for _, s := range servers {
		if nick, ok := s.nickOf(p); ok {
			return f.offer(ctx, s, nick, p)
		}
	}
	return ErrAbsent
}

// saw tells of a proven address unless it was told lately, on whatever server.
func (f *Finder) saw(p transport.ID, addr transport.Addr, found func(transport.Peer)) {
	now := time.Now()
	f.mu.Lock()
	at, known := f.seen[sighting{p, addr}]
	fresh := known && now.Sub(at) < again
	if !fresh {
		if len(f.seen) >= maxSeen {
			clear(f.seen)
		}
		f.seen[sighting{p, addr}] = now
	}
	f.mu.Unlock()
	if fresh {
		return
	}
	peer := transport.Peer{ID: p}
	if addr != "" {
		peer.Addrs = []transport.Addr{addr}
	}
	found(peer)
}

// known tells whether a peer was found lately, so that nobody has to ask it on another server.
func (f *Finder) known(p transport.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s, at := range f.seen {
		if s.peer == p && time.Since(at) < again {
			return true
		}
	}
	return false
}
