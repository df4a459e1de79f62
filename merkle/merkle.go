// Package merkle owns the two hash trees that a virtual server commits to: Map,
// an authenticated map from 32-byte keys to values, whose root is the state root
// of a block, and List, an authenticated ordered list, used for the results of a
// block. Both give short proofs that anybody can check against a root.
//
// Map is a binary trie in which every inner node has two children (a crit-bit
// tree), so its shape, and therefore its root, depends only on the keys and
// values in it and not on the history of changes:
//
//	leaf  = H(0x00 || key || H(value))
//	inner = H(0x01 || bit || left || right)
//	empty = 32 zero bytes
//
// where H is SHA-256 and bit is the position, as a big-endian uint16, of the
// first bit in which the keys of the two sides differ (bit 0 is the most
// significant bit of byte 0). The value is hashed by itself so that a proof that
// a key is absent can show which leaf stands in its place without disclosing the
// value there. See docs/spec/01-values.md.
//
// What keys and values mean, and where values are kept, belongs to the callers:
// a Map keeps hashes only. This is floor 0: it imports nothing of ours.
package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// Errors of Parse functions.
var (
	// ErrSyntax is returned for text that is not a hash in hexadecimal.
	ErrSyntax = errors.New("not 64 lower-case hexadecimal digits")
	// ErrProof is returned for bytes that are not the encoding of a proof.
	ErrProof = errors.New("malformed proof")
)

// Bits is the number of bits of a Key and so the greatest depth of a Map.
const Bits = 8 * len(Key{})

// Domain tags: the first byte of every hash input of this package.
const (
	tagLeaf  = 0x00 // Map: key, hash of the value
	tagInner = 0x01 // Map: bit, left, right
	tagItem  = 0x02 // List: value
	tagPair  = 0x03 // List: left, right
	tagList  = 0x04 // List: length, top
)

// Sizes of the hash inputs of a Map.
const (
	leafSize  = 1 + 32 + 32
	innerSize = 1 + 2 + 32 + 32
)

// Key names a leaf of a Map.
type Key [32]byte

// Hash is a SHA-256 hash: of a value, a node or a whole tree. The zero Hash is
// the root of an empty tree.
type Hash [32]byte

// Change sets the value of a key or, with a nil Value, deletes the key. An empty
// Value that is not nil is a value.
type Change struct {
	Key   Key
	Value []byte
}

// String returns the key in hexadecimal.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Compare returns -1, 0 or +1 as k sorts before, equal to or after other.
func (k Key) Compare(other Key) int { return bytes.Compare(k[:], other[:]) }

// ParseHash reads 64 lower-case hexadecimal digits. It returns ErrSyntax for other
// text.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 2*len(h) || strings.ToLower(s) != s {
		return Hash{}, fmt.Errorf("hash %q: %w", s, ErrSyntax)
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, fmt.Errorf("hash %q: %w", s, ErrSyntax)
	}
	return h, nil
}

// String returns the hash as 64 lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText returns the text that String returns.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText is ParseHash.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}

// IsZero tells whether h is the root of an empty tree.
func (h Hash) IsZero() bool { return h == Hash{} }

// bit returns bit i of the key, 0 or 1.
func (k *Key) bit(i int) byte { return k[i>>3] >> (7 - i&7) & 1 }

// windowSize is the number of bits in a window.
const windowSize = 32

// window returns the windowSize bits before bit i, or all i of them, as a number.
func (k *Key) window(i int) uint32 {
	if i <= 64 {
		return uint32(binary.BigEndian.Uint64(k[:]) >> (64 - i)) //nolint:gosec // the low half is meant
	}
	// The eight bytes that end with the one that holds bit i-1.
	return uint32(binary.BigEndian.Uint64(k[(i-1)>>3-7:]) >> (7 - (i-1)&7)) //nolint:gosec // the low half is meant
}

// fork returns the position of the first bit in which two keys differ, or Bits
// if they are equal.
func fork(a, b *Key) int {
	for i := 0; i < len(a); i += 8 {
		x := binary.BigEndian.Uint64(a[i:]) ^ binary.BigEndian.Uint64(b[i:])
		if x != 0 {
			return 8*i + bits.LeadingZeros64(x)
		}
	}
	return Bits
}

// leafHash returns the hash of a leaf.
func leafHash(key *Key, value *Hash) Hash {
	var b [leafSize]byte
	b[0] = tagLeaf
	copy(b[1:], key[:])
	copy(b[33:], value[:])
	return sha256.Sum256(b[:])
}

// innerHash returns the hash of an inner node that parts its keys at a bit.
func innerHash(bit int, left, right *Hash) Hash {
	var b [innerSize]byte
	b[0] = tagInner
	binary.BigEndian.PutUint16(b[1:], uint16(bit)) //nolint:gosec // below Bits
	copy(b[3:], left[:])
	copy(b[35:], right[:])
	return sha256.Sum256(b[:])
}
