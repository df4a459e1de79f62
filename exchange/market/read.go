package market

import (
	"iter"

	"souk/asset"
)

// Level is one price of a book.
type Level struct {
	Price asset.Price
	// Quantity is the sum of base units, or asset.MaxSupply if it is more: such
	// orders cannot all be covered by an asset's supply.
	Quantity asset.Amount
	Orders   int
}

// Order returns a copy of a live order.
func (s *State) Order(id OrderID) (Order, bool) { panic("not yet") }

// ByClient finds a live order by its owner's client order id.
func (s *State) ByClient(owner Owner, client string) (OrderID, bool) { panic("not yet") }

// Owned appends the live orders of an owner in all markets, staged and waiting
// ones included, by market and then id.
func (s *State) Owned(dst []OrderID, owner Owner) []OrderID { panic("not yet") }

// OwnedIn is Owned for one market.
func (s *State) OwnedIn(dst []OrderID, owner Owner, id ID) []OrderID { panic("not yet") }

// Orders yields a copy of every live order by ascending id.
func (s *State) Orders() iter.Seq[Order] { panic("not yet") }

// Len is the number of live orders.
func (s *State) Len() int { panic("not yet") }

// Market returns one market.
func (s *State) Market(id ID) (Market, bool) { panic("not yet") }

// Markets appends all markets by ascending number.
func (s *State) Markets(dst []Market) []Market { panic("not yet") }

// Best returns the best resting price of a side; false if the side is empty.
func (s *State) Best(id ID, side Side) (asset.Price, bool) { panic("not yet") }

// Depth appends up to limit levels of one side of a book, best first.
func (s *State) Depth(dst []Level, id ID, side Side, limit int) []Level { panic("not yet") }

// OrderLimit returns what SetOrderLimit set.
func (s *State) OrderLimit() uint32 { return s.limit }
