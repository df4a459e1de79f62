package peernet_test

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"souk/identity"
	"souk/peernet"
)

// world is a network of Seats by seed: peers in towns, messages that take their time, get
// lost, come twice and overtake each other, partitions, crashes, and members that lie.
type world struct {
	t      testing.TB
	rand   *rand.Rand
	now    uint64
	peers  []*actor
	byKey  map[identity.PublicKey]*actor
	mail   post
	sent   int
	faults int

	loss, twice float64
	slow        uint64 // most additional delay
	split       map[identity.PublicKey]bool

	rosters map[place]made
	broken  map[peernet.ID]bool // rings with more liars than a ring survives
}

type place struct {
	ring  peernet.ID
	epoch uint64
}

type made struct {
	hash   peernet.Hash
	roster peernet.Roster
}

type actor struct {
	key   identity.PrivateKey
	id    identity.PublicKey
	x, y  float64
	seat  *peernet.Seat
	cfg   peernet.Config
	disk  []peernet.Vow
	saved *peernet.Roster
	dead  bool
	liar  bool
	lied  bool           // at some time
	deaf  []peernet.Kind // to which it says and does nothing
}

type parcel struct {
	at   uint64
	n    int
	from identity.PublicKey
	to   identity.PublicKey
	data []byte
}

type post []parcel

func (p post) Len() int { return len(p) }
func (p post) Less(i, j int) bool {
	return p[i].at < p[j].at || p[i].at == p[j].at && p[i].n < p[j].n
}
func (p post) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *post) Push(x any)   { *p = append(*p, x.(parcel)) }
func (p *post) Pop() any {
	old := *p
	x := old[len(old)-1]
	*p = old[:len(old)-1]
	return x
}

const step = 500 // ms between ticks

// newWorld has peers in towns that are 20 ms apart, streets within a millisecond.
func newWorld(t testing.TB, seed uint64, peers, towns int) *world {
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 7)), now: 1_000_000, byKey: map[identity.PublicKey]*actor{},
		rosters: map[place]made{}, broken: map[peernet.ID]bool{},
	}
	for i := range peers {
		a := &actor{key: keyOf(seed, i), cfg: peernet.Config{Size: 12}}
		a.id = a.key.Public()
		a.x, a.y = float64(i%towns)*10_000+w.rand.Float64()*500, w.rand.Float64()*500
		a.seat = peernet.NewSeat(a.key, a.cfg, nil)
		w.peers, w.byKey[a.id] = append(w.peers, a), a
	}
	return w
}

func keyOf(seed uint64, i int) identity.PrivateKey {
	return identity.NewKey(sha256.Sum256(fmt.Appendf(nil, "peer %d of %d", i, seed)))
}

// micros is the round trip of two peers, with some noise that only ever adds.
func (w *world) micros(a, b *actor) uint32 {
	d := abs(a.x-b.x) + abs(a.y-b.y)
	return uint32(200 + 2*d + w.rand.Float64()*40)
}

func abs(x float64) float64 { return max(x, -x) }

func (w *world) cut(a, b identity.PublicKey) bool {
	return w.split != nil && w.split[a] != w.split[b]
}

func (w *world) send(from *actor, to identity.PublicKey, m *peernet.Message) {
	data := m.Append(nil)
	if len(data) > peernet.MaxMessage {
		w.t.Fatalf("a message of %d bytes", len(data))
	}
	times := 1
	if w.rand.Float64() < w.twice {
		times = 2
	}
	for range times {
		if w.rand.Float64() < w.loss {
			continue
		}
		w.sent++
		at := w.now + 1 + uint64(w.micros(from, w.byKey[to]))/2000 + w.rand.Uint64N(w.slow+1)
		heap.Push(&w.mail, parcel{at, w.sent, from.id, to, data})
	}
}

