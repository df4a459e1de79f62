package peernet

import (
	"cmp"
	"encoding/binary"
	"slices"

	"souk/identity"
)

// propose asks others whether they would sign a roster of these members. released are
// members of the roster before who leave it and agree.
func (s *Seat) propose(now uint64, b Body, prev *Roster, released []identity.PublicKey) {
	slices.SortFunc(b.Members, compare)
	h := b.Hash()
	if s.pending != nil || s.mine != nil || s.lock != (lock{}) || !s.mayVow(&b, h) {
		return
	}
	p := &proposal{
		roster: Roster{Body: b}, hash: h, prev: prev, ready: map[identity.PublicKey]bool{},
		until: now + s.cfg.Patience/2,
	}
	for _, m := range slices.Concat(b.Members, released) {
		if m != s.self {
			p.asked = append(p.asked, m)
		}
	}
	s.mine, s.lock = p, lock{h, now + s.cfg.Patience}
	s.tickMine(now)
}

// tickMine asks again those that have not answered, and ends what took too long.
func (s *Seat) tickMine(now uint64) {
	p := s.mine
	if p == nil {
		return
	}
	if now > p.until {
		s.late(now, p)
		s.dropMine(now)
		return
	}
	if now < p.next {
		return
	}
	p.next = now + s.cfg.Resend
	for _, m := range p.asked {
		_, sealed := p.seals[m]
		switch {
		case !p.ready[m] && p.prev != nil && p.prev.Has(m):
			s.question(now, m, &p.roster.Body)
		case !p.ready[m]:
			s.send(m, Message{Kind: KindAsk, Roster: Roster{Body: p.roster.Body}, Prev: p.prev})
		case p.seals != nil && !sealed && !p.prev.Has(m):
			s.send(m, Message{Kind: KindOffer, Roster: Roster{Body: p.roster.Body}, Prev: p.prev})
		}
	}
}

// late ends a proposal that lacks somebody: newcomers that kept the others waiting, or of
// whom somebody cannot say how far they are, are not taken for a while. Who was left out
// as mute, and is not for others, is asked again.
func (s *Seat) late(now uint64, p *proposal) {
	for _, m := range p.asked {
		_, sealed := p.seals[m]
		if (p.prev == nil || !p.prev.Has(m)) && (!p.ready[m] || p.waits || p.seals != nil && !sealed) {
			s.avoid.set(m, now+s.cfg.Stuck/2+s.jitter(s.cfg.Stuck/2))
		}
	}
	if p.prev != nil {
		s.silent.dropIf(func(m identity.PublicKey, q silence) bool { return !p.roster.Has(m) && now > q.since+s.cfg.Stuck })
	}
}

// question asks a member of the ring about its next roster, and takes note until it answers.
func (s *Seat) question(now uint64, member identity.PublicKey, b *Body) {
	q := s.silent.at(member)
	if q.asked++; q.asked == 1 {
		q.since = now
	}
	q.next, q.body = now+s.cfg.Resend, *b
	s.silent.set(member, q)
	s.send(member, Message{Kind: KindAsk, Roster: Roster{Body: *b}, Prev: s.ring})
}

// tickSilent asks members that have not answered again until they are mute.
func (s *Seat) tickSilent(now uint64) {
	for p, q := range s.silent.all() {
		if q.asked < muteAfter && now >= q.next {
			s.question(now, p, &q.body)
		}
	}
}

// mute tells whether a member says hello, and answers nothing that its ring asks.
func (s *Seat) mute(p identity.PublicKey, now uint64) bool {
	q := s.silent.at(p)
	return q.asked >= muteAfter && now > q.since+s.cfg.Patience
}

// dropMine ends a proposal; the next one waits a while, differently long at every peer.
func (s *Seat) dropMine(now uint64) {
	if s.lock.hash == s.mine.hash {
		s.lock = lock{}
	}
	if s.mine.prev == nil {
		s.since = now + s.jitter(s.cfg.Settle) - s.cfg.Settle/2
	} else {
		s.failed++
		s.noticed = now + min(s.failed-1, uint64(len(s.mine.roster.Members)))*s.cfg.Patience // others may have more luck
	}
	s.mine = nil
}

// jitter is a random span below a limit.
func (s *Seat) jitter(limit uint64) uint64 {
	return binary.BigEndian.Uint64(s.nonce[:8]) % max(limit, 1)
}

