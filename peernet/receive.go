package peernet

import (
	"slices"

	"souk/identity"
)

// Receive takes a message of a peer. What is not for this Seat, not now or not well made
// changes nothing.
func (s *Seat) Receive(now uint64, from identity.PublicKey, m *Message) Output {
	if from == s.self {
		return Output{}
	}
	switch m.Kind {
	case KindHello:
		s.onHello(now, from, m)
	case KindJoin:
		s.onJoin(now, from, m)
	case KindAsk:
		s.onAsk(now, from, m)
	case KindReady:
		s.silent.drop(from)
		s.answered(now, from, m.Hash)
	case KindRefuse:
		s.silent.drop(from)
		s.refused(now, from, m.Hash, m.Whom)
	case KindOffer:
		s.onOffer(now, from, m)
	case KindSigned:
		if s.pending != nil && s.pending.hash == m.Hash {
			s.gather(now, Seal{from, m.Signature})
		} else if s.mine != nil && s.mine.hash == m.Hash {
			s.joined(now, Seal{from, m.Signature})
		}
	case KindMade:
		s.onMade(now, m.Chain)
	case KindLeave:
		if s.ring != nil && m.Ring == s.ring.ID() && s.ring.Has(from) && !s.leaves.has(from) {
			s.leaves.set(from, now)
		}
	case KindWant:
		if s.ring != nil && m.Ring == s.ring.ID() {
			s.tell(from, m.Epoch)
		}
	}
	return s.take()
}

func (s *Seat) onHello(now uint64, from identity.PublicKey, m *Message) {
	if s.near.peers.has(from) {
		before := s.heard.at(from).at
		s.heard.set(from, word{now, m.Ring, m.Epoch, m.Size, m.Near})
		// Who looks for a ring may be none of those that hear of this one otherwise.
		if m.Ring == (ID{}) && s.ring != nil && len(s.ring.Members) < s.cfg.Size && now >= before+s.cfg.Hello/2 {
			s.send(from, s.word())
		}
	}
	if s.ring == nil || m.Ring != s.ring.ID() {
		return
	}
	if s.ring.Has(from) {
		s.alive.set(from, now)
	}
	switch {
	case m.Epoch < s.ring.Epoch:
		s.tell(from, m.Epoch)
	case m.Epoch > s.ring.Epoch:
		s.send(from, Message{Kind: KindWant, Ring: m.Ring, Epoch: s.ring.Epoch})
	}
}

// tell sends the rosters after an epoch, as far as they are kept.
func (s *Seat) tell(to identity.PublicKey, epoch uint64) {
	i := slices.IndexFunc(s.past, func(r Roster) bool { return r.Epoch > epoch })
	if i < 0 || s.past[i].Epoch != epoch+1 {
		return
	}
	chain := s.past[i:min(i+maxChain, len(s.past))]
	s.send(to, Message{Kind: KindMade, Chain: slices.Clone(chain)})
}

func (s *Seat) onJoin(now uint64, from identity.PublicKey, m *Message) {
	if s.ring == nil || m.Ring != s.ring.ID() || s.ring.Has(m.Whom) || s.joins.len() >= 2*MaxMembers {
		return
	}
	again := s.joins.has(m.Whom)
	switch {
	case m.Whom == from:
		s.joins.set(from, now)
		if !again {
			s.toRing(*m)
		}
	case s.ring.Has(from):
		s.joins.set(m.Whom, now)
	}
}

// onAsk answers whether a proposed roster would be signed. While this peer is free for
// another one, or cannot say yet, it tells its ring no more than that it is there, and is
// asked again.
func (s *Seat) onAsk(now uint64, from identity.PublicKey, m *Message) {
	h := m.Roster.Hash()
	ours := s.ring != nil && s.ring.ID() == m.Roster.Ring && s.ring.Has(from)
	if s.pending != nil || s.lock != (lock{}) && s.lock.hash != h {
		if ours {
			s.send(from, Message{Kind: KindRefuse, Hash: h})
		}
		return
	}
	whom, ok := s.agrees(now, from, m, h)
	if !ok {
		if whom != (identity.PublicKey{}) {
			s.send(from, Message{Kind: KindRefuse, Hash: h, Whom: whom})
			if s.joining != nil {
				s.shunned.set(s.joining.ring, now)
				s.joining, s.spurned = nil, true
			}
		} else if ours {
			s.send(from, Message{Kind: KindRefuse, Hash: h})
		}
		return
	}
	s.lock = lock{h, now + s.cfg.Patience}
	s.send(from, Message{Kind: KindReady, Hash: h})
}

