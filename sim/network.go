package sim

import "math/rand/v2"

// network carries messages between servers. It loses, delays, repeats and reorders
// them; a message from one server to another reaches it only if it is up then.
type network struct {
	f     *federation
	rng   *rand.Rand
	links map[[2]int]*link
	calm  bool // nothing is lost
}

// link is one direction between two servers.
type link struct {
	cut     int    // how many faults cut it at present
	until   uint64 // clogged until then, us
	loss    int    // of a thousand messages
	repeat  int    // of a thousand messages
	delay   uint64 // us on top of the usual
	ordered bool   // first sent is first delivered
	last    uint64 // when the last message is delivered
}

func newNetwork(f *federation, seed uint64) *network {
	n := &network{f: f, rng: rand.New(rand.NewPCG(seed, 0x4e7)), links: map[[2]int]*link{}} //nolint:gosec // reproducible by seed
	return n
}

// link returns one direction, which is made at its first use.
func (n *network) link(from, to int) *link {
	l := n.links[[2]int{from, to}]
	if l == nil {
		l = &link{loss: n.rng.IntN(20), repeat: n.rng.IntN(20), ordered: n.rng.IntN(2) == 0}
		n.links[[2]int{from, to}] = l
	}
	return l
}

// send lets deliver happen at a server after a while, or never.
func (n *network) send(from, to *server, deliver func()) {
	l := n.link(from.index, to.index)
	if l.cut > 0 {
		return
	}
	copies := 1
	if !n.calm {
		if n.rng.IntN(1000) < l.loss {
			return
		}
		if n.rng.IntN(1000) < l.repeat {
			copies = 2
		}
	}
	for range copies {
		d := n.f.shape.delay + uint64(n.rng.ExpFloat64()*float64(n.f.shape.delay)/4) + l.delay
		at := max(n.f.loop.now+d, l.until)
		if l.ordered {
			at = max(at, l.last)
			l.last = at
		}
		n.f.loop.after(at-n.f.loop.now, func() { to.wakeful(deliver) })
	}
}

// broadcast sends to all other servers.
func (n *network) broadcast(from *server, deliver func(to *server)) {
	for _, to := range n.f.servers {
		if to != from {
			n.send(from, to, func() { deliver(to) })
		}
	}
}

// heal ends all faults of the network.
func (n *network) heal() {
	n.calm = true
	for _, a := range n.f.servers {
		for _, b := range n.f.servers {
			l := n.link(a.index, b.index)
			*l = link{ordered: l.ordered, last: l.last}
		}
	}
}
