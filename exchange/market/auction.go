package market

import (
	"cmp"
	"slices"

	"souk/asset"
)

// auction is one run of a market's auction (M-40). It first makes a plan without
// touching the book, so that a fill-or-kill order that turns out to be unfillable
// can be taken out and the rest planned again, and then carries the plan out
// once. It lives in State and is reused, so that a block allocates nothing.
type auction struct {
	s      *State
	b      *book
	seed   [32]byte
	height uint64
	out    *Result

	entries     []entry      // the batch, in stage order
	best        [2]uint64    // best resting key per side as the block's cancels left it
	has         [2]bool      // whether the side had any resting order
	movers      [2][]mover   // entries that may trade on arrival, best limit first
	budgets     []asset.Wide // of orders by quote amount: quote units times b.unit
	purses      []asset.Wide // what is left of each budget in this plan
	foks        int          // fill-or-kill entries
	asked       int          // questions of this plan (M-49)
	askedBefore int          // questions of the plans before it

	// The plan.
	strikes []int32 // resting orders to cancel for self-trade prevention
	fills   []fill
	cross   cross

	// Scratch of the steps.
	inners    [2][]claim
	prices    []uint64
	takerList []mover
	takers    []mover // what is left of takerList
	claims    []claim
	makers    []claim
	shares    []share
	joiners   joinerHeap
	own       [2]ownResting // by the side that takes
	sweepOwn  *ownResting
	order     []int32
	nonces    []int32
	offered   []cumulated // by resting orders
	fresh     []cumulated // by new orders
}

// entry is an order of the batch during the auction.
type entry struct {
	key   uint64 // limit, as a ladder key of its side
	lots  uint64 // lots to trade
	left  uint64 // of them not yet traded in this plan
	slot  int32  // none: withdrawn, or closed by now
	purse int32  // index of its budget if it is by quote amount, else none
	owner Owner
	side  Side
	rests bool // GTC or GTD: what it cannot trade joins the book
	fok   bool
	cut   bool   // it still crosses where its sweep was ended (M-49)
	fate  Reason // why it is out, 0 if it is in
}

func (e *entry) in() bool      { return e.fate == 0 }
func (e *entry) byQuote() bool { return e.purse != none }

// mover is an entry's sort key: by limit, then owner, then sort position.
type mover struct {
	key   uint64
	owner Owner
	entry int32
}

func (m mover) compare(o mover) int {
	if c := cmp.Compare(o.key, m.key); c != 0 {
		return c
	}
	if c := cmp.Compare(m.owner, o.owner); c != 0 {
		return c
	}
	return cmp.Compare(m.entry, o.entry)
}

// fill is a planned execution.
type fill struct {
	price, lots  uint64
	maker, taker int32 // slots; in the inner cross maker is the sell
	inner        bool
}

// Staged appends the markets that have a batch waiting for their auction, in
// ascending order.
func (s *State) Staged(dst []ID) []ID {
	slices.Sort(s.staged)
	return append(dst, s.staged...)
}

// Auction runs a market's auction over the batch staged since the last one and
// appends what it did to out. seed is the previous state root, height this
// block's. Every market in Staged must have its auction before the block ends.
func (s *State) Auction(id ID, seed [32]byte, height uint64, out *Result) {
	b := s.book(id)
	if b == nil || !b.listed {
		return
	}
	a := &s.auction
	a.s, a.b, a.seed, a.height, a.out = s, b, seed, height, out
	a.open()
	a.dropSelfCrossing()
	if a.foks > 0 {
		a.dropHopeless()
	}
	if a.collect() {
		a.settleFOK()
	} else {
		a.killFOK()
	}
	a.apply()

	b.batch, b.mixed = b.batch[:0], b.mixed[:0]
	b.round++
	b.listed = false
	a.out = nil
	s.staged = slices.DeleteFunc(s.staged, func(x ID) bool { return x == id })
}

// open lists the batch and drops post-only orders that would take (M-41).
func (a *auction) open() {
	b := a.b
	a.entries, a.budgets, a.strikes, a.fills, a.foks = a.entries[:0], a.budgets[:0], a.strikes[:0], a.fills[:0], 0
	a.asked, a.askedBefore, a.own[0].known, a.own[1].known = 0, 0, false, false
	a.best[0], _, a.has[0] = b.sides[0].best()
	a.best[1], _, a.has[1] = b.sides[1].best()
	for _, slot := range b.batch {
		if slot == none {
			a.entries = append(a.entries, entry{slot: none, purse: none, fate: Withdrawn})
			continue
		}
		o := a.s.orders.at(slot)
		e := entry{
			key: o.key(), lots: o.lots, left: o.lots, slot: slot, purse: none, owner: o.owner, side: o.side,
			rests: o.tif <= GTD && !o.kind.atMarket(), fok: o.tif == FOK,
		}
		if o.quote != 0 {
			e.purse = int32(len(a.budgets)) //nolint:gosec // at most one per order
			a.budgets = append(a.budgets, asset.Mul(uint64(o.quote), b.unit))
		}
		if e.fok {
			a.foks++
		}
		if o.is(postOnly) && a.takesBook(&e) {
			e.fate = WouldTake
		}
		a.entries = append(a.entries, e)
	}
}