// answered counts who would sign. When all would, newcomers seal first, since what binds
// them alone harms no ring; then this peer seals, and asks the others to.
func (s *Seat) answered(now uint64, from identity.PublicKey, h Hash) {
	p := s.mine
	if p == nil || p.hash != h || !slices.Contains(p.asked, from) {
		return
	}
	p.ready[from] = true
	if len(p.ready) < len(p.asked) || p.seals != nil {
		return
	}
	p.seals = map[identity.PublicKey]Seal{}
	if p.fresh() > 0 {
		p.until, p.next = now+s.cfg.Patience/2, now
		s.tickMine(now)
		return
	}
	s.confirm(now)
}

// fresh is how many newcomers a proposal has.
func (p *proposal) fresh() int {
	n := 0
	for _, m := range p.asked {
		if p.prev != nil && !p.prev.Has(m) {
			n++
		}
	}
	return n
}

// joined takes the seal of a newcomer.
func (s *Seat) joined(now uint64, l Seal) {
	p := s.mine
	if p.seals == nil || p.prev == nil || p.prev.Has(l.Key) || !p.roster.Has(l.Key) || !p.roster.signed(&l) {
		return
	}
	if p.seals[l.Key] = l; len(p.seals) == p.fresh() {
		s.confirm(now)
	}
}

// confirm seals what everybody is ready for.
func (s *Seat) confirm(now uint64) {
	p := s.mine
	s.mine = nil
	s.begin(now, p.roster, p.hash, p.prev, true)
	for _, m := range p.asked {
		if l, ok := p.seals[m]; ok {
			s.gather(now, l)
		}
	}
	s.tickPending(now)
}

// refused ends a proposal that somebody does not agree to because of somebody.
func (s *Seat) refused(now uint64, from identity.PublicKey, h Hash, whom identity.PublicKey) {
	p := s.mine
	if p == nil || p.hash != h || !slices.Contains(p.asked, from) {
		return
	}
	if whom == (identity.PublicKey{}) {
		p.waits = true
		return
	}
	if s.quarrels.len() < maxQuarrels {
		s.quarrels.set(pair(from, whom), now+s.cfg.Stuck)
	}
	if p.prev != nil {
		s.joins.drop(whom)
		s.joins.drop(from)
	}
	s.dropMine(now)
}

func pair(a, b identity.PublicKey) [2]identity.PublicKey {
	if compare(a, b) > 0 {
		a, b = b, a
	}
	return [2]identity.PublicKey{a, b}
}

// begin signs a roster and waits for the others.
func (s *Seat) begin(now uint64, r Roster, h Hash, prev *Roster, mine bool) {
	p := &pending{roster: r.clone(), hash: h, prev: prev, mine: mine, since: now}
	p.roster.add(s.sign(&r.Body, h))
	p.wanted = slices.Clone(r.Members)
	if prev != nil {
		for _, m := range prev.Members {
			if !r.Has(m) {
				p.wanted = append(p.wanted, m)
			}
		}
	}
	if !mine {
		p.next = now + 2*s.cfg.Resend // the proposer asks first
	}
	s.lock = lock{}
	s.pending = p
}

// tickPending asks for missing signatures, and gives up what lacks them for too long. The
// ring goes with it: this peer can sign nothing else in its place.
func (s *Seat) tickPending(now uint64) {
	p := s.pending
	if p == nil {
		return
	}
	if now > p.since+s.cfg.Stuck {
		s.pending = nil
		for _, m := range p.roster.Members {
			if _, ok := p.roster.seal(m); !ok {
				s.avoid.set(m, now+s.cfg.Stuck)
			}
		}
		if s.ring != nil && p.roster.Ring == s.ring.ID() {
			s.abandon(now)
		}
		return
	}
	if now < p.next {
		return
	}
	p.next = now + s.cfg.Resend
	if !p.mine {
		p.next += s.cfg.Resend
	}
	for _, m := range p.wanted {
		if _, ok := p.roster.seal(m); !ok {
			s.send(m, Message{Kind: KindOffer, Roster: p.roster.clone(), Prev: p.prev})
		}
	}
}

