package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"sort"
)

// ref points to a node of a Map: an inner node if positive, a leaf if negative,
// nothing if zero.
type ref int32

// none is the empty tree.
const none ref = 0

// inner is a node with two children. Its hash is kept in its parent, so that
// rehashing a node reads no memory but its own.
type inner struct {
	pre         [innerSize]byte // what is hashed: tag, bit, left hash, right hash
	left, right ref
	first       ref // the leftmost leaf below: any leaf shows the common prefix
}

// leaf is what is hashed for a leaf: tag, key, hash of the value.
type leaf [leafSize]byte

func (n *inner) bit() int { return int(binary.BigEndian.Uint16(n.pre[1:])) }

func (n *inner) child(side byte) (r ref, h *Hash) {
	if side == 0 {
		return n.left, (*Hash)(n.pre[3:35])
	}
	return n.right, (*Hash)(n.pre[35:67])
}

func (l *leaf) key() *Key    { return (*Key)(l[1:33]) }
func (l *leaf) value() *Hash { return (*Hash)(l[33:65]) }

// Map is an authenticated map. Update changes it; a View of the contents after
// an Update stays readable during the next one. The zero Map is empty and ready
// for use.
//
// A Map keeps about 150 bytes per leaf and no values. It has no lock: calls of
// Update must not overlap each other or any other method of the Map itself.
type Map struct {
	nodes nodes
	root  ref
	hash  Hash
	count int

	// Nodes that the last Update replaced. Views of the version before it still
	// read them; the next Update hands them out again.
	oldInners, oldLeaves []ref
}

// New returns an empty map.
func New() *Map { return &Map{} }

// Root returns the hash of the whole map; it is zero for an empty map.
func (m *Map) Root() Hash { return m.hash }

// Len returns the number of leaves.
func (m *Map) Len() int { return m.count }

// View returns the present contents for reading.
func (m *Map) View() View {
	return View{nodes: m.nodes.snapshot(), root: m.root, hash: m.hash, count: m.count}
}

// Prove returns a proof for m.Root() of the presence or absence of a key.
func (m *Map) Prove(key Key) Proof { return m.View().Prove(key) }

// Keys calls yield for every key in ascending order until it returns false.
func (m *Map) Keys(yield func(Key) bool) { m.View().Keys(yield) }

// Update makes all changes at once and returns the new root. Changes must be
// sorted by key and name no key twice; Update panics if not. Deleting a key that
// is not there changes nothing. It hashes each touched inner node once, and
// allocates only when the map outgrows its memory.
//
// Views taken before the previous Update become invalid.
func (m *Map) Update(changes []Change) Hash {
	for i := 1; i < len(changes); i++ {
		if changes[i-1].Key.Compare(changes[i].Key) >= 0 {
			panic("merkle: changes are not in strictly ascending order of keys") //nolint:forbidigo // caller's invariant
		}
	}
	m.recycle()
	if len(changes) > 0 {
		m.root = m.update(m.root, &m.hash, changes)
		if m.root == none {
			m.hash = Hash{}
		}
	}
	return m.hash
}

// recycle lets go of the version before the present one.
func (m *Map) recycle() {
	m.nodes.freeInners = append(m.nodes.freeInners, m.oldInners...)
	m.nodes.freeLeaves = append(m.nodes.freeLeaves, m.oldLeaves...)
	m.oldInners, m.oldLeaves = m.oldInners[:0], m.oldLeaves[:0]
}

// update applies changes, at least one, to the tree at r, whose hash is *h, and
// returns the new tree, leaving its hash in *h (untouched if the result is none).
// Every node it touches is replaced, never changed in place.
func (m *Map) update(r ref, h *Hash, changes []Change) ref {
	if r == none {
		return m.build(h, changes)
	}
	// Where do the changes leave the prefix that all keys below r share? Keys
	// are sorted, so the first or the last change leaves it earliest.
	at := Bits
	if r > 0 {
		at = m.nodes.inner(r).bit()
	}
	key := m.nodes.first(r)
	out := min(fork(key, &changes[0].Key), fork(key, &changes[len(changes)-1].Key))
	switch {
	case out < at:
		return m.split(r, h, key.bit(out), out, changes)
	case r > 0:
		return m.descend(r, h, changes)
	}
	return m.replace(r, h, &changes[0]) // out == Bits: the one change is of this leaf
}

// descend applies changes that all share the prefix of inner node r.
func (m *Map) descend(r ref, h *Hash, changes []Change) ref {
	n := m.nodes.inner(r)
	bit := n.bit()
	mid := part(changes, bit)
	left, right := n.left, n.right
	leftHash, rightHash := *(*Hash)(n.pre[3:]), *(*Hash)(n.pre[35:])
	if mid > 0 {
		left = m.update(left, &leftHash, changes[:mid])
	}
	if mid < len(changes) {
		right = m.update(right, &rightHash, changes[mid:])
	}
	if left == n.left && right == n.right {
		return r // nothing changed below
	}
	m.oldInners = append(m.oldInners, r)
	return m.join(h, bit, left, right, &leftHash, &rightHash)
}

