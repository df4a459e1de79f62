package market

import (
	"cmp"
	"slices"
)

// dropSelfCrossing drops new orders that another new order of their owner
// crosses (M-42). Of an owner's orders, in order of nonce and then of sort
// position, each is kept unless it crosses one that was kept before it.
func (a *auction) dropSelfCrossing() {
	for _, owner := range a.b.mixed {
		a.nonces = a.nonces[:0]
		if p := a.s.presence(owner, a.b.ID); p != nil {
			for slot := p.head; slot != none; slot = a.s.orders.link(slot).ownerNext {
				if o := a.s.orders.at(slot); o.status == Staged && a.entries[o.place].in() {
					a.nonces = append(a.nonces, slot)
				}
			}
		}
		slices.SortFunc(a.nonces, func(x, y int32) int {
			p, q := a.s.orders.at(x), a.s.orders.at(y)
			return cmp.Or(cmp.Compare(p.nonce, q.nonce), cmp.Compare(p.id, q.id))
		})
		var best [2]uint64
		var has [2]bool
		for _, slot := range a.nonces {
			e := &a.entries[a.s.orders.at(slot).place]
			mine, other := e.side.index(), e.side.other().index()
			if has[other] && crosses(e.key, best[other]) {
				e.fate = SelfCross
			} else if !has[mine] || e.key > best[mine] {
				best[mine], has[mine] = e.key, true
			}
		}
	}
}

// ownResting are the resting orders that new orders of their own owners might
// come to take, best first. They are the same for every plan of an auction.
type ownResting struct {
	known  bool
	orders []ownOrder
	next   int     // the first that the sweep has not come to
	takers []mover // the sweep's takers by owner, once they are needed
}

type ownOrder struct {
	key   uint64
	slot  int32
	owner Owner
}

// listOwn readies the list for a sweep of a side (M-51).
func (a *auction) listOwn(side Side) {
	own := &a.own[side.index()]
	a.sweepOwn = own
	if !own.known {
		own.known = true
		a.findOwn(side)
	}
	own.next = 0
	own.takers = own.takers[:0]
}

// findOwn looks through the orders of everybody who may take.
func (a *auction) findOwn(side Side) {
	s, own, other := a.s, &a.own[side.index()], side.other()
	s.searches++
	own.orders = own.orders[:0]
	takers := a.takers // of the only plan
	if a.foks > 0 {
		takers = a.movers[side.index()] // of any plan
	}
	for _, m := range takers {
		p := s.presence(m.owner, a.b.ID)
		if p.stay[other.index()] == 0 || p.searched == s.searches {
			continue
		}
		p.searched = s.searches // his best limit stands first: it reaches farthest
		for slot := p.head; slot != none; slot = s.orders.link(slot).ownerNext {
			if o := s.orders.at(slot); o.status == Resting && o.side == other && crosses(m.key, o.key()) {
				own.orders = append(own.orders, ownOrder{o.key(), slot, o.owner})
			}
		}
	}
	if len(own.orders) > 1 {
		slices.SortFunc(own.orders, func(x, y ownOrder) int {
			return cmp.Or(cmp.Compare(y.key, x.key), cmp.Compare(s.orders.at(x.slot).id, s.orders.at(y.slot).id))
		})
	}
}

// strike plans to cancel the resting orders at a level whose owners still want to
// take there (M-51), and returns their lots.
func (a *auction) strike(price, key uint64) (lots uint64) {
	own := a.sweepOwn
	for ; own.next < len(own.orders) && own.orders[own.next].key >= key; own.next++ {
		r := own.orders[own.next]
		if r.key == key && a.active(r.owner, price, key) {
			o := a.s.orders.at(r.slot)
			o.flags |= struck
			a.strikes = append(a.strikes, r.slot)
			lots += o.lots
		}
	}
	return lots
}

// active tells whether an owner still wants to take at a price.
func (a *auction) active(owner Owner, price, key uint64) bool {
	takers := a.sweepOwn.takers
	if len(takers) == 0 {
		takers = append(takers, a.takers...) // a sweep only ever loses takers
		slices.SortFunc(takers, func(x, y mover) int {
			return cmp.Or(cmp.Compare(x.owner, y.owner), cmp.Compare(x.entry, y.entry))
		})
		a.sweepOwn.takers = takers
	}
	i, _ := slices.BinarySearchFunc(takers, owner, func(m mover, o Owner) int { return cmp.Compare(m.owner, o) })
	for ; i < len(takers) && takers[i].owner == owner; i++ {
		if e := &a.entries[takers[i].entry]; crosses(e.key, key) && a.want(e, price) > 0 {
			return true
		}
	}
	return false
}
