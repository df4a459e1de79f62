package escrow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"souk/merkle"
)

// ErrLeaf is wrapped by Load, Finish and Parse for leaves that no State has written.
var ErrLeaf = errors.New("not an escrow leaf")

// First key bytes of this package's state leaves.
const (
	LeafEscrow  = 0x06 // escrow: id, 8 bytes
	LeafCounter = 0x0b // the last id given: nothing more
)

// Key is the key of an escrow's leaf.
func Key(id ID) (k merkle.Key) {
	k[0] = LeafEscrow
	binary.BigEndian.PutUint64(k[1:], uint64(id))
	return k
}

// CounterKey is the key of the leaf with the last id given. There is no such
// leaf before the first escrow.
func CounterKey() merkle.Key { return merkle.Key{LeafCounter} }

// keyID returns the id in an escrow's key, or zero if it is another key.
func keyID(k *merkle.Key) ID {
	id := ID(binary.BigEndian.Uint64(k[1:]))
	if Key(id) != *k {
		return 0
	}
	return id
}

// Changes calls yield for every leaf that changed since the last call, once
// each, in no particular order; a nil value means that the leaf is gone. Values
// may be kept.
func (s *State) Changes(yield func(key merkle.Key, value []byte)) {
	if s.lastDirty {
		yield(CounterKey(), s.counter())
		s.lastDirty = false
	}
	for _, r := range s.dirty {
		r.dirty = false
		if s.live[r.ID] == r { // else it was closed since
			r.stored = true
			yield(Key(r.ID), r.append(nil))
		}
	}
	for _, id := range s.gone {
		yield(Key(id), nil)
	}
	clear(s.dirty)
	s.dirty, s.gone = s.dirty[:0], s.gone[:0]
}

// Leaf returns the value of one leaf as it stands.
func (s *State) Leaf(key merkle.Key) ([]byte, bool) {
	if key == CounterKey() && s.last != 0 {
		return s.counter(), true
	}
	r, ok := s.live[keyID(&key)]
	if !ok {
		return nil, false
	}
	return r.append(nil), true
}

// Leaves calls yield for every leaf in ascending order of keys. Values may be kept.
func (s *State) Leaves(yield func(key merkle.Key, value []byte)) {
	for _, id := range slices.Sorted(maps.Keys(s.live)) {
		yield(Key(id), s.live[id].append(nil))
	}
	if s.last != 0 {
		yield(CounterKey(), s.counter())
	}
}

func (s *State) counter() []byte { return binary.BigEndian.AppendUint64(nil, uint64(s.last)) }

// append appends an escrow's leaf (E-61).
func (e *Escrow) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.Payer))
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.Payee))
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.Arbiter))
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.Asset))
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Amount))
	dst = append(dst, e.Hash[:]...)
	dst = binary.BigEndian.AppendUint64(dst, e.Deadline)
	dst = binary.BigEndian.AppendUint64(dst, e.Window)
	disputed := byte(0)
	if e.Disputed {
		disputed = 1
	}
	dst = append(dst, disputed, byte(len(e.Memo))) //nolint:gosec // at most MaxMemo
	return append(dst, e.Memo...)
}

// Parse reads an escrow's leaf, for those who check a proof.
func Parse(key merkle.Key, value []byte) (Escrow, error) {
	e := Escrow{ID: keyID(&key)}
	s := cryptobyte.String(value)
	var disputed uint8
	var memo cryptobyte.String
	ok := s.ReadUint32((*uint32)(&e.Payer)) && s.ReadUint32((*uint32)(&e.Payee)) && s.ReadUint32((*uint32)(&e.Arbiter)) &&
		s.ReadUint32((*uint32)(&e.Asset)) && s.ReadUint64((*uint64)(&e.Amount)) && s.CopyBytes(e.Hash[:]) &&
		s.ReadUint64(&e.Deadline) && s.ReadUint64(&e.Window) && s.ReadUint8(&disputed) && s.ReadUint8LengthPrefixed(&memo)
	e.Disputed, e.Memo = disputed == 1, string(memo)
	if !ok || len(s) != 0 || e.ID == 0 || disputed > 1 || e.check() != OK || e.Disputed && e.Arbiter == 0 {
		return Escrow{}, fmt.Errorf("leaf %s: %w", key, ErrLeaf)
	}
	return e, nil
}

// Load adds one leaf to a state that came from New. Leaves may come in any
// order, each once. It returns ErrLeaf for anything but the one encoding of a leaf.
func (s *State) Load(key merkle.Key, value []byte) error {
	if key == CounterKey() {
		if len(value) != 8 || s.last != 0 {
			return fmt.Errorf("leaf %s: %w", key, ErrLeaf)
		}
		if s.last = ID(binary.BigEndian.Uint64(value)); s.last == 0 {
			return fmt.Errorf("leaf %s is zero: %w", key, ErrLeaf)
		}
		return nil
	}
	e, err := Parse(key, value)
	if err != nil {
		return err
	}
	if _, twice := s.live[e.ID]; twice {
		return fmt.Errorf("escrow %d is there twice: %w", e.ID, ErrLeaf)
	}
	s.add(&record{Escrow: e, stored: true})
	return nil
}

// Finish completes a state after the last Load, and returns ErrLeaf if the
// leaves do not fit together. The state must not be used before.
func (s *State) Finish() error {
	if err := s.Verify(); err != nil {
		return fmt.Errorf("%w: %w", ErrLeaf, err)
	}
	return nil
}
