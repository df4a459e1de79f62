package web

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Grace is how long a connection may take over something before it may be closed
// to make room for another (H-52).
const (
	headerGrace = time.Second     // from opening to the first whole request header
	bodyGrace   = 2 * time.Second // for a body to arrive
)

// conns keeps connections apart and their number in bounds. When there is no room
// for a new one it closes one that does nothing: first one that has long been open
// without a request, then one whose body does not arrive, then the latest that waits
// between requests, then one that has just been opened. A connection whose request is
// being worked on is never closed. So a flood of idle connections displaces itself,
// and those that were there before it and work stay.
type conns struct {
	limit, perSource int
	meter            *meter

	mu      sync.Mutex
	open    map[*tracked]struct{}
	sources map[netip.Prefix]int
}

// tracked is an open connection.
type tracked struct {
	net.Conn
	conns  *conns
	source netip.Prefix // address, or the /64 of an IPv6 address
	local  bool         // from this machine

	// Under conns.mu.
	since   time.Time // opened, became idle, or began to read a body
	used    bool      // has had a request
	working int       // requests under way
	reading int       // of them, those whose body is still arriving
	closed  bool
}

func newConns(limit, perSource int, m *meter) *conns {
	return &conns{limit: limit, perSource: perSource, meter: m, open: map[*tracked]struct{}{}, sources: map[netip.Prefix]int{}}
}

// listen makes a listener whose connections are tracked.
func (c *conns) listen(l net.Listener) net.Listener { return &listener{l, c} }

type listener struct {
	net.Listener
	conns *conns
}

// Accept waits for a connection there is room for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if t := l.conns.admit(c, time.Now()); t != nil {
			return t, nil
		}
		_ = c.Close()
	}
}

// admit takes a connection up, at the cost of another one if need be; nil if there is no room.
func (c *conns) admit(conn net.Conn, now time.Time) *tracked {
	t := &tracked{Conn: conn, conns: c, since: now}
	t.source, t.local = source(conn.RemoteAddr())
	c.mu.Lock()
	var victim *tracked
	full := len(c.open) >= c.limit
	crowded := !t.local && c.sources[t.source] >= c.perSource
	if full || crowded {
		if victim = c.victim(now, t, crowded); victim == nil {
			c.mu.Unlock()
			c.meter.refused.Inc()
			return nil
		}
		c.drop(victim)
	}
	c.open[t] = struct{}{}
	c.sources[t.source]++
	c.meter.conns.Set(float64(len(c.open)))
	c.mu.Unlock()
	if victim != nil {
		c.meter.evicted.Inc()
		_ = victim.Conn.Close()
	}
	return t
}

// victim is the connection that can best be spared, of the same source only if so
// asked; nil if all are at work.
func (c *conns) victim(now time.Time, t *tracked, same bool) *tracked {
	var best *tracked
	bestRank := 0
	for o := range c.open {
		if same && o.source != t.source {
			continue
		}
		rank := o.rank(now)
		if rank == 0 {
			continue
		}
		if best == nil || rank > bestRank || rank == bestRank && c.rather(o, best, rank) {
			best, bestRank = o, rank
		}
	}
	return best
}

// Ranks of connections that can be spared; zero cannot.
const (
	rankFresh   = 1 // just opened
	rankIdle    = 2 // between requests
	rankReading = 3 // its body takes long
	rankStale   = 4 // long open without a request
)

func (t *tracked) rank(now time.Time) int {
	age := now.Sub(t.since)
	switch {
	case t.working > t.reading:
		return 0
	case t.working > 0:
		if age < bodyGrace {
			return 0
		}
		return rankReading
	case t.used:
		return rankIdle
	case age < headerGrace:
		return rankFresh
	}
	return rankStale
}

// rather tells whether a is to be closed rather than b, of the same rank: that of
// the source with more connections, then the later one if both wait, else the earlier.
func (c *conns) rather(a, b *tracked, rank int) bool {
	if na, nb := c.sources[a.source], c.sources[b.source]; na != nb {
		return na > nb
	}
	if rank == rankIdle || rank == rankFresh {
		return a.since.After(b.since)
	}
	return a.since.Before(b.since)
}

// drop forgets a connection; under mu.
func (c *conns) drop(t *tracked) {
	if t.closed {
		return
	}
	t.closed = true
	delete(c.open, t)
	if c.sources[t.source]--; c.sources[t.source] == 0 {
		delete(c.sources, t.source)
	}
	c.meter.conns.Set(float64(len(c.open)))
}

// Close closes the connection.
func (t *tracked) Close() error {
	t.conns.mu.Lock()
	t.conns.drop(t)
	t.conns.mu.Unlock()
	return t.Conn.Close()
}

type trackedKey struct{}

// enter puts the connection into the context of its requests.
func (c *conns) enter(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if t, ok := conn.(*tracked); ok {
		return context.WithValue(ctx, trackedKey{}, t)
	}
	return ctx
}

// trackedOf is the connection of a request; nil in tests without a listener.
func trackedOf(ctx context.Context) *tracked {
	t, _ := ctx.Value(trackedKey{}).(*tracked)
	return t
}

// begin counts a request in; what it returns counts it out. Both work on nil.
func (t *tracked) begin() (end func()) {
	if t == nil {
		return func() {}
	}
	t.conns.mu.Lock()
	t.used = true
	t.working++
	t.conns.mu.Unlock()
	return func() {
		t.conns.mu.Lock()
		t.working--
		t.since = time.Now()
		t.conns.mu.Unlock()
	}
}

// read marks that a body is arriving, until what it returns is called.
func (t *tracked) read() (done func()) {
	if t == nil {
		return func() {}
	}
	t.conns.mu.Lock()
	t.reading++
	t.since = time.Now()
	t.conns.mu.Unlock()
	return func() {
		t.conns.mu.Lock()
		t.reading--
		t.conns.mu.Unlock()
	}
}

// source is what connections are counted by, and whether it is this machine.
func source(a net.Addr) (netip.Prefix, bool) {
	addr, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}, a.Network() == "unix"
	}
	return sourceOf(addr.Addr()), addr.Addr().Unmap().IsLoopback()
}

func sourceOf(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// budget bounds the memory of bodies.
type budget struct {
	limit int64
	used  atomic.Int64
}

// take reserves bytes; false if there are not so many.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }
