package identity

import (
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"io"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
)

const (
	// chunkSize is the largest number of signatures checked with one equation.
	chunkSize = 512
	// singly is the number of signatures up to which an equation does not pay.
	singly = 4
	// maxFailures is how many equations of a chunk may fail before what is left of
	// it is checked singly, so that many bad signatures cost little more than they
	// would without batches.
	maxFailures = 7
)

// Signed is bytes that begin with a tag, as AppendTag writes it, and the signature
// of them that is to be checked.
type Signed struct {
	Key       PublicKey
	Tagged    []byte
	Signature Signature
}

// Verifier checks many signatures at once, two to four times as fast as one by
// one, and with the same verdicts as PublicKey.VerifyRaw but for a chance of 2^-128.
//
// It sums the ZIP-215 equations 8(zS)B = 8(z)R + 8(zk)A of a chunk of signatures,
// each multiplied by its own unforeseeable 128-bit factor z, and joins the terms of
// signatures by the same key. If the sum is wrong, halves of the chunk are summed
// until the culprits are found. Keys that it has met are kept decompressed.
//
// A Verifier has no lock: use one for each goroutine.
type Verifier struct {
	random io.Reader
	hash   hash.Hash
	cache  keyCache
	batch  uint64 // number of the chunk, for the cache

	// Scratch memory for one chunk.
	items     []item
	keys      []term
	listed    []*term // the keys in the present equation
	equations int     // tried so far
	failures  int     // equations that were wrong
	scalars   []*scalar.Scalar
	points    []*curve.EdwardsPoint
	sum       [sha512.Size]byte
	seed      [sha512.Size + 8]byte
}

// item is one signature that is to be checked with others.
type item struct {
	r       curve.EdwardsPoint
	s, k, z scalar.Scalar // k is the hash of R, A and the message; z is random
	key     int           // index of A in keys
	verdict *bool
}

// term is a public key of the chunk, negated, and its factor in an equation.
type term struct {
	negated  curve.EdwardsPoint
	factor   scalar.Scalar
	equation int // for which factor is meant
}

// NewVerifier returns a Verifier that keeps up to the given number of public keys
// (at least 512; each takes about 300 bytes). It reads 32 bytes of random for every
// 512 signatures; if that fails, signatures are checked singly.
func NewVerifier(random io.Reader, keys int) *Verifier {
	return &Verifier{random: random, hash: sha512.New(), cache: newKeyCache(max(keys, chunkSize))}
}

// Verify appends to dst for every item of the batch, in order, whether its
// signature is valid.
func (v *Verifier) Verify(dst []bool, batch []Signed) []bool {
	first := len(dst)
	for range batch {
		dst = append(dst, false)
	}
	verdicts := dst[first:]
	for chunks := (len(batch) + chunkSize - 1) / chunkSize; chunks > 0; chunks-- {
		n := (len(batch) + chunks - 1) / chunks
		v.chunk(verdicts[:n], batch[:n])
		verdicts, batch = verdicts[n:], batch[n:]
	}
	return dst
}

// chunk sets the verdicts, all false so far, of at most chunkSize signatures.
func (v *Verifier) chunk(verdicts []bool, batch []Signed) {
	v.batch++
	v.equations, v.failures = 0, 0
	v.items, v.keys = v.items[:0], v.keys[:0]
	for i := range batch {
		v.add(&batch[i], &verdicts[i])
	}
	if len(v.items) <= singly || !v.draw() {
		v.failures = maxFailures
	}
	v.settle(v.items, false)
}

// add takes in a signature, unless it is invalid whatever the message.
func (v *Verifier) add(s *Signed, verdict *bool) {
	// RFC 8032, section 5.1.7: S is below the order of the group.
	if !scalar.ScMinimalVartime(s.Signature[32:]) {
		return
	}
	key := v.key(&s.Key)
	if key < 0 {
		return
	}
	v.items = append(v.items, item{key: key, verdict: verdict})
	it := &v.items[len(v.items)-1]
	r := curve.CompressedEdwardsY(s.Signature[:32])
	if _, err := it.r.SetCompressedY(&r); err != nil {
		v.items = v.items[:len(v.items)-1]
		return
	}
	v.hash.Reset()
	v.hash.Write(s.Signature[:32])
	v.hash.Write(s.Key[:])
	v.hash.Write(s.Tagged)
	must(it.k.SetBytesModOrderWide(v.hash.Sum(v.sum[:0])))
	must(it.s.SetBits(s.Signature[32:]))
}

// key returns the index in v.keys of a key, negated, or -1 if it is no point.
func (v *Verifier) key(k *PublicKey) int {
	slot := v.cache.get(k)
	if slot == nil {
		return -1
	}
	if slot.batch != v.batch {
		slot.batch, slot.index = v.batch, len(v.keys)
		v.keys = append(v.keys, term{negated: slot.negated})
	}
	return slot.index
}

