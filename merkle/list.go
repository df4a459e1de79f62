package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// MaxList is the largest number of items in a List.
const MaxList = 1<<32 - 1

// List is an authenticated ordered list. Its tree is that of RFC 6962, section
// 2.1 (the left side is the largest power of two below the length), with tags of
// our own and the length in the root:
//
//	item = H(0x02 || value)
//	pair = H(0x03 || left || right)
//	root = H(0x04 || length as uint64 BE || top), or 32 zero bytes if empty
//
// The zero List is empty and ready for use.
type List struct {
	items []Hash
}

// Root returns the root of the list of the values.
func Root(values [][]byte) Hash {
	var l List
	for _, v := range values {
		l.Append(v)
	}
	return l.Root()
}

// Append adds a value at the end.
func (l *List) Append(value []byte) {
	// One-shot hashing of short values costs no allocation.
	var buf [256]byte
	b := append(append(buf[:0], tagItem), value...)
	l.items = append(l.items, sha256.Sum256(b))
}

// Reset empties the list and keeps its memory.
func (l *List) Reset() { l.items = l.items[:0] }

// Len returns the number of items.
func (l *List) Len() int { return len(l.items) }

// Root returns the root of the list.
func (l *List) Root() Hash {
	if len(l.items) == 0 {
		return Hash{}
	}
	top := topHash(l.items)
	return listRoot(len(l.items), &top)
}

// Prove returns a proof for l.Root() of the item at an index, which must exist.
func (l *List) Prove(index int) ListProof {
	if index < 0 || index >= len(l.items) {
		panic("merkle: no item at this index") //nolint:forbidigo // caller's invariant
	}
	p := ListProof{Index: uint32(index), Length: uint32(len(l.items))}
	items := l.items
	for len(items) > 1 {
		mid := leftSize(len(items))
		if index < mid {
			p.Siblings = append(p.Siblings, topHash(items[mid:]))
			items = items[:mid]
		} else {
			p.Siblings = append(p.Siblings, topHash(items[:mid]))
			items, index = items[mid:], index-mid
		}
	}
	return p
}

// ListProof shows that a list has an item at an index.
type ListProof struct {
	Index, Length uint32
	Siblings      []Hash // from the root down
}

// Present tells whether the proof shows that the list with this root has this
// value at p.Index, and p.Length items in all.
func (p ListProof) Present(root Hash, value []byte) bool {
	if p.Index >= p.Length || len(p.Siblings) != depth(p.Index, p.Length) {
		return false
	}
	h := Hash(sha256.Sum256(append([]byte{tagItem}, value...)))
	return listRoot(int(p.Length), p.fold(&h, int(p.Index), int(p.Length), p.Siblings)) == root
}

func (p *ListProof) fold(item *Hash, index, length int, siblings []Hash) *Hash {
	if length == 1 {
		return item
	}
	var h Hash
	if mid := leftSize(length); index < mid {
		h = pairHash(p.fold(item, index, mid, siblings[1:]), &siblings[0])
	} else {
		h = pairHash(&siblings[0], p.fold(item, index-mid, length-mid, siblings[1:]))
	}
	return &h
}

// Encode returns the canonical encoding: index and length as big-endian uint32,
// then the siblings, whose number follows from the two.
func (p ListProof) Encode() []byte {
	b := make([]byte, 0, 8+32*len(p.Siblings))
	b = binary.BigEndian.AppendUint32(b, p.Index)
	b = binary.BigEndian.AppendUint32(b, p.Length)
	for i := range p.Siblings {
		b = append(b, p.Siblings[i][:]...)
	}
	return b
}

// ParseListProof reads the encoding of a list proof. It returns ErrProof for
// anything that Encode does not write for a proof made by Prove.
func ParseListProof(b []byte) (ListProof, error) {
	if len(b) < 8 {
		return ListProof{}, fmt.Errorf("length %d: %w", len(b), ErrProof)
	}
	p := ListProof{Index: binary.BigEndian.Uint32(b), Length: binary.BigEndian.Uint32(b[4:])}
	if p.Index >= p.Length {
		return ListProof{}, fmt.Errorf("index %d of %d: %w", p.Index, p.Length, ErrProof)
	}
	b = b[8:]
	n := depth(p.Index, p.Length)
	if len(b) != 32*n {
		return ListProof{}, fmt.Errorf("%d bytes of siblings, not %d: %w", len(b), 32*n, ErrProof)
	}
	for ; len(b) > 0; b = b[32:] {
		p.Siblings = append(p.Siblings, Hash(b[:32]))
	}
	return p, nil
}

// depth returns the number of siblings of an item.
func depth(index, length uint32) int {
	n := 0
	for length > 1 {
		n++
		mid := uint32(leftSize(int(length)))
		if index < mid {
			length = mid
		} else {
			index, length = index-mid, length-mid
		}
	}
	return n
}

// leftSize returns the largest power of two below n, which is at least two.
func leftSize(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// topHash returns the top of the tree of at least one item.
func topHash(items []Hash) Hash {
	if len(items) == 1 {
		return items[0]
	}
	mid := leftSize(len(items))
	left, right := topHash(items[:mid]), topHash(items[mid:])
	return pairHash(&left, &right)
}

func pairHash(left, right *Hash) Hash {
	var b [65]byte
	b[0] = tagPair
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

func listRoot(length int, top *Hash) Hash {
	var b [listRootSize]byte
	b[0] = tagList
	binary.BigEndian.PutUint64(b[1:], uint64(length))
	copy(b[9:], top[:])
	return sha256.Sum256(b[:])
}
