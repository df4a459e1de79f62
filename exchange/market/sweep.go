package market

import (
	"cmp"
	"slices"
)

// ownResting is a resting order that orders of its own owner may come to take.
type ownResting struct {
	key   uint64
	slot  int32
	owner Owner
}

// sweep lets one side's takers take the other side level by level, best first,
// each fill at the maker's price (M-49). What the other side's new orders have
// left stands in the book as its youngest makers (M-47).
func (a *auction) sweep(side Side) {
	a.listTakers(side)
	if len(a.takers) == 0 {
		return
	}
	a.listJoiners(side.other())
	a.listOwn(side)
	ladder := a.b.ladder(side.other())
	at := ladder.top()
	lo, hi := 0, len(a.takers)
	for lo < hi {
		key, lvl, resting := ladder.at(at)
		if young, ok := a.joiners.best(); !resting || ok && young > key {
			if !ok {
				return
			}
			key, resting = young, false
		}
		for hi > lo && !crosses(a.takers[hi-1].key, key) {
			hi--
		}
		if lo == hi {
			return
		}
		if resting {
			at = ladder.worse(at)
		} else {
			lvl = none
		}
		if !a.takeLevel(side, key, lvl, a.takers[lo:hi]) {
			return
		}
		for lo < hi && a.entries[a.takers[lo].entry].left == 0 {
			lo++
		}
	}
}

// listTakers lists a side's takers: orders that cross the resting book, orders
// by quote amount, and what else must trade now or never (M-48).
func (a *auction) listTakers(side Side) {
	a.takers = a.takers[:0]
	for _, m := range a.movers[side.index()] {
		e := &a.entries[m.entry]
		if e.in() && e.left > 0 && (!e.rests || a.takesBook(e)) {
			a.takers = append(a.takers, m)
		}
	}
}

// takeLevel lets the takers, all of which cross the price, take one level: a
// resting one unless lvl is none, together with the joiners at the same price. It
// answers false when the level outlasts them.
func (a *auction) takeLevel(side Side, key uint64, lvl int32, takers []mover) bool {
	price := side.other().key(key)
	before := len(a.strikes)
	a.strike(key, price, takers)
	young := a.joiners.take(key)
	there := uint64(0)
	for _, i := range young {
		there += a.entries[i].left
	}
	if lvl != none {
		there += a.s.levels[lvl].lots
		for _, slot := range a.strikes[before:] {
			there -= a.s.orders.at(slot).lots
		}
	}
	wanted := a.claim(price, takers, there)
	if there == 0 {
		return true
	}
	lots := min(there, wanted)
	a.serve(a.claims, lots)
	a.listMakers(lvl, young, lots)
	a.pair(a.claims, a.makers, price, false)
	return lots == there
}

// claim lists what takers want at a price, best limit first, rank by rank until
// there is nothing left to want, and returns the sum.
func (a *auction) claim(price uint64, takers []mover, there uint64) (wanted uint64) {
	a.claims = a.claims[:0]
	for i, m := range takers {
		if wanted >= there && m.key != takers[max(i, 1)-1].key {
			break
		}
		e := &a.entries[m.entry]
		if want := a.want(e, price); want > 0 {
			a.claims = append(a.claims, claim{rank: m.key, want: want, owner: m.owner, slot: e.slot, entry: m.entry})
			wanted += want
		}
	}
	return wanted
}

// want is how many lots an entry can take at a price. An order by quote amount
// that will never again afford a lot is marked as done (M-52).
func (a *auction) want(e *entry, price uint64) uint64 {
	if !e.byQuote() || e.left == 0 {
		return e.left
	}
	purse := a.purses[e.purse]
	want := min(e.left, a.b.lotsFor(purse, price))
	if want == 0 {
		dearest := price // a buyer's prices only get worse
		if e.side == Sell {
			dearest = e.side.key(e.key) // a seller's proceeds per lot get smaller, down to his limit
		}
		if a.b.lotsFor(purse, dearest) == 0 {
			e.left = 0
		}
	}
	return want
}

