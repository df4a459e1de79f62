package market

import (
	"iter"
	"slices"

	"souk/asset"
)

// Level is one price of a book.
type Level struct {
	Price asset.Price
	// Quantity is the sum of base units, or asset.MaxSupply if it is more: such
	// orders cannot all be served by an asset's supply.
	Quantity asset.Amount
	Orders   int
}

// record copies an order out.
func (s *State) record(b *book, o *order, to *Order) {
	*to = Order{
		ID: o.id, Market: o.market, Owner: o.owner, Side: o.side, Kind: o.kind, TIF: o.tif, PostOnly: o.is(postOnly),
		Status: o.status, Price: asset.Price(o.price), Quantity: b.quantity(o.size), Quote: o.quote, Trigger: o.trigger,
		Expiry: o.expiry, Client: s.names.at(o.client), Nonce: o.nonce, Placed: o.placed, Time: o.time, Joined: o.joined,
		Filled: b.quantity(o.size - o.lots), Cost: o.cost, FeeSum: o.feeSum, Value: o.value, Fee: o.fee,
		Hold: Need{b.holds(o.side), o.hold},
	}
	if o.quote != 0 {
		to.Quantity = 0
	}
	if o.sibling != none {
		to.Sibling = s.orders.at(o.sibling).id
	}
}

// Order returns a copy of a live order.
func (s *State) Order(id OrderID) (Order, bool) {
	slot, ok := s.ids.get(id)
	if !ok {
		return Order{}, false
	}
	var r Order
	o := s.orders.at(slot)
	s.record(s.book(o.market), o, &r)
	return r, true
}

// ByClient finds a live order by its owner's client order id.
func (s *State) ByClient(owner Owner, client string) (OrderID, bool) {
	id, ok := s.names.index[name{owner, client}]
	return id, ok
}

// Owned appends the live orders of an owner in all markets, staged and waiting
// ones included, by market and then id.
func (s *State) Owned(dst []OrderID, owner Owner) []OrderID {
	for _, b := range s.books {
		dst = s.OwnedIn(dst, owner, b.ID)
	}
	return dst
}

// Has tells whether an owner has a live order in a market, or in any if it is zero.
func (s *State) Has(owner Owner, id ID) bool {
	if id != 0 {
		return s.presence(owner, id) != nil
	}
	for _, b := range s.books {
		if s.presence(owner, b.ID) != nil {
			return true
		}
	}
	return false
}

// OwnedIn is Owned for one market.
func (s *State) OwnedIn(dst []OrderID, owner Owner, id ID) []OrderID {
	p := s.presence(owner, id)
	if p == nil {
		return dst
	}
	for slot := p.head; slot != none; {
		dst = append(dst, s.orders.at(slot).id)
		slot = s.orders.link(slot).ownerNext
	}
	return dst
}

// Orders yields a copy of every live order by ascending id.
func (s *State) Orders() iter.Seq[Order] {
	return func(yield func(Order) bool) {
		var r Order
		for _, slot := range s.slots() {
			o := s.orders.at(slot)
			s.record(s.book(o.market), o, &r)
			if !yield(r) {
				return
			}
		}
	}
}

// slots lists the slots of all live orders by ascending id.
func (s *State) slots() []int32 {
	all := s.ids.all(make([]int32, 0, s.orders.live))
	slices.SortFunc(all, s.byID)
	return all
}

// Len is the number of live orders.
func (s *State) Len() int { return s.orders.live }

// Market returns one market.
func (s *State) Market(id ID) (Market, bool) {
	b := s.book(id)
	if b == nil {
		return Market{}, false
	}
	return b.Market, true
}

// Brings is the asset that an order of a side is given when it trades. The market must exist.
func (s *State) Brings(id ID, side Side) asset.ID { return s.book(id).holds(side.other()) }

// Markets appends all markets by ascending number.
func (s *State) Markets(dst []Market) []Market {
	for _, b := range s.books {
		dst = append(dst, b.Market)
	}
	return dst
}

// Best returns the best resting price of a side; false if the side is empty.
func (s *State) Best(id ID, side Side) (asset.Price, bool) {
	b := s.book(id)
	if b == nil || side != Buy && side != Sell {
		return 0, false
	}
	key, _, ok := b.ladder(side).best()
	return asset.Price(side.key(key)), ok
}

// Depth appends up to limit levels of one side of a book, best first.
func (s *State) Depth(dst []Level, id ID, side Side, limit int) []Level {
	b := s.book(id)
	if b == nil || side != Buy && side != Sell {
		return dst
	}
	l := b.ladder(side)
	for at := l.top(); limit > 0; at = l.worse(at) {
		key, li, ok := l.at(at)
		if !ok {
			break
		}
		lv := &s.levels[li]
		dst = append(dst, Level{asset.Price(side.key(key)), b.sum(lv), int(lv.orders)})
		limit--
	}
	return dst
}

// Quantity returns what one price of a book holds, as Level has it; zero if nobody is there.
func (s *State) Quantity(id ID, side Side, price asset.Price) asset.Amount {
	b := s.book(id)
	if b == nil || side != Buy && side != Sell {
		return 0
	}
	l := b.ladder(side)
	at, ok := l.find(side.key(uint64(price)))
	if !ok {
		return 0
	}
	return b.sum(&s.levels[l.level(at)])
}

// sum is the base units of a level, or asset.MaxSupply if it is more.
func (b *book) sum(l *level) asset.Amount {
	if l.lots > uint64(asset.MaxSupply/b.Lot) {
		return asset.MaxSupply
	}
	return b.quantity(l.lots)
}

// OrderLimit returns what SetOrderLimit set.
func (s *State) OrderLimit() uint32 { return s.limit }
