package market

import (
	"cmp"
	"slices"
)

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
	for at := ladder.top(); ; {
		key, lvl, ok := ladder.at(at)
		if young, any := a.joiners.best(); any && (!ok || young > key) {
			key, lvl, ok = young, none, true
		}
		if !ok || !a.reach(key) {
			return
		}
		if a.asked >= a.s.bounds.asked {
			a.cut()
			return
		}
		if lvl != none {
			at = ladder.worse(at)
		}
		if !a.takeLevel(side.other().key(key), key, lvl) {
			return
		}
	}
}

// listTakers lists a side's takers, best limit first: orders that cross the
// resting book, and all that must trade now or never (M-48).
func (a *auction) listTakers(side Side) {
	a.takerList = a.takerList[:0]
	for _, m := range a.movers[side.index()] {
		e := &a.entries[m.entry]
		if e.in() && e.left > 0 && (!e.rests || a.takesBook(e)) {
			a.takerList = append(a.takerList, m)
		}
	}
	a.takers = a.takerList
}

// reach leaves only the takers that cross a level, and tells whether there are any.
func (a *auction) reach(key uint64) bool {
	n := len(a.takers)
	for n > 0 && !crosses(a.takers[n-1].key, key) {
		n--
	}
	a.takers = a.takers[:n]
	return n > 0
}

// cut ends a sweep early: what still crosses must not rest.
func (a *auction) cut() {
	for _, m := range a.takers {
		a.entries[m.entry].cut = true
	}
}

// takeLevel lets the takers, all of which cross the price, take one level: a
// resting one unless lvl is none, together with the joiners at the same price. It
// answers false when the level outlasts them.
func (a *auction) takeLevel(price, key uint64, lvl int32) bool {
	own := a.strike(price, key)
	young := a.joiners.take(key)
	there := uint64(0)
	for _, i := range young {
		there += a.entries[i].left
	}
	if lvl != none {
		there += a.s.levels[lvl].lots - own
	}
	if there == 0 {
		return true // it was all the takers' own
	}
	lots := min(there, a.ask(price, there))
	a.serve(a.claims, lots)
	a.listMakers(lvl, young, lots)
	a.pair(a.claims, a.makers, price, false)
	a.asked += len(a.makers)
	return lots == there
}

// ask lists what takers want at a price, best limit first, rank by rank until it
// is as much as there is, and returns the sum. Takers that are done drop out; an
// order by quote amount that is not worth a lot any more is done (M-52).
func (a *auction) ask(price, there uint64) (wanted uint64) {
	a.claims = a.claims[:0]
	n := 0
	for ; n < len(a.takers); n++ {
		m := a.takers[n]
		if wanted >= there && m.key != a.takers[n-1].key {
			break
		}
		e := &a.entries[m.entry]
		if e.left == 0 {
			continue
		}
		a.asked++
		want := a.want(e, price)
		if want == 0 {
			e.left = 0
			continue
		}
		a.claims = append(a.claims, claim{rank: m.key, want: want, owner: m.owner, slot: e.slot, entry: m.entry})
		wanted += want
	}
	// Move those that were asked and go on together, next to those that were not.
	live := n
	for k := n - 1; k >= 0; k-- {
		if m := a.takers[k]; a.entries[m.entry].left > 0 {
			live--
			a.takers[live] = m
		}
	}
	a.takers = a.takers[live:]
	return wanted
}

// want is how many lots an entry can take at a price.
func (a *auction) want(e *entry, price uint64) uint64 {
	if !e.byQuote() {
		return e.left
	}
	return min(e.left, a.b.lotsFor(a.purses[e.purse], price))
}

// listMakers lists who gives the lots that trade at a level, and how much: older
// blocks first, pro rata within a block (M-50).
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
				slot = a.s.orders.link(slot).next
			}
			sortByOwner(a.makers[first:])
		}
	}
	if given < lots {
		first := len(a.makers)
		for _, i := range young {
			e := &a.entries[i]
			a.makers = append(a.makers, claim{rank: ^a.height, want: e.left, owner: e.owner, slot: e.slot, entry: i})
		}
		sortByOwner(a.makers[first:])
	}
	a.serve(a.makers, lots)
}

// sortByOwner sorts claims that stand by sort position, keeping that order within an owner.
func sortByOwner(claims []claim) {
	if len(claims) > 1 {
		slices.SortStableFunc(claims, func(x, y claim) int { return cmp.Compare(x.owner, y.owner) })
	}
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
	farthest := a.takers[0].key
	for i := range a.entries {
		if e := &a.entries[i]; e.side == side && e.in() && e.rests && e.left > 0 && crosses(farthest, e.key) {
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
