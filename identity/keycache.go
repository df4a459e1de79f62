package identity

import (
	"encoding/binary"
	"io"
	"math/bits"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// keySetSize is how many keys share a set.
const keySetSize = 4

// keyCache keeps expanded public keys for the library's cache.Verifier: a table of
// small sets, of which a key's hash names one. A key that finds its set full takes
// the place of any other, so that a hit writes nothing and reads two places in
// memory, where a list by last use reads and writes half a dozen.
type keyCache struct {
	// seed makes the hash one that nobody can foresee: multilinear hashing with
	// random factors is strongly universal (Dietzfelbinger 1996), so keys cannot be
	// made that crowd others out.
	seed [9]uint64
	sets []keySet // a power of two, at most 2^28
}

type keySet [keySetSize]keySlot

type keySlot struct {
	key      curve.CompressedEdwardsY
	expanded *ed25519.ExpandedPublicKey // nil: empty
}

// newKeyCache makes a cache for at least so many keys. Without random bytes all
// keys share one set, which only costs time.
func newKeyCache(random io.Reader, keys int) *keyCache {
	c := &keyCache{sets: make([]keySet, 1<<bits.Len(uint(max(keys-1, 0)/keySetSize)))}
	var b [8 * len(c.seed)]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return c
	}
	for i := range c.seed {
		c.seed[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return c
}

// find returns the set of a key, and which of its slots the key takes if none is empty.
func (c *keyCache) find(key *curve.CompressedEdwardsY) (set *keySet, slot int) {
	h := c.seed[8]
	for i, factor := range c.seed[:8] {
		h += factor * uint64(binary.LittleEndian.Uint32(key[4*i:]))
	}
	h >>= 32 // the upper half is what is universal
	return &c.sets[int(h>>2)&(len(c.sets)-1)], int(h % keySetSize)
}

// Get returns a key's expanded form, or nil.
func (c *keyCache) Get(key *curve.CompressedEdwardsY) *ed25519.ExpandedPublicKey {
	set, _ := c.find(key)
	for i := range set {
		if s := &set[i]; s.key == *key {
			return s.expanded
		}
	}
	return nil
}

// Put keeps a key's expanded form.
func (c *keyCache) Put(key *curve.CompressedEdwardsY, expanded *ed25519.ExpandedPublicKey) {
	set, at := c.find(key)
	for i := range set {
		if set[i].expanded == nil {
			at = i
			break
		}
	}
	set[at] = keySlot{*key, expanded}
}
