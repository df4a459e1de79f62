package market

import (
	"souk/asset"
)

// Stage takes up an order that Check has just passed and whose need is
// reserved. Stop kinds start to wait; all others join this block's batch, where
// the order of Stage calls is their sort position.
func (s *State) Stage(n *New, height, now uint64) OrderID {
	slot := s.add(n, height, now)
	return s.orders.at(slot).id
}

// StagePair is Stage for an OCO pair that CheckPair has just passed: the limit
// leg joins the batch, the stop leg waits. The limit leg carries the pair's hold
// (M-62).
func (s *State) StagePair(limit, stop *New, height, now uint64) (limitID, stopID OrderID) {
	first, second := s.add(limit, height, now), s.add(stop, height, now)
	x, y := s.orders.at(first), s.orders.at(second)
	x.sibling, y.sibling = second, first
	x.hold, y.hold = max(x.hold, y.hold), 0
	return x.id, y.id
}

func (s *State) add(n *New, height, now uint64) int32 {
	b := s.book(n.Market)
	lots, need, code := b.measure(n)
	if code != OK {
		panic("market: staged an order that Check refuses") //nolint:forbidigo // the caller's invariant
	}
	slot := s.orders.take()
	o := s.orders.at(slot)
	*o = order{
		id: s.nextOrder, price: uint64(n.Price), lots: lots, market: n.Market, owner: n.Owner,
		side: n.Side, kind: n.Kind, tif: n.TIF, status: Staged, sibling: none, due: none, level: none,
		size: lots, hold: need.Amount, quote: n.Quote, trigger: n.Trigger, expiry: n.Expiry, nonce: n.Nonce,
		placed: height, time: now,
	}
	if n.PostOnly {
		o.flags = postOnly
	}
	s.nextOrder++
	s.counters = true
	b.live++
	s.ids.put(o.id, slot)
	o.client = s.names.add(n.Owner, n.Client, o.id)
	if o.expiry != 0 {
		s.duePush(slot)
	}
	p := s.enlist(slot)
	if n.Kind.stop() {
		s.wait(b, slot)
	} else {
		s.enter(b, p, slot)
	}
	return slot
}

// enter puts an order into the batch of its market.
func (s *State) enter(b *book, p *presence, slot int32) {
	o := s.orders.at(slot)
	o.status = Staged
	o.place, o.level = int32(len(b.batch)), none //nolint:gosec // bounded by MaxBook
	b.batch = append(b.batch, slot)
	b.mark(p, o)
	if !b.listed {
		b.listed = true
		s.staged = append(s.staged, b.ID)
	}
}

// Cancel closes a live order, staged ones included, with the given reason. If
// the order is a leg of an OCO pair the other leg is closed with it (Linked). It
// appends to out.Closed and answers false if there is no such order.
func (s *State) Cancel(id OrderID, why Reason, out *Result) bool {
	slot, ok := s.ids.get(id)
	if ok {
		s.closePair(slot, why, out)
	}
	return ok
}

// Withdraw is Cancel for an order of this same block (Withdrawn).
func (s *State) Withdraw(id OrderID, out *Result) bool { return s.Cancel(id, Withdrawn, out) }

// closePair closes an order and, if it has one, the other leg of its pair.
func (s *State) closePair(slot int32, why Reason, out *Result) {
	o := s.orders.at(slot)
	other := o.sibling
	if other == none {
		s.close(slot, why, out)
		return
	}
	o.sibling, s.orders.at(other).sibling = none, none
	s.close(slot, why, out)
	s.close(other, Linked, out)
}

// part ends a pair of which one leg goes on, because it traded or triggered. The
// shared hold becomes what that leg needs, and the rest is released (M-62).
func (s *State) part(b *book, slot int32, out *Result) {
	o := s.orders.at(slot)
	other := s.orders.at(o.sibling)
	shared := o.hold + other.hold
	o.hold = b.need(o)
	other.hold = shared - o.hold
	leaving := o.sibling
	o.sibling, other.sibling = none, none
	s.touch(o)
	s.close(leaving, Linked, out)
}

// need is what an order must hold from now on (M-14 to M-16).
func (b *book) need(o *order) asset.Amount {
	switch {
	case o.side == Sell:
		return b.quantity(o.lots)
	case o.quote != 0:
		return o.quote - o.value
	}
	worst, ok := asset.Mul(o.price, uint64(b.quantity(o.lots))).Add(o.cost)
	total, fits := worst.DivUp(b.unit)
	if !ok || !fits {
		panic("market: the hold of an order overflows") //nolint:forbidigo // measure has bounded it
	}
	return asset.Amount(total) - o.value
}

// holds is the asset that an order's hold is in.
func (b *book) holds(side Side) asset.ID {
	if side == Buy {
		return b.Quote
	}
	return b.Base
}

// close takes a live order out of everything and reports it.
func (s *State) close(slot int32, why Reason, out *Result) {
	o := s.orders.at(slot)
	b := s.book(o.market)
	switch o.status {
	case Resting:
		s.leave(b.ladder(o.side), slot)
	case Waiting:
		s.leave(&b.waiting[o.direction()], slot)
	case Staged:
		b.batch[o.place] = none
	case Gone:
		panic("market: closed an order twice") //nolint:forbidigo // corrupt links
	}
	end := out.closed()
	s.record(b, o, &end.Order)
	end.Why, end.Release = why, end.Order.Hold
	end.Order.Status, end.Order.Hold.Amount = Gone, 0

	s.delist(slot)
	if o.expiry != 0 {
		s.dueRemove(slot)
	}
	s.names.del(o.owner, o.client)
	s.ids.del(o.id)
	if o.is(saved) {
		s.gone = append(s.gone, o.id)
	}
	o.status = Gone
	b.live--
	s.orders.give(slot)
}

// Reduce lowers the whole quantity of an order, its filled part included, and
// keeps its place in the book. It returns what the ledger must release. The code
// is UnknownOrder, or BadReduce if quantity is no such reduction (M-71).
func (s *State) Reduce(id OrderID, quantity asset.Amount) (release Need, code Code) {
	slot, ok := s.ids.get(id)
	if !ok {
		return Need{}, UnknownOrder
	}
	o := s.orders.at(slot)
	b := s.book(o.market)
	lots, done := uint64(quantity/b.Lot), o.size-o.lots
	if o.quote != 0 || o.sibling != none || quantity%b.Lot != 0 || lots <= done || lots >= o.size {
		return Need{}, BadReduce
	}
	rest := b.quantity(lots - done)
	if value, fits := asset.CostUp(asset.Price(o.price), rest, b.BaseDecimals); fits && value < b.MinNotional {
		return Need{}, BadReduce
	}
	if o.status == Resting || o.status == Waiting {
		s.levels[o.level].lots -= o.size - lots
	}
	o.lots -= o.size - lots
	o.size = lots
	before := o.hold
	o.hold = b.need(o)
	s.touch(o)
	return Need{b.holds(o.side), before - o.hold}, OK
}