// draw gives every item its factor. Factors depend on all that is being checked
// and on randomness, so that nobody can choose signatures to fit them, even where
// the source of randomness is predictable.
func (v *Verifier) draw() bool {
	if _, err := io.ReadFull(v.random, v.seed[:32]); err != nil {
		return false
	}
	v.hash.Reset()
	v.hash.Write(v.seed[:32])
	for i := range v.items {
		it := &v.items[i]
		b := v.sum[:]
		check(it.k.ToBytes(b[:32])) // binds R, A and the message
		check(it.s.ToBytes(b[32:]))
		v.hash.Write(b)
	}
	v.hash.Sum(v.seed[:0])
	for i := range v.items {
		if i%4 == 0 { // one hash makes four factors
			v.hash.Reset()
			binary.BigEndian.PutUint64(v.seed[sha512.Size:], uint64(i))
			v.hash.Write(v.seed[:])
			v.hash.Sum(v.sum[:0])
		}
		var z [32]byte
		copy(z[:16], v.sum[16*(i%4):])
		if z == [32]byte{} {
			z[16] = 1
		}
		must(v.items[i].z.SetBits(z[:]))
	}
	return true
}

// settle finds the verdicts of items, of which some is known to be bad or not, and
// tells whether all are good.
func (v *Verifier) settle(items []item, bad bool) bool {
	if len(items) <= singly || v.failures >= maxFailures {
		all := true
		for i := range items {
			*items[i].verdict = v.single(&items[i])
			all = all && *items[i].verdict
		}
		return all
	}
	if !bad {
		if v.equation(items) {
			for i := range items {
				*items[i].verdict = true
			}
			return true
		}
		v.failures++
	}
	mid := len(items) / 2
	good := v.settle(items[:mid], false)
	v.settle(items[mid:], good) // if nothing is wrong with the left side, it is with the right
	return false
}

// single checks one signature by its own equation.
func (v *Verifier) single(it *item) bool {
	var p curve.EdwardsPoint
	return p.TripleScalarMulBasepointVartime(&it.k, &v.keys[it.key].negated, &it.s, &it.r).IsSmallOrder()
}

// equation checks whether 8(sum(zS)B - sum(zR) - sum(zkA)) is zero.
func (v *Verifier) equation(items []item) bool {
	v.equations++
	var base, t scalar.Scalar
	v.scalars = append(v.scalars[:0], &base)
	v.points = append(v.points[:0], curve.ED25519_BASEPOINT_POINT)
	v.listed = v.listed[:0]
	for i := range items {
		it := &items[i]
		v.scalars = append(v.scalars, &it.z)
		v.points = append(v.points, &it.r)
		base.Add(&base, t.Mul(&it.z, &it.s))
		key := &v.keys[it.key]
		if key.equation != v.equations {
			key.equation = v.equations
			key.factor.Zero()
			v.listed = append(v.listed, key)
		}
		key.factor.Add(&key.factor, t.Mul(&it.z, &it.k))
	}
	base.Neg(&base)
	for _, key := range v.listed {
		key.factor.Neg(&key.factor) // the point is negated already
		v.scalars = append(v.scalars, &key.factor)
		v.points = append(v.points, &key.negated)
	}
	var p curve.EdwardsPoint
	return p.MultiscalarMulVartime(v.scalars, v.points).IsSmallOrder()
}

// must and check stand behind conversions that only fail for a wrong length.
func must(_ *scalar.Scalar, err error) { check(err) }

func check(err error) {
	if err != nil {
		panic(err) //nolint:forbidigo // lengths are constants here
	}
}

// keyCache keeps decompressed keys, evicting those not used of late (second chance).
type keyCache struct {
	index map[PublicKey]int
	slots []keySlot
	limit int
	hand  int
}

// keySlot is a key in the cache.
type keySlot struct {
	key     PublicKey
	negated curve.EdwardsPoint
	used    bool   // since the hand passed
	batch   uint64 // the chunk for which index holds
	index   int    // in Verifier.keys
}

func newKeyCache(limit int) keyCache {
	return keyCache{index: make(map[PublicKey]int), limit: limit}
}

// get returns the slot of a key, which is valid until the next call, or nil if the
// key is not a point of the curve.
func (c *keyCache) get(k *PublicKey) *keySlot {
	if i, ok := c.index[*k]; ok {
		c.slots[i].used = true
		return &c.slots[i]
	}
	compressed := curve.CompressedEdwardsY(*k)
	var p curve.EdwardsPoint
	if _, err := p.SetCompressedY(&compressed); err != nil {
		return nil
	}
	i := c.room()
	c.index[*k] = i
	s := &c.slots[i]
	*s = keySlot{key: *k}
	s.negated.Neg(&p)
	return s
}

// room returns the index of a slot for a new key.
func (c *keyCache) room() int {
	if len(c.slots) < c.limit {
		c.slots = append(c.slots, keySlot{})
		return len(c.slots) - 1
	}
	for c.slots[c.hand].used {
		c.slots[c.hand].used = false
		c.hand = (c.hand + 1) % len(c.slots)
	}
	i := c.hand
	c.hand = (c.hand + 1) % len(c.slots)
	delete(c.index, c.slots[i].key)
	return i
}