// agrees tells whether this peer wants to be bound by a roster, and if it does not for
// somebody's sake, whose.
func (s *Seat) agrees(now uint64, from identity.PublicKey, m *Message, h Hash) (identity.PublicKey, bool) {
	nobody := identity.PublicKey{}
	b := &m.Roster.Body
	if b.form() != nil || len(b.Members) > s.cfg.Size || !s.mayVow(b, h) {
		return nobody, false
	}
	switch {
	case b.Epoch == 1:
		if s.ring != nil || s.joining != nil || !b.Has(s.self) || !b.Has(from) {
			return nobody, false
		}
		return s.tight(b.Members)
	case s.ring != nil && s.ring.ID() == b.Ring:
		return s.agreesNext(now, from, b)
	case s.ring == nil && s.joining != nil && s.joining.ring == b.Ring:
		if !b.Has(s.self) || !b.Has(from) || m.Prev == nil || !m.Prev.Has(from) || s.unanimous(m.Prev) != nil {
			return nobody, false
		}
		if m.Prev.ID() != b.Ring || m.Prev.Epoch+1 != b.Epoch || m.Prev.Hash() != b.Prev {
			return nobody, false
		}
		return nobody, s.measured(b.Members) // it has chosen the ring already
	}
	return nobody, false
}

// agreesNext is agrees for the next roster of the ring.
func (s *Seat) agreesNext(now uint64, from identity.PublicKey, b *Body) (identity.PublicKey, bool) {
	nobody := identity.PublicKey{}
	if b.Epoch != s.ring.Epoch+1 || b.Prev != s.ring.Hash() || !s.ring.Has(from) || !b.Has(from) {
		return nobody, false
	}
	if !b.Has(s.self) && s.leaving == 0 || b.Has(s.self) && s.leaving != 0 {
		return nobody, false
	}
	wait := false
	for _, old := range s.ring.Members {
		leaves := s.leaves.has(old)
		if !b.Has(old) && old != s.self && !leaves && !s.mute(old, now) && !s.gone(old, now, s.cfg.Gone*2/3) {
			wait = true // not yet, perhaps soon
			s.question(now, old, b)
		}
	}
	if wait {
		return nobody, false
	}
	if s.leaving != 0 {
		return nobody, true // who comes is of no interest to who goes
	}
	var fresh []identity.PublicKey
	for _, p := range b.Members {
		if !s.ring.Has(p) {
			fresh = append(fresh, p)
		}
	}
	return s.tight(fresh)
}

// tight tells whether all of some are near to this peer, or else who is not. While somebody's
// distance is not known there is no answer yet.
func (s *Seat) tight(members []identity.PublicKey) (identity.PublicKey, bool) {
	if !s.measured(members) {
		return identity.PublicKey{}, false
	}
	for _, p := range members {
		if p != s.self && !s.close(p) {
			return p, false
		}
	}
	return identity.PublicKey{}, true
}

func (s *Seat) measured(members []identity.PublicKey) bool {
	for _, p := range members {
		if _, ok := s.near.RoundTrip(p); !ok && p != s.self {
			return false
		}
	}
	return true
}

// unanimous checks a roster of a ring that this peer is not in: all its members signed it.
// What it follows is known to them.
func (s *Seat) unanimous(r *Roster) error {
	for _, m := range r.Members {
		i, ok := r.seal(m)
		if !ok || !r.signed(&r.Seals[i]) {
			return ErrRoster
		}
	}
	return r.form()
}

