package peernet

import (
	"cmp"
	"slices"

	"souk/identity"
)

const (
	// Measurements is how many round trips must be measured before a peer has a distance.
	Measurements = 5
	// kept is how many of the latest measurements of a peer are kept.
	kept = 8
	// MaxRoundTrip is the longest round trip, in microseconds, that counts as one: a minute.
	MaxRoundTrip = 60_000_000
)

// Near is how far other peers are: the shortest of their latest round trips, once there are
// five. Whoever wants to seem nearer than he is cannot, since he would have to answer before
// he is asked; only what was measured here counts. Not safe for concurrent use.
type Near struct {
	peers table[identity.PublicKey, *distance]
	order []Distance // all with a distance, nearest first; nil when it must be made anew
}

type distance struct {
	latest [kept]uint32 // microseconds, a ring
	count  uint32       // all that were measured
}

func (d *distance) shortest() (uint32, bool) {
	n := min(d.count, kept)
	return slices.Min(d.latest[:max(n, 1)]), n >= Measurements
}

// Distance is a peer and its round trip in microseconds.
type Distance struct {
	Peer      identity.PublicKey
	RoundTrip uint32
}

// NewNear knows nobody yet.
func NewNear() *Near { return &Near{peers: byPeer[*distance]()} }

// Measured adds a round trip in microseconds. When too many peers are known the farthest
// one gives way to a new one, and while nobody's distance is known the new one does.
func (n *Near) Measured(p identity.PublicKey, micros uint32) {
	if micros > MaxRoundTrip {
		return
	}
	d := n.peers.at(p)
	if d == nil {
		if n.peers.len() >= MaxNear {
			all := n.Nearest(MaxNear)
			if len(all) == 0 {
				return
			}
			n.Forget(all[len(all)-1].Peer)
		}
		d = &distance{}
		n.peers.set(p, d)
	}
	n.order = nil
	d.latest[d.count%kept] = micros
	if d.count++; d.count == 2*kept {
		d.count = kept // so that it never overflows, and still points to the oldest
	}
}

// Forget drops a peer.
func (n *Near) Forget(p identity.PublicKey) {
	n.peers.drop(p)
	n.order = nil
}

// RoundTrip is the distance of a peer; false before it was measured five times.
func (n *Near) RoundTrip(p identity.PublicKey) (micros uint32, ok bool) {
	d := n.peers.at(p)
	if d == nil {
		return 0, false
	}
	return d.shortest()
}

// Len is how many peers were measured at all.
func (n *Near) Len() int { return n.peers.len() }

// Nearest are the at most limit nearest peers, nearest first.
func (n *Near) Nearest(limit int) []Distance {
	if n.order != nil {
		return slices.Clone(n.order[:min(limit, len(n.order))])
	}
	all := make([]Distance, 0, n.peers.len())
	for p, d := range n.peers.all() {
		if micros, ok := d.shortest(); ok {
			all = append(all, Distance{p, micros})
		}
	}
	slices.SortFunc(all, func(a, b Distance) int {
		return cmp.Or(cmp.Compare(a.RoundTrip, b.RoundTrip), compare(a.Peer, b.Peer))
	})
	n.order = all
	return slices.Clone(all[:min(limit, len(all))])
}
