package market

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"souk/merkle"
)

// First key bytes of this package's state leaves (M-80).
const (
	LeafMarket   = 0x04 // market: number, 4 bytes
	LeafOrder    = 0x05 // order: id, 8 bytes
	LeafCounters = 0x0a // next order id, next trade id, order limit: nothing more
)

// ErrLeaf is wrapped by Load, Finish and the Parse functions for leaves that no
// State has written.
var ErrLeaf = errors.New("not a market leaf")

// Key is the key of a market's leaf.
func Key(id ID) merkle.Key {
	k := merkle.Key{LeafMarket}
	binary.BigEndian.PutUint32(k[1:], uint32(id))
	return k
}

// OrderKey is the key of an order's leaf.
func OrderKey(id OrderID) merkle.Key {
	k := merkle.Key{LeafOrder}
	binary.BigEndian.PutUint64(k[1:], uint64(id))
	return k
}

// CountersKey is the key of the leaf with the next order and trade ids.
func CountersKey() merkle.Key { return merkle.Key{LeafCounters} }

// appendMarket appends the value of a market's leaf (M-81).
func appendMarket(dst []byte, m *Market) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.Base))
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.Quote))
	dst = append(dst, m.BaseDecimals, flag(m.Paused))
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.Last))
	return m.Append(dst)
}

// ParseMarket reads a market's leaf. It checks the encoding, not the values.
func ParseMarket(key merkle.Key, value []byte) (Market, error) {
	s := cryptobyte.String(value)
	m := Market{ID: ID(binary.BigEndian.Uint32(key[1:]))}
	if key != Key(m.ID) || !s.ReadUint32((*uint32)(&m.Base)) || !s.ReadUint32((*uint32)(&m.Quote)) ||
		!s.ReadUint8(&m.BaseDecimals) || !readFlag(&s, &m.Paused) || !s.ReadUint64((*uint64)(&m.Last)) ||
		!m.Read(&s) || len(s) != 0 {
		return Market{}, fmt.Errorf("market %d: %w", m.ID, ErrLeaf)
	}
	return m, nil
}

// orderLeafSize is the length of an order's leaf without its client order id.
const orderLeafSize = 2*4 + 5 + 10*8 + 2*16 + 2*8 + 4 + 8 + 1

// appendOrder appends the value of an order's leaf (M-82).
func appendOrder(dst []byte, o *Order) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(o.Market))
	dst = binary.BigEndian.AppendUint32(dst, uint32(o.Owner))
	dst = append(dst, byte(o.Side), byte(o.Kind), byte(o.TIF), flag(o.PostOnly), byte(o.Status))
	for _, v := range [...]uint64{
		uint64(o.Price), uint64(o.Quantity), uint64(o.Trigger), o.Expiry, o.Nonce,
		uint64(o.Sibling), o.Placed, o.Time, o.Joined, uint64(o.Filled),
		o.Cost.Hi, o.Cost.Lo, o.FeeSum.Hi, o.FeeSum.Lo, uint64(o.Value), uint64(o.Fee),
	} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(o.Hold.Asset))
	dst = binary.BigEndian.AppendUint64(dst, uint64(o.Hold.Amount))
	return append(append(dst, byte(len(o.Client))), o.Client...) //nolint:gosec // at most MaxClient
}

// ParseOrder reads an order's leaf. It checks the encoding, not the values.
func ParseOrder(key merkle.Key, value []byte) (Order, error) {
	o := Order{ID: OrderID(binary.BigEndian.Uint64(key[1:]))}
	if key != OrderKey(o.ID) || !o.read(cryptobyte.String(value)) {
		return Order{}, fmt.Errorf("order %d: %w", o.ID, ErrLeaf)
	}
	return o, nil
}

func (o *Order) read(s cryptobyte.String) bool {
	var side, kind, tif, status uint8
	if !s.ReadUint32((*uint32)(&o.Market)) || !s.ReadUint32((*uint32)(&o.Owner)) || !s.ReadUint8(&side) ||
		!s.ReadUint8(&kind) || !s.ReadUint8(&tif) || !readFlag(&s, &o.PostOnly) || !s.ReadUint8(&status) {
		return false
	}
	o.Side, o.Kind, o.TIF, o.Status = Side(side), Kind(kind), TIF(tif), Status(status)
	for _, v := range [...]*uint64{
		(*uint64)(&o.Price), (*uint64)(&o.Quantity), (*uint64)(&o.Trigger), &o.Expiry, &o.Nonce,
		(*uint64)(&o.Sibling), &o.Placed, &o.Time, &o.Joined, (*uint64)(&o.Filled),
		&o.Cost.Hi, &o.Cost.Lo, &o.FeeSum.Hi, &o.FeeSum.Lo, (*uint64)(&o.Value), (*uint64)(&o.Fee),
	} {
		if !s.ReadUint64(v) {
			return false
		}
	}
	var client cryptobyte.String
	if !s.ReadUint32((*uint32)(&o.Hold.Asset)) || !s.ReadUint64((*uint64)(&o.Hold.Amount)) ||
		!s.ReadUint8LengthPrefixed(&client) || len(s) != 0 {
		return false
	}
	o.Client = string(client)
	return true
}