// listMakers lists who gives the lots that trade at a level: older blocks first,
// pro rata within a block (M-50).
func (a *auction) listMakers(lvl int32, young []int32, lots uint64) {
	a.makers = a.makers[:0]
	given := uint64(0)
	if lvl != none {
		slot := a.s.levels[lvl].head
		for slot != none && given < lots {
			first, joined := len(a.makers), a.s.orders.at(slot).joined
			for slot != none {
				o := a.s.orders.at(slot)
				if o.joined != joined {
					break
				}
				if !o.is(struck) {
					a.makers = append(a.makers, claim{rank: ^joined, want: o.lots, owner: o.owner, slot: slot, entry: none})
					given += o.lots
				}
				slot = o.next
			}
			a.sortByOwner(a.makers[first:])
		}
	}
	if given < lots {
		first := len(a.makers)
		for _, i := range young {
			e := &a.entries[i]
			a.makers = append(a.makers, claim{rank: ^a.height, want: e.left, owner: e.owner, slot: e.slot, entry: i})
		}
		a.sortByOwner(a.makers[first:])
	}
	a.serve(a.makers, lots)
}

// sortByOwner sorts claims that stand by sort position, keeping that order within an owner.
func (a *auction) sortByOwner(claims []claim) {
	if len(claims) > 1 {
		slices.SortStableFunc(claims, func(x, y claim) int { return cmp.Compare(x.owner, y.owner) })
	}
}

// listOwn lists the resting orders that a sweep may have to cancel because their
// own owner is among the takers, best first (M-51).
func (a *auction) listOwn(side Side) {
	s, other := a.s, side.other()
	s.sweeps++
	a.own, a.ownNext = a.own[:0], 0
	for _, m := range a.takers {
		p := s.presence(m.owner, a.b.ID)
		if p.resting[other.index()] == 0 || p.swept == s.sweeps {
			continue
		}
		p.swept = s.sweeps // his best limit stands first: it reaches farthest
		for slot := p.head; slot != none; {
			o := s.orders.at(slot)
			if o.status == Resting && o.side == other && crosses(m.key, o.key()) {
				a.own = append(a.own, ownResting{o.key(), slot, o.owner})
			}
			slot = o.ownerNext
		}
	}
	if len(a.own) > 1 {
		slices.SortFunc(a.own, func(x, y ownResting) int {
			return cmp.Or(cmp.Compare(y.key, x.key), cmp.Compare(s.orders.at(x.slot).id, s.orders.at(y.slot).id))
		})
	}
}

// strike cancels the resting orders at a level whose owners still want to take
// there (M-51).
func (a *auction) strike(key, price uint64, takers []mover) {
	for ; a.ownNext < len(a.own) && a.own[a.ownNext].key >= key; a.ownNext++ {
		r := a.own[a.ownNext]
		if r.key == key && a.active(r.owner, price, takers) {
			a.s.orders.at(r.slot).flags |= struck
			a.strikes = append(a.strikes, r.slot)
		}
	}
}

// active tells whether an owner still wants to take at a price.

func (a *auction) active(owner Owner, price uint64, takers []mover) bool {
	for _, m := range takers {
		if m.owner == owner && a.want(&a.entries[m.entry], price) > 0 {
			return true
		}
	}
	return false
}

// joinerHeap holds the new orders of the side that is swept, best limit first
// and then by sort position, so that only as many are sorted as the sweep reaches.
type joinerHeap struct {
	heap  []joiner
	taken []int32
}

type joiner struct {
	key   uint64
	entry int32
}

func (j joiner) before(o joiner) bool { return j.key > o.key || j.key == o.key && j.entry < o.entry }

// listJoiners lists the new orders of a side that stand in the book.
func (a *auction) listJoiners(side Side) {
	h := &a.joiners
	h.heap = h.heap[:0]
	reach := a.takers[0].key
	for i := range a.entries {
		if e := &a.entries[i]; e.side == side && e.in() && e.rests && e.left > 0 && crosses(reach, e.key) {
			h.heap = append(h.heap, joiner{e.key, int32(i)})
		}
	}
	for i := len(h.heap)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h *joinerHeap) best() (key uint64, ok bool) {
	if len(h.heap) == 0 {
		return 0, false
	}
	return h.heap[0].key, true
}

// take removes and returns all joiners with this key, by sort position.
func (h *joinerHeap) take(key uint64) []int32 {
	h.taken = h.taken[:0]
	for len(h.heap) > 0 && h.heap[0].key == key {
		h.taken = append(h.taken, h.heap[0].entry)
		last := len(h.heap) - 1
		h.heap[0] = h.heap[last]
		h.heap = h.heap[:last]
		h.down(0)
	}
	return h.taken
}

func (h *joinerHeap) down(i int) {
	for {
		child := 2*i + 1
		if child+1 < len(h.heap) && h.heap[child+1].before(h.heap[child]) {
			child++
		}
		if child >= len(h.heap) || !h.heap[child].before(h.heap[i]) {
			return
		}
		h.heap[i], h.heap[child] = h.heap[child], h.heap[i]
		i = child
	}
}