// carry does what a Seat wants done, and checks it.
func (w *world) carry(a *actor, out peernet.Output) {
	a.disk = append(a.disk, out.Vows...)
	for _, l := range out.Send {
		if a.liar && l.Message.Kind == peernet.KindHello {
			w.exaggerate(&l.Message)
		}
		w.send(a, l.To, &l.Message)
	}
	for _, f := range out.Faults {
		if err := f.Check(); err != nil {
			w.t.Fatalf("%d: a fault that proves nothing: %v", w.now, err)
		}
		w.faults++
		if !w.byKey[f.Key].lied {
			w.t.Fatalf("%d: an honest peer signed two rosters: %v", w.now, f.Key)
		}
	}
	if r := a.seat.Ring(); out.Changed && !a.liar {
		w.changed(a)
	} else if out.Changed && r != nil { // what liars make is taken note of, not believed
		if at := (place{r.ID(), r.Epoch}); w.rosters[at].hash == (peernet.Hash{}) {
			w.rosters[at] = made{r.Hash(), peernet.Roster{Body: r.Body, Seals: slices.Clone(r.Seals)}}
		}
	}
}

// changed checks a roster that an honest peer has taken: U-13, U-14.
func (w *world) changed(a *actor) {
	r := a.seat.Ring()
	if a.saved = nil; r == nil {
		return
	}
	copied, err := peernet.ParseRoster(r.Append(nil))
	if err != nil {
		w.t.Fatal(err)
	}
	a.saved = &copied
	var prev *peernet.Roster
	if r.Epoch > 1 {
		before, ok := w.rosters[place{r.ID(), r.Epoch - 1}]
		if !ok {
			if w.broken[r.ID()] {
				return
			}
			w.t.Fatalf("%d: epoch %d of %v without the one before", w.now, r.Epoch, r.ID())
		}
		prev = &before.roster
		w.count(prev)
	}
	if err := r.Check(prev); err != nil && !w.broken[r.ID()] {
		w.t.Fatalf("%d: %v", w.now, err)
	}
	if !r.Has(a.id) || len(r.Members) > a.cfg.Size {
		w.t.Fatalf("%d: %v is in a ring of %d that it is not in", w.now, a.id, len(r.Members))
	}
	at := place{r.ID(), r.Epoch}
	if old, ok := w.rosters[at]; ok && old.hash != r.Hash() && !w.broken[r.ID()] {
		w.t.Fatalf("%d: two rosters of epoch %d of %v", w.now, r.Epoch, r.ID())
	}
	w.rosters[at] = made{r.Hash(), copied}
}

// count notes rings of which a third are liars, which a ring need not survive.
func (w *world) count(r *peernet.Roster) {
	n := 0
	for _, m := range r.Members {
		if w.byKey[m].liar {
			n++
		}
	}
	if 3*n >= len(r.Members) {
		w.broken[r.ID()] = true
	}
}

func (w *world) random() (b [32]byte) {
	for i := 0; i < 32; i += 8 {
		binary.BigEndian.PutUint64(b[i:], w.rand.Uint64())
	}
	return b
}

// run lets time pass.
func (w *world) run(millis uint64) {
	for end := w.now + millis; w.now < end; w.now += step {
		for len(w.mail) > 0 && w.mail[0].at <= w.now {
			w.deliver(heap.Pop(&w.mail).(parcel))
		}
		for _, a := range w.peers {
			if a.dead {
				continue
			}
			w.measure(a)
			w.carry(a, a.seat.Tick(w.now, w.random()))
			if a.liar {
				w.mischief(a)
			}
		}
	}
}

// measure pings some peers.
func (w *world) measure(a *actor) {
	for range 4 {
		b := w.peers[w.rand.IntN(len(w.peers))]
		if b != a && !b.dead && !w.cut(a.id, b.id) {
			a.seat.Near().Measured(b.id, w.micros(a, b))
		}
	}
}

func (w *world) deliver(p parcel) {
	a := w.byKey[p.to]
	if a.dead || w.cut(p.from, p.to) {
		return
	}
	m, err := peernet.ParseMessage(p.data)
	if err != nil {
		w.t.Fatalf("what a peer sends is refused: %v", err)
	}
	if slices.Contains(a.deaf, m.Kind) {
		return
	}
	if a.liar {
		w.sign(a, p.from, &m)
	}
	w.carry(a, a.seat.Receive(w.now, p.from, &m))
}

// crash stops a peer; restart brings it back with what was on its disk.
func (w *world) crash(a *actor) { a.dead = true }

func (w *world) restart(a *actor) {
	a.dead = false
	a.seat = peernet.NewSeat(a.key, a.cfg, a.disk)
	if a.saved != nil {
		if err := a.seat.Resume(w.now, *a.saved); err != nil {
			w.t.Fatalf("a ring does not go on: %v", err)
		}
	}
}

