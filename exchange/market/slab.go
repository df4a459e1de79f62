package market

import (
	"souk/asset"
)

// none is the absent slot, level or position.
const none int32 = -1

// order is an order as the state keeps it: in slots of a slab, without pointers.
// Amounts of base are counted in lots here.
type order struct {
	// What the book and the auction look at stands first, in one cache line.
	id     OrderID
	price  uint64
	lots   uint64 // still to trade; orders by quote amount: at most this many
	joined uint64 // height at which it joined the book
	level  int32  // level it is queued in
	place  int32  // place in the batch of a staged order
	market ID
	owner  Owner
	side   Side
	tif    TIF
	status Status
	flags  uint8

	kind    Kind
	sibling int32 // slot of the other leg of an OCO pair
	due     int32 // place in the heap of expiries
	client  int32 // place of its client order id

	size   uint64 // lots at first; lots traded so far are size - lots
	hold   asset.Amount
	value  asset.Amount // cost, rounded for its side (M-30)
	fee    asset.Amount // feeSum, rounded up (M-32)
	cost   asset.Wide
	feeSum asset.Wide

	quote   asset.Amount
	trigger asset.Price
	expiry  uint64
	nonce   uint64
	placed  uint64
	time    uint64
}

// Flags of an order.
const (
	postOnly uint8 = 1 << iota
	dirty          // its leaf changed since the last Changes
	saved          // its leaf exists in the tree
	struck         // during an auction: cancelled by self-trade prevention
)

func (o *order) is(flag uint8) bool { return o.flags&flag != 0 }

// key is the order's limit as a ladder key of its side.
func (o *order) key() uint64 { return o.side.key(o.price) }

// stays tells whether the order may rest or wait beyond its block.
func (o *order) stays() bool { return o.tif <= GTD || o.kind.stop() }

// mask is all ones for Sell, zero for Buy.
func (s Side) mask() uint64 { return -uint64(s >> 1) }

// key maps a price of this side to a ladder key, so that a better price always
// has the higher key, and back.
func (s Side) key(price uint64) uint64 { return price ^ s.mask() }

// other is the opposite side.
func (s Side) other() Side { return Buy + Sell - s }

// index is 0 for Buy, 1 for Sell.
func (s Side) index() int { return int(s >> 1) }

// crosses tells whether an order with limit key k would trade with one of the
// other side with key other.
func crosses(k, other uint64) bool { return other >= ^k }

// links chain an order with its neighbours by slot numbers. They stand apart from
// the orders and close together: joining or leaving a chain touches neighbours
// that nothing else has looked at for long.
type links struct {
	next, prev           int32 // in its level's queue
	ownerNext, ownerPrev int32 // among the orders of its owner in its market
}

const pageSize = 1024

// slab keeps orders in pages that never move, so that pointers to orders stay
// good and no growth copies the book.
type slab struct {
	pages []*[pageSize]order
	links []links // by slot
	free  int32   // first free slot, linked by next
	live  int
}

func (b *slab) at(slot int32) *order { return &b.pages[uint32(slot)/pageSize][uint32(slot)%pageSize] } //nolint:gosec // never none

func (b *slab) link(slot int32) *links { return &b.links[slot] }

// take returns a free slot. Its order still holds what the last one left.
func (b *slab) take() int32 {
	if b.free == none {
		b.grow()
	}
	slot := b.free
	b.free = b.links[slot].next
	b.live++
	return slot
}

func (b *slab) give(slot int32) {
	b.links[slot].next = b.free
	b.free = slot
	b.live--
}

func (b *slab) grow() {
	first := int32(len(b.pages)) * pageSize //nolint:gosec // MaxBook bounds the orders of a market, memory those of a state
	b.pages = append(b.pages, new([pageSize]order))
	b.links = append(b.links, make([]links, pageSize)...)
	for i := first + pageSize - 1; i >= first; i-- {
		b.links[i].next = b.free
		b.free = i
	}
}

// names keeps the client order ids of live orders.
type names struct {
	text  []string
	free  []int32
	index map[name]OrderID
}

type name struct {
	owner  Owner
	client string
}

func (n *names) add(owner Owner, client string, id OrderID) int32 {
	if client == "" {
		return none
	}
	n.index[name{owner, client}] = id
	if last := len(n.free) - 1; last >= 0 {
		at := n.free[last]
		n.free = n.free[:last]
		n.text[at] = client
		return at
	}
	n.text = append(n.text, client)
	return int32(len(n.text) - 1) //nolint:gosec // at most one per order
}

func (n *names) at(i int32) string {
	if i == none {
		return ""
	}
	return n.text[i]
}

func (n *names) del(owner Owner, i int32) {
	if i == none {
		return
	}
	delete(n.index, name{owner, n.text[i]})
	n.text[i] = ""
	n.free = append(n.free, i)
}
