package market

import (
	"errors"

	"souk/merkle"
)

// First key bytes of this package's state leaves.
const (
	LeafMarket   = 0x04 // market: number, 4 bytes
	LeafOrder    = 0x05 // order: id, 8 bytes
	LeafCounters = 0x0a // next ids and limits: nothing more
)

// ErrLeaf is wrapped by Load and Finish for leaves that no State has written.
var ErrLeaf = errors.New("not a market leaf")

// MarketKey is the key of a market's leaf.
func MarketKey(id ID) merkle.Key { panic("not yet") }

// OrderKey is the key of an order's leaf.
func OrderKey(id OrderID) merkle.Key { panic("not yet") }

// CountersKey is the key of the leaf with the next order and trade ids.
func CountersKey() merkle.Key { return merkle.Key{LeafCounters} }

// ParseOrder reads an order's leaf, for those who check a proof.
func ParseOrder(key merkle.Key, value []byte) (Order, error) { panic("not yet") }

// ParseMarket reads a market's leaf, for those who check a proof.
func ParseMarket(key merkle.Key, value []byte) (Market, error) { panic("not yet") }

// Changes yields every leaf that changed since the last call, once, in no
// particular order; a nil value means that the leaf is gone. Values may be kept.
// No batch may be waiting for its auction.
func (s *State) Changes(yield func(key merkle.Key, value []byte)) { panic("not yet") }

// Leaf returns the encoding of one leaf.
func (s *State) Leaf(key merkle.Key) ([]byte, bool) { panic("not yet") }

// Leaves yields all leaves by ascending key. Values may be kept.
func (s *State) Leaves(yield func(key merkle.Key, value []byte)) { panic("not yet") }

// Load takes up one leaf of a saved state, in any order, into a fresh State. It
// refuses anything but the one encoding that Leaf writes.
func (s *State) Load(key merkle.Key, value []byte) error { panic("not yet") }

// Finish is called after the last Load. It rebuilds books and indexes, and
// refuses leaves that contradict each other.
func (s *State) Finish() error { panic("not yet") }