// exaggerate makes a hello say that everybody is next door.
func (w *world) exaggerate(m *peernet.Message) {
	m.Near = nil
	for _, p := range w.peers[:min(len(w.peers), peernet.MaxClaims)] {
		m.Near = append(m.Near, peernet.Distance{Peer: p.id, RoundTrip: 1})
	}
	slices.SortFunc(m.Near, func(a, b peernet.Distance) int { return slices.Compare(a.Peer[:], b.Peer[:]) })
}

// sign has a liar say yes to everything and sign whatever it is shown.
func (w *world) sign(a *actor, from identity.PublicKey, m *peernet.Message) {
	h := m.Roster.Hash()
	if m.Kind == peernet.KindAsk {
		w.send(a, from, &peernet.Message{Kind: peernet.KindReady, Hash: h})
	}
	if m.Kind == peernet.KindOffer {
		l := peernet.Sign(&m.Roster.Body, a.key)
		w.send(a, from, &peernet.Message{Kind: peernet.KindSigned, Hash: h, Signature: l.Signature})
	}
}

// mischief has a liar offer different next rosters to different members.
func (w *world) mischief(a *actor) {
	r := a.seat.Ring()
	if r == nil || w.rand.IntN(20) > 0 {
		return
	}
	if w.rand.IntN(4) == 0 {
		for _, p := range r.Members {
			w.send(a, p, &peernet.Message{Kind: peernet.KindLeave, Ring: r.ID(), Epoch: r.Epoch})
		}
	}
	for range 2 {
		b := peernet.Body{Ring: r.ID(), Epoch: r.Epoch + 1, Prev: r.Hash(), Members: slices.Clone(r.Members)}
		if more := w.peers[w.rand.IntN(len(w.peers))].id; !b.Has(more) {
			b.Members = append(b.Members, more)
		}
		if len(b.Members) > 3 && w.rand.IntN(2) == 0 {
			if i := w.rand.IntN(len(b.Members)); b.Members[i] != a.id {
				b.Members = slices.Delete(b.Members, i, i+1)
			}
		}
		slices.SortFunc(b.Members, func(x, y identity.PublicKey) int { return slices.Compare(x[:], y[:]) })
		offer := peernet.Roster{Body: b, Seals: []peernet.Seal{peernet.Sign(&b, a.key)}}
		for _, p := range b.Members {
			if w.rand.IntN(2) == 0 && p != a.id {
				w.send(a, p, &peernet.Message{Kind: peernet.KindOffer, Roster: offer, Prev: r})
			}
		}
	}
}

// heals waits until every honest peer sits in a ring whose living members all sit in it,
// unless the rings of all its neighbours are full.
func (w *world) heals(within uint64) {
	w.t.Helper()
	for end := w.now + within; w.now < end; {
		w.run(10_000)
		if w.ill() == "" {
			return
		}
	}
	w.t.Errorf("at %d: %s", w.now, w.ill())
}

func (w *world) ill() string {
	for i, a := range w.peers {
		if a.dead || a.liar || len(a.deaf) > 0 {
			continue
		}
		r := a.seat.Ring()
		if r == nil {
			if !w.crowded(a) {
				return fmt.Sprintf("peer %d (town %.0f) has no ring", i, a.x)
			}
			continue
		}
		for _, m := range r.Members {
			b := w.byKey[m]
			if b.liar || len(b.deaf) > 0 {
				continue
			}
			if o := b.seat.Ring(); b.dead || o == nil || o.Hash() != r.Hash() {
				return fmt.Sprintf("a member of peer %d's ring (epoch %d of %d) sits elsewhere", i, r.Epoch, len(r.Members))
			}
		}
	}
	return ""
}

// crowded tells whether all others of a peer's town sit in rings without room.
func (w *world) crowded(a *actor) bool {
	for _, b := range w.peers {
		if r := b.seat.Ring(); b != a && !b.dead && abs(a.x-b.x) < 5000 && (r == nil || len(r.Members) < a.cfg.Size) {
			return false
		}
	}
	return true
}

// sizes are the sizes of the rings of the honest.
func (w *world) sizes() []int {
	seen := map[peernet.ID]int{}
	for _, a := range w.peers {
		if r := a.seat.Ring(); r != nil && !a.dead && !a.liar {
			seen[r.ID()] = len(r.Members)
		}
	}
	var out []int
	for _, n := range seen {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}
