package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// MaxList is the largest number of items in a List.
const MaxList = 1<<31 - 1

// List is an authenticated ordered list. Its tree is that of RFC 6962, section
// 2.1 (the left side is the largest power of two below the length), with tags of
// our own and the length in the root:
//
//	item = H(0x02 || value)
//	pair = H(0x03 || left || right)
//	root = H(0x04 || length as big-endian uint32 || top), or 32 zero bytes if empty
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
	if len(l.items) == MaxList {
		panic("merkle: list is too long") //nolint:forbidigo // caller's invariant
	}
	l.items = append(l.items, itemHash(value))
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
	return listRoot(uint32(len(l.items)), &top) //nolint:gosec // at most MaxList
}

// Prove returns a proof for l.Root() of the item at an index, which must exist.
func (l *List) Prove(index int) ListProof {
	if index < 0 || index >= len(l.items) {
		panic("merkle: no item at this index") //nolint:forbidigo // caller's invariant
	}
	p := ListProof{Index: uint32(index), Length: uint32(len(l.items))} //nolint:gosec // at most MaxList
	rights, depth := path(p.Index, p.Length)
	p.Siblings = make([]Hash, depth)
	items := l.items
	for i := range p.Siblings {
		left := leftSize(uint32(len(items))) //nolint:gosec // at most MaxList
		if rights>>i&1 == 0 {
			p.Siblings[i] = topHash(items[left:])
			items = items[:left]
		} else {
			p.Siblings[i] = topHash(items[:left])
			items = items[left:]
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
	if p.Index >= p.Length {
		return false
	}
	rights, depth := path(p.Index, p.Length)
	if len(p.Siblings) != depth {
		return false
	}
	h := itemHash(value)
	for i := depth - 1; i >= 0; i-- {
		if rights>>i&1 == 0 {
			h = pairHash(&h, &p.Siblings[i])
		} else {
			h = pairHash(&p.Siblings[i], &h)
		}
	}
	return listRoot(p.Length, &h) == root
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
	_, n := path(p.Index, p.Length)
	if len(b) != 32*n {
		return ListProof{}, fmt.Errorf("%d bytes of siblings, not %d: %w", len(b), 32*n, ErrProof)
	}
	p.Siblings = make([]Hash, n)
	for i := range p.Siblings {
		p.Siblings[i] = Hash(b[32*i:])
	}
	return p, nil
}

// path returns the way from the root to an item: the number of steps, at most 32,
// and a number in which bit i is one if step i goes to the right.
func path(index, length uint32) (rights uint32, depth int) {
	for ; length > 1; depth++ {
		left := leftSize(length)
		if index < left {
			length = left
		} else {
			index, length = index-left, length-left
			rights |= 1 << depth
		}
	}
	return rights, depth
}

// leftSize returns the largest power of two below n, which is at least two.
func leftSize(n uint32) uint32 { return 1 << (bits.Len32(n-1) - 1) }

// topHash returns the top of the tree of at least one item.
func topHash(items []Hash) Hash {
	if len(items) == 1 {
		return items[0]
	}
	mid := leftSize(uint32(len(items))) //nolint:gosec // at most MaxList
	left, right := topHash(items[:mid]), topHash(items[mid:])
	return pairHash(&left, &right)
}

func itemHash(value []byte) Hash {
	var buf [256]byte // a short value costs no allocation
	return sha256.Sum256(append(append(buf[:0], tagItem), value...))
}

func pairHash(left, right *Hash) Hash {
	var b [65]byte
	b[0] = tagPair
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

func listRoot(length uint32, top *Hash) Hash {
	var b [1 + 4 + 32]byte
	b[0] = tagList
	binary.BigEndian.PutUint32(b[1:], length)
	copy(b[5:], top[:])
	return sha256.Sum256(b[:])
}
