package peernet

import (
	"slices"

	"souk/identity"
)

const (
	// maxPast is how many rosters of its ring a Seat keeps, for members that missed some.
	maxPast = 32
	// maxVows is how many rings' vows are kept.
	maxVows = 1024
	// maxSeen is how many signatures are remembered, to notice a second one.
	maxSeen = 4096
	// maxQuarrels is how many pairs of peers are remembered that did not agree.
	maxQuarrels = 1024
	// enough is how many members a ring has that nobody leaves for a larger one.
	enough = 4
	// retry is for how many times Stuck nobody leaves a ring for one that did not take it.
	retry = 10
	// farthest is how many times as many peers as it has neighbours one without a ring
	// looks at in the end.
	farthest = 8
	// muteAfter is how many questions of its ring a member may leave unanswered.
	muteAfter = 6
)

// Seat is one peer's part in rings. Not safe for concurrent use. What a method returns is
// to be done before the next one is called, vows first.
type Seat struct {
	cfg  Config
	key  identity.PrivateKey
	self identity.PublicKey
	near *Near
	out  Output

	heard table[identity.PublicKey, word]
	ring  *Roster
	past  []Roster // of this ring, ascending; the last one is ring
	since uint64   // since when the ring is what it is, or there is none
	alone uint64   // since when there is no ring

	alive   table[identity.PublicKey, uint64]  // members: when each last said that it is in the ring
	joins   table[identity.PublicKey, uint64]  // who asked to join it, and when
	leaves  table[identity.PublicKey, uint64]  // who asked to leave it, and when
	noticed uint64                             // since when the ring should change; 0 if it should not
	unwell  uint64                             // since when a member is gone; 0 if none is
	leaving uint64                             // since when this peer wants to leave; 0 if it does not
	silent  table[identity.PublicKey, silence] // members that have not answered what they were asked in this epoch
	failed  uint64                             // proposals of this peer in this epoch that came to nothing

	lock    lock
	mine    *proposal
	pending *pending
	joining *joining
	spurned bool // the last ring that this peer asked did not take it

	vows     map[ID]Vow
	vowed    []ID // in order of age
	avoid    table[identity.PublicKey, uint64]
	shunned  table[ID, uint64] // rings that were left or did not take this peer, and when
	quarrels table[[2]identity.PublicKey, uint64]
	seen     map[sealKey]sealSeen
	seenAge  []sealKey

	nextHello uint64
	nonce     Hash // random bytes of the last Tick
}

// word is what a peer last said of itself.
type word struct {
	at    uint64
	ring  ID
	epoch uint64
	size  uint8
	near  []Distance
}

// silence is what a member has not answered.
type silence struct {
	asked int
	since uint64
	next  uint64 // when it is asked again
	body  Body   // of which roster
}

// lock keeps a peer free for one proposal.
type lock struct {
	hash  Hash
	until uint64
}

// proposal is a roster that this peer asks others whether they would sign it.
type proposal struct {
	roster Roster
	hash   Hash
	prev   *Roster
	asked  []identity.PublicKey
	ready  map[identity.PublicKey]bool
	waits  bool                        // a member of the ring cannot say yet
	seals  map[identity.PublicKey]Seal // of newcomers, who seal first; nil while some are not ready
	until  uint64
	next   uint64
}

// pending is a roster that this peer has signed and that others have not.
type pending struct {
	roster Roster
	hash   Hash
	prev   *Roster
	wanted []identity.PublicKey // whose signatures it may have
	mine   bool
	since  uint64
	next   uint64
}

// joining is a ring that this peer asked to join.
type joining struct {
	ring   ID
	member identity.PublicKey
	until  uint64
	next   uint64
}

type sealKey struct {
	key   identity.PublicKey
	ring  ID
	epoch uint64
}

type sealSeen struct {
	body     Body
	hash     Hash
	seal     identity.Signature
	reported bool
}

// NewSeat begins with nobody near, no ring, and the vows that were made before.
func NewSeat(key identity.PrivateKey, cfg Config, vows []Vow) *Seat {
	s := &Seat{
		cfg: cfg.withDefaults(), key: key, self: key.Public(), near: NewNear(),
		heard: byPeer[word](), avoid: byPeer[uint64](), shunned: byRing[uint64](),
		quarrels: byPair[uint64](), vows: map[ID]Vow{}, seen: map[sealKey]sealSeen{},
	}
	for _, v := range vows {
		s.vow(v)
	}
	s.setRing(nil, 0)
	return s
}