// gather adds checked signatures to what is pending, and makes it the ring when none is missing.
func (s *Seat) gather(now uint64, seals ...Seal) {
	p := s.pending
	for _, l := range seals {
		if _, ok := p.roster.seal(l.Key); ok || !slices.Contains(p.wanted, l.Key) || !p.roster.signed(&l) {
			continue
		}
		s.witness(&p.roster.Body, p.hash, l)
		p.roster.add(l)
	}
	if p.roster.lacks(p.prev) != nil {
		return
	}
	made := p.roster.clone()
	s.pending = nil
	for _, m := range p.wanted {
		s.send(m, Message{Kind: KindMade, Chain: []Roster{made}})
	}
	s.install(now, &made)
}

// install makes a checked roster the ring, or leaves the ring if this peer is not in it.
func (s *Seat) install(now uint64, r *Roster) {
	if s.pending != nil && s.pending.roster.ID() == r.ID() && s.pending.roster.Epoch <= r.Epoch {
		s.pending = nil
	}
	if !r.Has(s.self) {
		s.setRing(nil, now)
		return
	}
	if s.ring != nil && s.ring.ID() == r.ID() {
		s.setRing(r, now)
		return
	}
	s.setRing(r, now)
	for _, m := range r.Members {
		s.alive.set(m, now)
	}
}

// seek looks for a ring: one to join, or peers to found one with.
func (s *Seat) seek(now uint64) {
	if s.pending != nil || s.mine != nil || s.joining != nil || s.lock != (lock{}) {
		return
	}
	if target, ok := s.target(now, ID{}, 0); ok && !s.spurned {
		s.ask(now, target)
		return
	}
	if now < s.since+s.cfg.Settle+s.jitter(s.cfg.Settle) {
		return
	}
	s.spurned = false
	if members := s.founders(now); len(members) >= minMembers {
		s.propose(now, Body{Epoch: 1, Prev: s.nonce, Members: members}, nil, nil)
	}
}

// ask asks a member of a ring to have this peer in it.
func (s *Seat) ask(now uint64, member identity.PublicKey) {
	ring := s.heard.at(member).ring
	s.joining = &joining{ring: ring, member: member, until: now + s.cfg.Stuck/2, next: now + s.cfg.Hello}
	s.send(member, Message{Kind: KindJoin, Ring: ring, Whom: s.self})
}

// target is the nearest peer whose ring has room and is larger than size, or as large and
// of a lower name.
func (s *Seat) target(now uint64, than ID, size int) (identity.PublicKey, bool) {
	for _, d := range s.near.Nearest(s.reach(now)) {
		w, ok := s.heard.get(d.Peer)
		if !ok || !s.close(d.Peer) || w.ring == (ID{}) || w.ring == than || int(w.size) >= s.cfg.Size {
			continue
		}
		if at, ok := s.shunned.get(w.ring); ok && (than != (ID{}) || now < at+s.cfg.Stuck) {
			continue
		}
		if c := cmp.Or(cmp.Compare(size, int(w.size)), slices.Compare(w.ring[:], than[:])); than == (ID{}) || c < 0 {
			return d.Peer, true
		}
	}
	return identity.PublicKey{}, false
}

// founders are this peer and the nearest without a ring that, as they say, are all near
// each other. Those that were disagreed with come last: who quarrels with all stays alone.
func (s *Seat) founders(now uint64) []identity.PublicKey {
	var free []identity.PublicKey
	count := map[identity.PublicKey]int{}
	for p := range s.quarrels.all() {
		count[p[0]]++
		count[p[1]]++
	}
	for _, d := range s.near.Nearest(2 * s.cfg.Size) {
		if w, ok := s.heard.get(d.Peer); ok && w.ring == (ID{}) && s.avoid.at(d.Peer) <= now && s.close(d.Peer) {
			free = append(free, d.Peer)
		}
	}
	slices.SortStableFunc(free, func(a, b identity.PublicKey) int { return cmp.Compare(count[a], count[b]) })
	members := []identity.PublicKey{s.self}
	for _, p := range free {
		if len(members) < s.cfg.Size && s.agreeable(p, members) {
			members = append(members, p)
		}
	}
	return members
}

func (s *Seat) agreeable(p identity.PublicKey, members []identity.PublicKey) bool {
	for _, m := range members {
		if s.quarrels.has(pair(p, m)) || !s.claims(p, m) || m != s.self && !s.claims(m, p) {
			return false
		}
	}
	return true
}

