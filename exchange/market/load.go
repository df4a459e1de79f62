package market

import (
	"cmp"
	"fmt"
	"slices"

	"souk/asset"
	"souk/merkle"
)

// Load takes up one leaf of a saved state, in any order, into a fresh State. It
// refuses anything but the encoding that Leaf writes; whether the leaves make
// sense together is for Finish to say.
func (s *State) Load(key merkle.Key, value []byte) error {
	switch key[0] {
	case LeafMarket:
		m, err := ParseMarket(key, value)
		if err != nil {
			return err
		}
		s.loadingBooks = append(s.loadingBooks, m)
		return nil
	case LeafOrder:
		o, err := ParseOrder(key, value)
		if err != nil {
			return err
		}
		s.loading = append(s.loading, o)
		return nil
	case LeafCounters:
		if key != CountersKey() || !s.readCounters(value) {
			return fmt.Errorf("counters: %w", ErrLeaf)
		}
		s.counters = false
		return nil
	}
	return fmt.Errorf("leaf of kind %d: %w", key[0], ErrLeaf)
}

// Finish is called after the last Load. It rebuilds books and indexes, and
// refuses leaves that contradict each other.
func (s *State) Finish() error {
	if s.counters {
		return fmt.Errorf("no counters: %w", ErrLeaf)
	}
	if err := s.loadBooks(); err != nil {
		return err
	}
	slices.SortFunc(s.loading, func(x, y Order) int { return cmp.Compare(x.ID, y.ID) })
	for i := range s.loading {
		if err := s.loadOrder(&s.loading[i]); err != nil {
			return fmt.Errorf("order %d: %w: %w", s.loading[i].ID, ErrLeaf, err)
		}
	}
	if err := s.loadLinks(); err != nil {
		return fmt.Errorf("%w: %w", ErrLeaf, err)
	}
	s.loading, s.loadingBooks = nil, nil
	return nil
}

func (s *State) loadBooks() error {
	slices.SortFunc(s.loadingBooks, func(x, y Market) int { return cmp.Compare(x.ID, y.ID) })
	for i, m := range s.loadingBooks {
		id, code := s.Create(m.Base, m.Quote, m.BaseDecimals, m.Terms)
		if code != OK || id != m.ID || int(id) != i+1 || m.Last%m.Tick != 0 || m.Last > MaxPrice {
			return fmt.Errorf("market %d: %w", m.ID, ErrLeaf)
		}
		b := s.books[i]
		b.Market, b.dirty = m, false
	}
	return nil
}

// invalid is what is wrong with a set of leaves.
type invalid string

func (e invalid) Error() string { return string(e) }

// loadOrder adds a live order with everything but its place in a ladder and its
// link to the other leg of a pair.
func (s *State) loadOrder(r *Order) error {
	b := s.book(r.Market)
	switch {
	case b == nil:
		return invalid("market unknown")
	case r.ID == 0 || r.ID >= s.nextOrder || r.Sibling >= s.nextOrder:
		return invalid("id not given out")
	case b.live >= MaxBook:
		return invalid("too many in the market")
	}
	if _, twice := s.ids.get(r.ID); twice {
		return invalid("loaded twice")
	}
	if _, taken := s.names.index[name{r.Owner, r.Client}]; taken {
		return invalid("client order id in use")
	}
	if err := b.checkRecord(r); err != nil {
		return err
	}
	slot := s.orders.take()
	o := s.orders.at(slot)
	*o = order{
		id: r.ID, price: uint64(r.Price), lots: uint64(r.Remaining() / b.Lot), market: r.Market, owner: r.Owner,
		side: r.Side, kind: r.Kind, tif: r.TIF, status: r.Status, flags: saved, joined: r.Joined,
		sibling: none, due: none, level: none,
		size: uint64(r.Quantity / b.Lot), hold: r.Hold.Amount, value: r.Value, fee: r.Fee, cost: r.Cost, feeSum: r.FeeSum,
		trigger: r.Trigger, expiry: r.Expiry, nonce: r.Nonce, placed: r.Placed, time: r.Time,
	}
	if r.PostOnly {
		o.flags |= postOnly
	}
	b.live++
	s.ids.put(r.ID, slot)
	o.client = s.names.add(r.Owner, r.Client, r.ID)
	if r.Expiry != 0 {
		s.duePush(slot)
	}
	s.enlist(slot)
	return nil
}