// Resume goes on with the ring of before a restart. The others may have gone on without
// this peer; then it will learn that from them.
func (s *Seat) Resume(now uint64, ring Roster) error {
	if err := s.unanimous(&ring); err != nil {
		return err
	}
	if !ring.Has(s.self) || s.ring != nil {
		return ErrRoster
	}
	s.install(now, &ring)
	s.out = Output{}
	return nil
}

// Near is how far others are. The caller adds measurements to it.
func (s *Seat) Near() *Near { return s.near }

// Neighbours are the peers to keep connections with: the members of the ring, and the
// nearest until the configured number is reached.
func (s *Seat) Neighbours() []identity.PublicKey {
	var out []identity.PublicKey
	if s.ring != nil {
		for _, m := range s.ring.Members {
			if m != s.self {
				out = append(out, m)
			}
		}
	}
	for _, d := range s.near.Nearest(s.cfg.Size) {
		if len(out) >= s.cfg.Size {
			break
		}
		if !slices.Contains(out, d.Peer) {
			out = append(out, d.Peer)
		}
	}
	return out
}

// Ring is the roster of this peer's ring; nil if it has none.
func (s *Seat) Ring() *Roster { return s.ring }

// Forget drops a peer that is not wanted any more, say because it is banned. If it is a
// member of the ring it counts as gone.
func (s *Seat) Forget(p identity.PublicKey) {
	s.near.Forget(p)
	s.heard.drop(p)
	s.joins.drop(p)
	if s.alive.has(p) {
		s.alive.set(p, 0)
	}
}

// Leave asks the others to make a roster without this peer. The ring is left when they
// have, or after some time.
func (s *Seat) Leave(now uint64) Output {
	if s.ring != nil && s.leaving == 0 {
		s.leaving = max(now, 1)
		s.toRing(Message{Kind: KindLeave, Ring: s.ring.ID(), Epoch: s.ring.Epoch})
	}
	return s.take()
}

// Tick lets time pass. It is to be called about every Resend. random is never used twice.
func (s *Seat) Tick(now uint64, random [32]byte) Output {
	s.nonce = random
	if s.alone == 0 {
		s.alone = max(now, 1)
	}
	s.expire(now)
	if now >= s.nextHello {
		s.nextHello = now + s.cfg.Hello
		s.hello(now)
	}
	s.tickPending(now)
	s.tickMine(now)
	s.tickSilent(now)
	if s.ring != nil {
		s.keep(now)
	} else {
		s.seek(now)
	}
	return s.take()
}

func (s *Seat) take() Output {
	out := s.out
	s.out = Output{}
	return out
}

func (s *Seat) send(to identity.PublicKey, m Message) {
	if to != s.self {
		s.out.Send = append(s.out.Send, Letter{to, m})
	}
}

func (s *Seat) toRing(m Message) {
	for _, p := range s.ring.Members {
		s.send(p, m)
	}
}

func (s *Seat) expire(now uint64) {
	past := func(until uint64) bool { return now > until }
	s.heard.dropIf(func(_ identity.PublicKey, w word) bool { return past(w.at + s.cfg.Gone) })
	s.avoid.dropIf(func(_ identity.PublicKey, until uint64) bool { return past(until) })
	s.shunned.dropIf(func(_ ID, at uint64) bool { return past(at + retry*s.cfg.Stuck) })
	s.quarrels.dropIf(func(_ [2]identity.PublicKey, until uint64) bool { return past(until) })
	s.joins.dropIf(func(_ identity.PublicKey, at uint64) bool { return past(at + s.cfg.Gone) })
	s.leaves.dropIf(func(_ identity.PublicKey, at uint64) bool { return past(at + 2*s.cfg.Patience) }) // by then it has gone, or has not meant it
	if s.joining != nil && past(s.joining.until) {
		s.shunned.set(s.joining.ring, now)
		s.joining, s.spurned = nil, true
	}
	if j := s.joining; j != nil && now >= j.next {
		j.next = now + s.cfg.Hello
		s.send(j.member, Message{Kind: KindJoin, Ring: j.ring, Whom: s.self})
	}
	if past(s.lock.until) {
		s.lock = lock{}
	}
}

// word is what this peer says of itself.
func (s *Seat) word() Message {
	m := Message{Kind: KindHello, Near: claims(s.near.Nearest(MaxClaims))}
	if s.ring != nil {
		m.Ring, m.Epoch, m.Size = s.ring.ID(), s.ring.Epoch, uint8(len(s.ring.Members)) //nolint:gosec // at most MaxMembers
	}
	return m
}