// claims tells whether a peer says that another is among its nearest.
func (s *Seat) claims(p, near identity.PublicKey) bool {
	_, ok := slices.BinarySearchFunc(s.heard.at(p).near, near, func(d Distance, k identity.PublicKey) int { return compare(d.Peer, k) })
	return ok
}

// keep looks after the ring: who is gone, who wants to leave or join.
func (s *Seat) keep(now uint64) {
	if s.leaving != 0 && now > s.leaving+2*s.cfg.Patience {
		s.abandon(now)
		return
	}
	var stay, released, lost, mute []identity.PublicKey
	for _, m := range s.ring.Members {
		switch leaves := s.leaves.has(m); {
		case s.gone(m, now, s.cfg.Gone):
			lost = append(lost, m)
		case leaves:
			released = append(released, m)
		case s.mute(m, now):
			mute = append(mute, m)
		default:
			stay = append(stay, m)
		}
	}
	if len(stay)+len(released) < Quorum(len(s.ring.Members)) { // too many to be left behind
		stay, mute = append(stay, mute...), nil
		slices.SortFunc(stay, compare)
	}
	if len(lost) == 0 {
		s.unwell = 0
	} else if s.unwell == 0 {
		s.unwell = now
	}
	if s.unwell != 0 && now > s.unwell+2*s.cfg.Stuck || len(stay)+len(released) < Quorum(len(s.ring.Members)) && now > s.unwell+s.cfg.Patience {
		s.abandon(now)
		return
	}
	if s.leaving != 0 || s.pending != nil || s.mine != nil || s.lock != (lock{}) {
		return
	}
	joiner, joins := s.joiner(now, len(stay))
	if !joins && len(lost)+len(released)+len(mute) == 0 {
		s.noticed = 0
		s.outgrow(now)
		return
	}
	if s.noticed == 0 {
		s.noticed = max(now, 1)
	}
	if now < s.noticed+uint64(s.rank(stay))*s.cfg.Patience { //nolint:gosec // never negative
		return
	}
	if joins {
		stay = append(stay, joiner)
	}
	if len(stay) >= minMembers {
		s.propose(now, Body{Ring: s.ring.ID(), Epoch: s.ring.Epoch + 1, Prev: s.ring.Hash(), Members: stay}, s.ring, released)
	}
}

// joiner is the nearest of those that want to join, if there is room.
func (s *Seat) joiner(now uint64, members int) (identity.PublicKey, bool) {
	var best identity.PublicKey
	found := false
	var at uint32
	for p := range s.joins.all() {
		d, ok := s.near.RoundTrip(p)
		if ok && members < s.cfg.Size && s.avoid.at(p) <= now && !s.ring.Has(p) && s.close(p) && (!found || d < at) {
			best, at, found = p, d, true
		}
	}
	return best, found
}

// close tells whether a peer is near enough to sit in a ring with: at most twice as far as
// the last of the nearest or the farthest member of the ring. Everybody is while there are
// few. So two who do not have the very same neighbours can agree.
func (s *Seat) close(p identity.PublicKey) bool {
	far, ok := s.near.RoundTrip(p)
	if !ok {
		return false
	}
	nearest := s.near.Nearest(s.cfg.Size)
	if len(nearest) < s.cfg.Size {
		return true
	}
	limit := nearest[len(nearest)-1].RoundTrip
	if s.ring != nil {
		for _, m := range s.ring.Members {
			if d, ok := s.near.RoundTrip(m); ok {
				limit = max(limit, d)
			}
		}
	}
	return far/2 <= limit
}

// rank is this peer's turn to propose among those that stay: the first begins at once,
// each other one when those before it have let the time pass. The order turns with epochs.
func (s *Seat) rank(stay []identity.PublicKey) int {
	at := slices.Index(stay, s.self)
	if at < 0 {
		return len(stay)
	}
	return int((uint64(at) + s.ring.Epoch) % uint64(len(stay))) //nolint:gosec // below MaxMembers
}

// outgrow leaves a small ring for a larger one nearby, so that small rings become large.
func (s *Seat) outgrow(now uint64) {
	if len(s.ring.Members) >= enough || now < s.since+2*s.cfg.Settle {
		return
	}
	if _, ok := s.target(now, s.ring.ID(), len(s.ring.Members)); ok {
		s.leaving = max(now, 1)
		s.toRing(Message{Kind: KindLeave, Ring: s.ring.ID(), Epoch: s.ring.Epoch})
	}
}