// checkRecord checks a live order's record by itself.
func (b *book) checkRecord(r *Order) error {
	n := New{
		Side: r.Side, Kind: r.Kind, TIF: r.TIF, PostOnly: r.PostOnly, Price: r.Price, Quantity: r.Quantity,
		Trigger: r.Trigger, Expiry: r.Expiry, Client: r.Client,
	}
	if code := b.checkShape(&n); code != OK {
		return invalid("fields do not go together")
	}
	if lots := r.Quantity / b.Lot; lots > MaxLots || r.Quantity > asset.MaxSupply || r.Filled >= r.Quantity || r.Filled%b.Lot != 0 {
		return invalid("bad quantity")
	}
	if worst, ok := asset.CostUp(r.Price, r.Quantity, b.BaseDecimals); !ok || worst > asset.MaxSupply {
		return invalid("value too large")
	}
	switch r.Status {
	case Resting:
		if r.Kind.atMarket() || r.TIF > GTD || r.Joined < r.Placed {
			return invalid("may not rest")
		}
	case Waiting:
		if !r.Kind.stop() || r.Joined != 0 || r.Filled != 0 {
			return invalid("may not wait")
		}
	case Gone, Staged:
		return invalid("not live between blocks")
	default:
		return invalid("bad status")
	}
	return b.checkSums(r)
}

// checkSums checks what an order says that it has paid and got.
func (b *book) checkSums(r *Order) error {
	if (r.Filled == 0) != r.Cost.IsZero() || r.Filled == 0 && !r.FeeSum.IsZero() {
		return invalid("sums without fills")
	}
	limit := asset.Mul(uint64(r.Price), uint64(r.Filled))
	if r.Side == Buy && r.Cost.Cmp(limit) > 0 || r.Side == Sell && r.Cost.Cmp(limit) < 0 {
		return invalid("traded beyond its limit")
	}
	value, ok := r.Cost.DivUp(b.unit)
	if r.Side == Sell {
		value, _, ok = r.Cost.Div(b.unit)
	}
	fee, fits := r.FeeSum.DivUp(million)
	if !ok || !fits || uint64(r.Value) != value || uint64(r.Fee) != fee {
		return invalid("sums are not rounded as they must be")
	}
	return nil
}

// loadLinks puts all orders into their ladders, oldest first, and joins the legs
// of pairs. Then every hold must be what its order needs.
func (s *State) loadLinks() error {
	slots := s.slots()
	for _, slot := range slots {
		o := s.orders.at(slot)
		if o.status == Waiting {
			d := o.direction()
			s.join(&s.book(o.market).waiting[d], waitKey(d, uint64(o.trigger)), slot)
		}
	}
	byAge := slices.Clone(slots)
	slices.SortStableFunc(byAge, func(x, y int32) int { return cmp.Compare(s.orders.at(x).joined, s.orders.at(y).joined) })
	for _, slot := range byAge {
		if o := s.orders.at(slot); o.status == Resting {
			s.join(s.book(o.market).ladder(o.side), o.key(), slot)
		}
	}
	for _, b := range s.books {
		bid, _, bids := b.ladder(Buy).best()
		ask, _, asks := b.ladder(Sell).best()
		if bids && asks && crosses(bid, ask) {
			return invalid("a book is crossed")
		}
	}
	for i := range s.loading {
		if err := s.loadPair(&s.loading[i]); err != nil {
			return err
		}
	}
	return nil
}

// loadPair links an order with the other leg of its pair and checks its hold.
func (s *State) loadPair(r *Order) error {
	slot, _ := s.ids.get(r.ID)
	o := s.orders.at(slot)
	b := s.book(o.market)
	want := b.need(o)
	if r.Sibling != 0 {
		other, ok := s.ids.get(r.Sibling)
		if !ok {
			return invalid("the other leg of a pair is missing")
		}
		i, _ := slices.BinarySearchFunc(s.loading, r.Sibling, func(x Order, id OrderID) int { return cmp.Compare(x.ID, id) })
		p := s.orders.at(other)
		if s.loading[i].Sibling != r.ID || !paired(o, p) && !paired(p, o) {
			return invalid("legs of a pair do not go together")
		}
		o.sibling = other
		if o.kind == LimitOrder {
			want = max(want, b.need(p))
		} else {
			want = 0
		}
	}
	if o.hold != want || r.Hold.Asset != b.holds(o.side) {
		return invalid("a hold is not what its order needs")
	}
	return nil
}

// paired tells whether two orders can be the limit and the stop leg of a pair.
func paired(limit, stop *order) bool {
	return limit.market == stop.market && limit.owner == stop.owner && limit.side == stop.side && limit.size == stop.size &&
		limit.lots == limit.size && limit.tif == stop.tif && limit.expiry == stop.expiry && limit.kind == LimitOrder &&
		limit.status == Resting && (stop.kind == StopOrder || stop.kind == StopLimitOrder) && stop.status == Waiting
}