// maxNumber bounds order and trade ids: every JSON reader can hold smaller ones.
const maxNumber = 1 << 53

// appendCounters appends the value of the counters' leaf (M-83).
func (s *State) appendCounters(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.nextOrder))
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.nextTrade))
	return binary.BigEndian.AppendUint32(dst, s.limit)
}

func (s *State) readCounters(data []byte) bool {
	v := cryptobyte.String(data)
	return v.ReadUint64((*uint64)(&s.nextOrder)) && v.ReadUint64((*uint64)(&s.nextTrade)) && v.ReadUint32(&s.limit) && len(v) == 0 &&
		s.nextOrder > 0 && s.nextOrder < maxNumber && s.nextTrade > 0 && s.nextTrade < maxNumber
}

// values cuts leaf values out of pieces of memory, each larger than the one before:
// who keeps the few values of a small block keeps little more.
type values struct{ free []byte }

const (
	valuePieceLeast = 1 << 10
	valuePiece      = 32 << 10
)

// order encodes an order; the receiver may keep the value.
func (v *values) order(o *Order) []byte {
	if cap(v.free)-len(v.free) < orderLeafSize+MaxClient {
		v.free = make([]byte, 0, min(valuePiece, max(valuePieceLeast, 4*cap(v.free))))
	}
	start := len(v.free)
	v.free = appendOrder(v.free, o)
	return v.free[start:len(v.free):len(v.free)]
}

// Changes yields every leaf that changed since the last call, once, in no
// particular order; a nil value means that the leaf is gone. Values may be kept.
// No batch may be waiting for its auction.
func (s *State) Changes(yield func(key merkle.Key, value []byte)) {
	if len(s.staged) > 0 {
		panic("market: a batch has not had its auction") //nolint:forbidigo // staged orders have no leaf
	}
	if s.counters {
		s.counters = false
		yield(CountersKey(), s.appendCounters(nil))
	}
	for _, b := range s.books {
		if b.dirty {
			b.dirty = false
			yield(Key(b.ID), appendMarket(nil, &b.Market))
		}
	}
	var v values
	var r Order
	for _, id := range s.changed {
		slot, live := s.ids.get(id)
		if !live {
			continue
		}
		o := s.orders.at(slot)
		o.flags = o.flags&^dirty | saved
		s.record(s.book(o.market), o, &r)
		yield(OrderKey(id), v.order(&r))
	}
	for _, id := range s.gone {
		yield(OrderKey(id), nil)
	}
	s.changed, s.gone = s.changed[:0], s.gone[:0]
}

// Leaf returns the encoding of one leaf.
func (s *State) Leaf(key merkle.Key) ([]byte, bool) {
	switch key[0] {
	case LeafMarket:
		id := ID(binary.BigEndian.Uint32(key[1:]))
		if b := s.book(id); b != nil && key == Key(id) {
			return appendMarket(nil, &b.Market), true
		}
	case LeafOrder:
		id := OrderID(binary.BigEndian.Uint64(key[1:]))
		if r, ok := s.Order(id); ok && r.Status != Staged && key == OrderKey(id) {
			return appendOrder(nil, &r), true
		}
	case LeafCounters:
		if key == CountersKey() {
			return s.appendCounters(nil), true
		}
	}
	return nil, false
}

// Leaves yields all leaves by ascending key. Values may be kept.
func (s *State) Leaves(yield func(key merkle.Key, value []byte)) {
	for _, b := range s.books {
		yield(Key(b.ID), appendMarket(nil, &b.Market))
	}
	var v values
	for r := range s.Orders() {
		yield(OrderKey(r.ID), v.order(&r))
	}
	yield(CountersKey(), s.appendCounters(nil))
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func readFlag(s *cryptobyte.String, b *bool) bool {
	var v uint8
	ok := s.ReadUint8(&v) && v <= 1
	*b = v == 1
	return ok
}