func (s *Seat) hello(now uint64) {
	m := s.word()
	to := s.Neighbours()
	// And those that this peer is a neighbour of, and those that a peer without a ring asks.
	for _, d := range s.near.Nearest(s.reach(now)) {
		if (s.heard.has(d.Peer) || s.ring == nil && now >= s.alone+s.cfg.Stuck) && !slices.Contains(to, d.Peer) {
			to = append(to, d.Peer)
		}
	}
	for _, p := range to {
		s.send(p, m)
	}
}

// reach is how many of the nearest this peer looks at: more, the longer it has no ring.
func (s *Seat) reach(now uint64) int {
	if s.ring != nil || now < s.alone {
		return 2 * s.cfg.Size
	}
	return int(min(2+(now-s.alone)/s.cfg.Stuck, farthest)) * s.cfg.Size //nolint:gosec // at most farthest
}

// setRing makes a roster the ring, or has none. Rosters of the same ring are kept.
func (s *Seat) setRing(r *Roster, now uint64) {
	same := r != nil && s.ring != nil && s.ring.ID() == r.ID()
	if !same {
		s.past, s.joins, s.leaves, s.alive = nil, byPeer[uint64](), byPeer[uint64](), byPeer[uint64]()
		s.leaving = 0
	}
	s.out.Changed = s.out.Changed || s.ring != nil || r != nil
	s.ring, s.since, s.noticed, s.unwell, s.joining = r, now, 0, 0, nil
	s.mine, s.lock = nil, lock{}
	s.silent, s.failed = byPeer[silence](), 0
	if r == nil {
		s.alone = now
		return
	}
	s.past = append(s.past, *r)
	s.past = s.past[max(0, len(s.past)-maxPast):]
	for _, m := range r.Members {
		if !s.alive.has(m) {
			s.alive.set(m, now)
		}
		s.joins.drop(m)
	}
	s.alive.dropIf(func(p identity.PublicKey, _ uint64) bool { return !r.Has(p) })
	s.leaves.dropIf(func(p identity.PublicKey, _ uint64) bool { return !r.Has(p) })
}

// abandon leaves a ring that cannot be kept.
func (s *Seat) abandon(now uint64) {
	s.shunned.set(s.ring.ID(), now)
	s.setRing(nil, now)
	if s.pending != nil {
		s.pending = nil
	}
}

// gone tells whether a member has not been heard of for long.
func (s *Seat) gone(p identity.PublicKey, now, long uint64) bool {
	return p != s.self && now > s.alive.at(p)+long
}

// mayVow tells whether a body may be signed as far as earlier signatures go.
func (s *Seat) mayVow(b *Body, h Hash) bool {
	if b.Epoch == 1 {
		return true
	}
	v, ok := s.vows[b.Ring]
	return !ok || b.Epoch > v.Epoch || b.Epoch == v.Epoch && h == v.Hash
}

func (s *Seat) vow(v Vow) {
	if old, ok := s.vows[v.Ring]; ok {
		if v.Epoch > old.Epoch {
			s.vows[v.Ring] = v
		}
		return
	}
	s.vows[v.Ring] = v
	if s.vowed = append(s.vowed, v.Ring); len(s.vowed) > maxVows {
		delete(s.vows, s.vowed[0])
		s.vowed = s.vowed[1:]
	}
}

// sign signs a body, with a vow first.
func (s *Seat) sign(b *Body, h Hash) Seal {
	if b.Epoch > 1 {
		v := Vow{b.Ring, b.Epoch, h}
		s.vow(v)
		s.out.Vows = append(s.out.Vows, v)
	}
	l := b.sign(s.key)
	s.witness(b, h, l)
	return l
}

// witness remembers a checked signature, and tells of a second, different one.
func (s *Seat) witness(b *Body, h Hash, l Seal) {
	if b.Epoch == 1 {
		return
	}
	k := sealKey{l.Key, b.Ring, b.Epoch}
	old, ok := s.seen[k]
	if !ok {
		s.remember(k, sealSeen{body: *b, hash: h, seal: l.Signature})
		return
	}
	if old.hash != h && !old.reported {
		old.reported = true
		s.seen[k] = old
		s.out.Faults = append(s.out.Faults, newFault(l.Key, &old.body, b, old.seal, l.Signature))
	}
}

func (s *Seat) remember(k sealKey, v sealSeen) {
	s.seen[k] = v
	if s.seenAge = append(s.seenAge, k); len(s.seenAge) > maxSeen {
		delete(s.seen, s.seenAge[0])
		s.seenAge = s.seenAge[1:]
	}
}

// witnessAll is witness for a roster whose seals were checked.
func (s *Seat) witnessAll(r *Roster) {
	h := r.Hash()
	for _, l := range r.Seals {
		s.witness(&r.Body, h, l)
	}
}
