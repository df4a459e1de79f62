package market

import (
	"souk/asset"
)

// book is one market with its resting orders, waiting stops and current batch.
type book struct {
	Market
	unit    uint64    // ledger units of one whole base coin
	sides   [2]ladder // resting orders, by Side.index
	waiting [2]ladder // stops, by direction.index
	batch   []int32   // slots in stage order; none where an order was withdrawn
	round   uint64    // counts auctions, to date what belongs to the current batch
	mixed   []Owner   // owners with both buys and sells in the batch
	listed  bool      // in State.staged
	live    int       // live orders
	dirty   bool      // its leaf changed since the last Changes
}

// reference is the price that bands and ties are measured from (M-8).
func (b *book) reference() uint64 {
	if b.Last != 0 {
		return uint64(b.Last)
	}
	return uint64(b.Reference)
}

func (b *book) ladder(s Side) *ladder { return &b.sides[s.index()] }

// quantity turns lots into base units.
func (b *book) quantity(lots uint64) asset.Amount { return asset.Amount(lots) * b.Lot }

// join appends an order to the queue of its level in a ladder (M-47).
func (s *State) join(l *ladder, key uint64, slot int32) {
	o := s.orders.at(slot)
	at, found := l.find(key)
	var li int32
	if found {
		li = l.level(at)
	} else {
		li = s.takeLevel(key)
		l.insert(at, key, li)
	}
	lv := &s.levels[li]
	o.level = li
	n := s.orders.link(slot)
	n.prev, n.next = lv.tail, none
	if lv.tail == none {
		lv.head = slot
	} else {
		s.orders.link(lv.tail).next = slot
	}
	lv.tail = slot
	lv.lots += o.lots
	lv.orders++
}

// leave takes an order out of the queue of its level, and the level out of the
// ladder if it was the last.
func (s *State) leave(l *ladder, slot int32) {
	o := s.orders.at(slot)
	lv := &s.levels[o.level]
	n := s.orders.link(slot)
	if n.prev == none {
		lv.head = n.next
	} else {
		s.orders.link(n.prev).next = n.next
	}
	if n.next == none {
		lv.tail = n.prev
	} else {
		s.orders.link(n.next).prev = n.prev
	}
	lv.lots -= o.lots
	lv.orders--
	if lv.orders == 0 {
		at, _ := l.find(lv.key)
		l.remove(at)
		lv.free = s.freeLevel
		s.freeLevel = o.level
	}
}

func (s *State) takeLevel(key uint64) int32 {
	li := s.freeLevel
	if li == none {
		s.levels = append(s.levels, level{})
		li = int32(len(s.levels) - 1) //nolint:gosec // fewer than orders
	} else {
		s.freeLevel = s.levels[li].free
	}
	s.levels[li] = level{key: key, head: none, tail: none, free: none}
	return li
}

// rest puts a live order into the book at the given height.
func (s *State) rest(b *book, slot int32, height uint64) {
	o := s.orders.at(slot)
	o.status, o.joined = Resting, height
	s.join(b.ladder(o.side), o.key(), slot)
	s.touch(o)
}

// touch notes that an order's leaf has changed.
func (s *State) touch(o *order) {
	if !o.is(dirty) {
		o.flags |= dirty
		s.changed = append(s.changed, o.id)
	}
}

func (s *State) book(id ID) *book {
	if id == 0 || int(id) > len(s.books) {
		return nil
	}
	return s.books[id-1]
}