// split applies changes some of which leave the prefix of r at bit out, where
// the keys of r have the given side.
func (m *Map) split(r ref, h *Hash, side byte, out int, changes []Change) ref {
	mid := part(changes, out)
	with, apart := changes[:mid], changes[mid:]
	if side == 1 {
		with, apart = apart, with
	}
	var apartHash Hash
	other := none
	if len(apart) > 0 {
		other = m.build(&apartHash, apart)
	}
	if len(with) > 0 {
		r = m.update(r, h, with)
	}
	withHash := *h
	if side == 1 {
		return m.join(h, out, other, r, &apartHash, &withHash)
	}
	return m.join(h, out, r, other, &withHash, &apartHash)
}

// replace applies a change of a leaf's own key to the leaf.
func (m *Map) replace(r ref, h *Hash, c *Change) ref {
	if c.Value == nil {
		m.oldLeaves = append(m.oldLeaves, r)
		m.count--
		return none
	}
	value := Hash(sha256.Sum256(c.Value))
	if value == *m.nodes.leaf(r).value() {
		return r
	}
	m.oldLeaves = append(m.oldLeaves, r)
	return m.newLeaf(h, &c.Key, &value)
}

// build returns the tree of the changes that set a value, leaving its hash in *h.
func (m *Map) build(h *Hash, changes []Change) ref {
	for len(changes) > 0 && changes[0].Value == nil {
		changes = changes[1:]
	}
	for len(changes) > 0 && changes[len(changes)-1].Value == nil {
		changes = changes[:len(changes)-1]
	}
	switch len(changes) {
	case 0:
		return none
	case 1:
		m.count++
		value := Hash(sha256.Sum256(changes[0].Value))
		return m.newLeaf(h, &changes[0].Key, &value)
	}
	bit := fork(&changes[0].Key, &changes[len(changes)-1].Key)
	mid := part(changes, bit)
	var leftHash, rightHash Hash
	left := m.build(&leftHash, changes[:mid])
	right := m.build(&rightHash, changes[mid:])
	return m.join(h, bit, left, right, &leftHash, &rightHash)
}

// join returns the tree of two sides that part at a bit, leaving its hash in *h.
func (m *Map) join(h *Hash, bit int, left, right ref, leftHash, rightHash *Hash) ref {
	switch {
	case left == none:
		*h = *rightHash
		return right
	case right == none:
		*h = *leftHash
		return left
	}
	r := m.nodes.newInner()
	n := m.nodes.inner(r)
	n.pre[0] = tagInner
	binary.BigEndian.PutUint16(n.pre[1:], uint16(bit))
	copy(n.pre[3:], leftHash[:])
	copy(n.pre[35:], rightHash[:])
	n.left, n.right, n.first = left, right, m.nodes.firstRef(left)
	*h = sha256.Sum256(n.pre[:])
	return r
}

func (m *Map) newLeaf(h *Hash, key *Key, value *Hash) ref {
	r := m.nodes.newLeaf()
	l := m.nodes.leaf(r)
	l[0] = tagLeaf
	*l.key(), *l.value() = *key, *value
	*h = sha256.Sum256(l[:])
	return r
}

// part returns how many of the sorted changes, which agree in all earlier bits,
// have a zero at bit.
func part(changes []Change, bit int) int {
	return sort.Search(len(changes), func(i int) bool { return changes[i].Key.bit(bit) == 1 })
}

// View is the contents of a Map after one Update. It stays valid during the next
// Update, even if that runs at the same time, and becomes invalid when the one
// after that begins. Any number of goroutines may read it.
type View struct {
	nodes nodes
	root  ref
	hash  Hash
	count int
}

// Root returns the hash of the whole map; it is zero for an empty map.
func (v View) Root() Hash { return v.hash }

// Len returns the number of leaves.
func (v View) Len() int { return v.count }

// Prove returns a proof for v.Root() of the presence or absence of a key.
func (v View) Prove(key Key) Proof {
	var p Proof
	if v.root == none {
		return p
	}
	r := v.root
	for r > 0 {
		n := v.nodes.inner(r)
		bit := n.bit()
		side := key.bit(bit)
		_, sibling := n.child(1 - side)
		p.Steps = append(p.Steps, Step{Bit: uint8(bit), Sibling: *sibling})
		r, _ = n.child(side)
	}
	l := v.nodes.leaf(r)
	p.Key, p.Value = *l.key(), *l.value()
	return p
}

// Keys calls yield for every key in ascending order until it returns false.
func (v View) Keys(yield func(Key) bool) {
	if v.root != none {
		v.keys(v.root, yield)
	}
}

func (v View) keys(r ref, yield func(Key) bool) bool {
	if r < 0 {
		return yield(*v.nodes.leaf(r).key())
	}
	n := v.nodes.inner(r)
	return v.keys(n.left, yield) && v.keys(n.right, yield)
}