// onOffer signs a roster that this peer said it would sign, or has signed.
func (s *Seat) onOffer(now uint64, from identity.PublicKey, m *Message) {
	h := m.Roster.Hash()
	if s.pending == nil || s.pending.hash != h {
		if s.offered(now, from, m, h); s.pending == nil || s.pending.hash != h {
			return
		}
	}
	i, ok := s.pending.roster.seal(s.self)
	if !ok {
		return
	}
	s.send(from, Message{Kind: KindSigned, Hash: h, Signature: s.pending.roster.Seals[i].Signature})
	s.gather(now, m.Roster.Seals...)
}

// offered begins with a roster that is not pending here yet, or answers for one that is made.
func (s *Seat) offered(now uint64, from identity.PublicKey, m *Message, h Hash) {
	if i := slices.IndexFunc(s.past, func(r Roster) bool { return r.Hash() == h }); i >= 0 {
		s.send(from, Message{Kind: KindMade, Chain: []Roster{s.past[i]}})
		return
	}
	s.suspect(m)
	if s.pending != nil || s.lock != (lock{}) && s.lock.hash != h {
		return
	}
	if _, ok := s.agrees(now, from, m, h); !ok && !s.bound(m, h) {
		return
	}
	prev := m.Prev
	if s.ring != nil && m.Roster.Epoch > 1 {
		prev = s.ring
	}
	s.begin(now, Roster{Body: m.Roster.Body}, h, prev, false)
}

// bound tells whether this peer has signed a roster before, say before it was restarted.
func (s *Seat) bound(m *Message, h Hash) bool {
	b := &m.Roster.Body
	v, ok := s.vows[b.Ring]
	if !ok || b.Epoch < 2 || v.Epoch != b.Epoch || v.Hash != h || m.Prev == nil || m.Prev.Hash() != b.Prev {
		return false
	}
	return s.ring == nil && s.unanimous(m.Prev) == nil || s.ring != nil && s.ring.Hash() == b.Prev
}

// suspect looks for second signatures in an offer of the next roster of the ring.
func (s *Seat) suspect(m *Message) {
	b := &m.Roster.Body
	if s.ring == nil || b.Ring != s.ring.ID() || b.form() != nil {
		return
	}
	h := b.Hash()
	for _, l := range m.Roster.Seals {
		if old, ok := s.seen[sealKey{l.Key, b.Ring, b.Epoch}]; ok && old.hash != h && !old.reported && b.signed(&l) {
			s.witness(b, h, l)
		}
	}
}

// onMade takes rosters that others have completed.
func (s *Seat) onMade(now uint64, chain []Roster) {
	for i := range chain {
		r := &chain[i]
		switch {
		case s.ring != nil && r.ID() == s.ring.ID():
			if s.next(now, r) != nil {
				return
			}
		case s.pending != nil && s.pending.roster.ID() == r.ID():
			if s.pending.hash == r.Hash() {
				s.gather(now, r.Seals...)
			}
		}
	}
}

// next takes the next roster of the ring, and compares others with what was taken.
func (s *Seat) next(now uint64, r *Roster) error {
	if r.Epoch <= s.ring.Epoch {
		i := slices.IndexFunc(s.past, func(p Roster) bool { return p.Epoch == r.Epoch })
		if i >= 0 && s.past[i].Hash() != r.Hash() {
			for _, f := range Conflict(&s.past[i], r) {
				s.accuse(&f)
			}
		}
		return nil
	}
	if err := r.Check(s.ring); err != nil {
		return err
	}
	s.witnessAll(r)
	made := r.clone()
	s.install(now, &made)
	return nil
}

// accuse tells of a fault, once.
func (s *Seat) accuse(f *Fault) {
	k := sealKey{f.Key, f.A.Ring, f.A.Epoch}
	old, ok := s.seen[k]
	if !ok {
		s.remember(k, sealSeen{body: f.A, hash: f.A.Hash(), seal: f.SealA})
		old = s.seen[k]
	}
	if !old.reported {
		old.reported = true
		s.seen[k] = old
		s.out.Faults = append(s.out.Faults, *f)
	}
}
