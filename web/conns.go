package web

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Grace is how long a connection may take over something before it may be closed
// or broken off to make room for another (H-52).
const (
	headerGrace = time.Second     // from opening to the first whole request header
	bodyGrace   = 2 * time.Second // for a body to arrive, or a response to be taken
	// leastTime is what every connection that is let in has to begin a request, even
	// if others have to wait in the listener's queue for that.
	leastTime = 25 * time.Millisecond
)

// conns keeps connections apart and their number in bounds. When there is no room
// for a new one it closes one that does nothing (H-52): first one that has long been
// open without a request, then one whose body does not arrive, then, if most are new,
// the oldest of these, else the one between requests that has had the fewest of them,
// the latest first. A connection whose request is being worked on is never closed. So a
// flood of idle connections displaces itself, and those that are used stay.
type conns struct {
	limit, perSource int
	proxies          []netip.Prefix
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
	local  bool         // from this machine or a trusted proxy, which have as many as they like

	// Under conns.mu.
	opened   time.Time
	requests int       // so far
	working  int       // requests under way
	reading  int       // of them, those whose body is still arriving
	began    time.Time // when the last of these began to arrive
	closed   bool
}

func newConns(limit, perSource int, proxies []netip.Prefix, m *meter) *conns {
	return &conns{limit: limit, perSource: perSource, proxies: proxies, meter: m, open: map[*tracked]struct{}{}, sources: map[netip.Prefix]int{}}
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
		t, wait := l.conns.admit(c, time.Now())
		for wait > 0 {
			time.Sleep(wait)
			t, wait = l.conns.admit(c, time.Now())
		}
		if t != nil {
			return t, nil
		}
		_ = c.Close()
	}
}

// admit takes a connection up, at the cost of another one if need be; nil if there
// is no room. If that other one was let in just now, it is asked again after a wait.
func (c *conns) admit(conn net.Conn, now time.Time) (t *tracked, wait time.Duration) {
	t = &tracked{Conn: conn, conns: c, opened: now}
	t.source, t.local = c.source(conn.RemoteAddr())
	c.mu.Lock()
	var victim *tracked
	same := !t.local && c.sources[t.source] >= c.perSource
	if same || len(c.open) >= c.limit {
		if victim = c.victim(now, t, same); victim == nil {
			c.mu.Unlock()
			c.meter.refused.Inc()
			return nil, 0
		}
		if age := now.Sub(victim.opened); victim.requests == 0 && age < leastTime {
			c.mu.Unlock()
			return nil, leastTime - age
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
	return t, 0
}

// victim is the connection that can best be spared, of the same source only if so
// asked; nil if all are at work.
func (c *conns) victim(now time.Time, t *tracked, same bool) *tracked {
	fresh := 0
	for o := range c.open {
		if o.requests == 0 {
			fresh++
		}
	}
	crowd := 2*fresh > c.limit
	var best *tracked
	bestRank := 0
	for o := range c.open {
		if same && o.source != t.source {
			continue
		}
		rank := o.rank(now, crowd)
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
	rankCrowd   = 3 // just opened, like most
	rankReading = 4 // its body takes long
	rankStale   = 5 // long open without a request
)

func (t *tracked) rank(now time.Time, crowd bool) int {
	switch {
	case t.working > t.reading:
		return 0
	case t.working > 0:
		if now.Sub(t.began) < bodyGrace {
			return 0
		}
		return rankReading
	case t.requests > 0:
		return rankIdle
	case now.Sub(t.opened) >= headerGrace:
		return rankStale
	case crowd:
		return rankCrowd
	}
	return rankFresh
}

// rather tells whether a is to be closed rather than b, of the same rank: that of
// the source with more connections; if both wait, that with fewer requests, or else
// the later one; of others the earlier one.
func (c *conns) rather(a, b *tracked, rank int) bool {
	if na, nb := c.sources[a.source], c.sources[b.source]; na != nb {
		return na > nb
	}
	if rank != rankIdle {
		return a.opened.Before(b.opened)
	}
	if a.requests != b.requests {
		return a.requests < b.requests
	}
	return a.opened.After(b.opened)
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
	t.requests++
	t.working++
	t.conns.mu.Unlock()
	return func() {
		t.conns.mu.Lock()
		t.working--
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
	t.began = time.Now()
	t.conns.mu.Unlock()
	return func() {
		t.conns.mu.Lock()
		t.reading--
		t.conns.mu.Unlock()
	}
}

// source is what connections are counted by, and whether it is this machine or a trusted proxy.
func (c *conns) source(a net.Addr) (netip.Prefix, bool) {
	addr, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}, a.Network() == "unix"
	}
	return sourceOf(addr.Addr()), addr.Addr().Unmap().IsLoopback() || isIn(c.proxies, addr.Addr())
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
