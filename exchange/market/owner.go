package market

// presence is what one owner has in one market: the list of his live orders by
// ascending id, and what admission and the auction must know of him at once.
type presence struct {
	head, tail int32
	stay       [2]uint32 // live orders that rest, wait or may do so, by Side.index (M-12)
	sides      uint8     // bits 1<<Side of the sides he is on in the batch
	fok        bool      // he has a fill-or-kill order in the batch
	round      uint64    // the batch that sides and fok speak of
	searched   uint64    // the last search for own resting orders that came to him
}

func presenceKey(owner Owner, id ID) uint64 { return uint64(id)<<32 | uint64(owner) }

// presence is nil if the owner has no live order in the market.
func (s *State) presence(owner Owner, id ID) *presence { return s.owners.get(presenceKey(owner, id)) }

// enlist appends an order to the list of its owner.
func (s *State) enlist(slot int32) *presence {
	o := s.orders.at(slot)
	p, fresh := s.owners.put(presenceKey(o.owner, o.market))
	if fresh {
		p.head, p.tail = none, none
	}
	n := s.orders.link(slot)
	n.ownerPrev, n.ownerNext = p.tail, none
	if p.tail == none {
		p.head = slot
	} else {
		s.orders.link(p.tail).ownerNext = slot
	}
	p.tail = slot
	if o.stays() {
		p.stay[o.side.index()]++
	}
	return p
}

// delist takes an order out of the list of its owner.
func (s *State) delist(slot int32) {
	o, n := s.orders.at(slot), s.orders.link(slot)
	p := s.presence(o.owner, o.market)
	if n.ownerPrev == none {
		p.head = n.ownerNext
	} else {
		s.orders.link(n.ownerPrev).ownerNext = n.ownerNext
	}
	if n.ownerNext == none {
		p.tail = n.ownerPrev
	} else {
		s.orders.link(n.ownerNext).ownerPrev = n.ownerPrev
	}
	if o.stays() {
		p.stay[o.side.index()]--
	}
	if o.status == Staged && o.tif == FOK {
		p.fok = false
	}
	if p.head == none {
		s.owners.del(presenceKey(o.owner, o.market))
	}
}

// mark notes in an owner's presence that his order joined the batch.
func (b *book) mark(p *presence, o *order) {
	if p.round != b.round {
		p.round, p.sides, p.fok = b.round, 0, false
	}
	both := uint8(1<<Buy | 1<<Sell)
	before := p.sides
	p.sides |= 1 << o.side
	if before != both && p.sides == both {
		b.mixed = append(b.mixed, o.owner)
	}
	if o.tif == FOK {
		p.fok = true
	}
}