// takesBook tells whether an entry crosses the other side's best resting order.
func (a *auction) takesBook(e *entry) bool {
	o := e.side.other().index()
	return a.has[o] && crosses(e.key, a.best[o])
}

// improves tells whether an entry is strictly better than the best resting order
// of its own side.
func (a *auction) improves(e *entry) bool {
	i := e.side.index()
	return !a.has[i] || e.key > a.best[i]
}

// collect lists the entries that may trade on arrival: those that cross
// something and either improve on their side or must trade now or never. It
// answers false if no entry has anything to do but to rest or to go.
func (a *auction) collect() bool {
	reach, any := a.best, a.has // the best key on each side, new orders included
	for i := range a.entries {
		e := &a.entries[i]
		if s := e.side.index(); e.in() && !e.byQuote() && (!any[s] || e.key > reach[s]) {
			reach[s], any[s] = e.key, true
		}
	}
	a.movers[0], a.movers[1] = a.movers[0][:0], a.movers[1][:0]
	for i := range a.entries {
		e := &a.entries[i]
		s, o := e.side.index(), e.side.other().index()
		if e.in() && any[o] && crosses(e.key, reach[o]) && (!e.rests || a.improves(e)) {
			a.movers[s] = append(a.movers[s], mover{e.key, e.owner, int32(i)})
		}
	}
	for s := range a.movers {
		if len(a.movers[s]) > 1 {
			slices.SortFunc(a.movers[s], mover.compare)
		}
	}
	return len(a.movers[0])+len(a.movers[1]) > 0
}

// plan makes a plan for the entries that are in, from scratch.
func (a *auction) plan() {
	for _, slot := range a.strikes {
		a.s.orders.at(slot).flags &^= struck
	}
	a.strikes, a.fills, a.cross = a.strikes[:0], a.fills[:0], cross{}
	a.askedBefore += a.asked
	a.asked = 0
	a.purses = append(a.purses[:0], a.budgets...)
	for i := range a.entries {
		a.entries[i].left, a.entries[i].cut = a.entries[i].lots, false
	}
	a.innerCross()
	first := Sell
	if a.leftOver(Buy) {
		first = Buy
	}
	a.sweep(first)
	a.sweep(first.other())
}

// leftOver tells whether a side has orders by quantity left that cross the
// resting book. After the inner cross this is true of one side at most (M-48).
func (a *auction) leftOver(side Side) bool {
	for _, m := range a.movers[side.index()] {
		e := &a.entries[m.entry]
		if e.in() && e.left > 0 && !e.byQuote() && a.takesBook(e) {
			return true
		}
	}
	return false
}

// apply carries the plan out: drops, strikes, fills, then what is left.
func (a *auction) apply() {
	s, b := a.s, a.b
	for i := range a.entries {
		if e := &a.entries[i]; !e.in() && e.slot != none {
			s.closePair(e.slot, e.fate, a.out)
			e.slot = none
		}
	}
	for _, slot := range a.strikes {
		s.orders.at(slot).flags &^= struck
		s.closePair(slot, SelfTrade, a.out)
	}
	for i := range a.fills {
		a.execute(&a.fills[i])
	}
	for i := range a.entries {
		e := &a.entries[i]
		switch {
		case e.slot == none:
		case e.rests && !e.cut:
			s.rest(b, e.slot, a.height)
			a.out.Rested = append(a.out.Rested, s.orders.at(e.slot).id)
		default:
			s.closePair(e.slot, a.endOf(e.slot), a.out)
		}
	}
	if n := len(a.fills); n > 0 {
		a.out.Auctions = append(a.out.Auctions, a.terms())
		b.Last = asset.Price(a.fills[n-1].price) // M-57
		b.dirty = true
	}
}

// terms says what the prices of the plan come from.
func (a *auction) terms() Auction {
	t := Auction{
		Market: a.b.ID, Reference: asset.Price(a.b.reference()),
		Price: asset.Price(a.cross.price), Volume: a.cross.lots, Demand: a.cross.demand, Supply: a.cross.supply,
	}
	if a.has[0] {
		t.Bid = asset.Price(a.best[0])
	}
	if a.has[1] {
		t.Ask = asset.Price(Sell.key(a.best[1]))
	}
	return t
}

// endOf is the reason with which an order that may not rest leaves.
func (a *auction) endOf(slot int32) Reason {
	if o := a.s.orders.at(slot); o.quote != 0 && o.value == o.quote {
		return Filled
	}
	return Remainder
}
