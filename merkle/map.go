package merkle

import "math/bits"

// Map is an authenticated map, made by New. It keeps about 150 bytes per leaf and
// no values.
//
// A Map has no lock: methods that read may run at the same time, but not while
// Update runs.
type Map struct {
	nodes  nodes
	digest *digest
	now    version
	before version // the contents before the last Update
}

// version is the contents of a Map at one time.
type version struct {
	root ref
	hash Hash
}

// New returns an empty map.
func New() *Map { return &Map{digest: newDigest()} }

// Root returns the hash of the whole map; it is zero for an empty map.
func (m *Map) Root() Hash { return m.now.hash }

// Len returns the number of leaves.
func (m *Map) Len() int { return int(m.nodes.usedLeaves) - len(m.nodes.freeLeaves) }

// Prove returns a proof for m.Root() of the presence or absence of a key.
func (m *Map) Prove(key Key) Proof { return m.prove(m.now, key) }

// ProveAt returns a proof for a given root, which may be m.Root() or what that was
// before the last Update; ok is false for any other. The earlier root is the one
// that the header of the last block commits to, because a header is signed before
// its own block is executed. A caller who has only the present value of a key learns
// from Proof.Present whether it was the same then.
func (m *Map) ProveAt(root Hash, key Key) (p Proof, ok bool) {
	switch root {
	case m.now.hash:
		return m.prove(m.now, key), true
	case m.before.hash:
		return m.prove(m.before, key), true
	}
	return Proof{}, false
}

func (m *Map) prove(v version, key Key) Proof {
	var p Proof
	if v.root == none {
		return p
	}
	r := v.root
	for r > 0 {
		n := m.nodes.inner(r)
		side := key.bit(int(n.bit))
		p.Steps = append(p.Steps, Step{Bit: n.bit, Sibling: n.hashes[1-side]})
		r = n.children[side]
	}
	l := m.nodes.leaf(r)
	p.Key, p.Value = l.key, l.value
	return p
}

// Has tells whether a key is present.
func (m *Map) Has(key Key) bool {
	r := m.now.root
	for r > 0 {
		n := m.nodes.inner(r)
		r = n.children[key.bit(int(n.bit))]
	}
	return r != none && m.nodes.leaf(r).key == key
}

// Keys calls yield for every key in ascending order until it returns false.
func (m *Map) Keys(yield func(Key) bool) {
	if m.now.root != none {
		m.keys(m.now.root, yield)
	}
}

func (m *Map) keys(r ref, yield func(Key) bool) bool {
	if r < 0 {
		return yield(m.nodes.leaf(r).key)
	}
	n := m.nodes.inner(r)
	return m.keys(n.children[0], yield) && m.keys(n.children[1], yield)
}

// Update makes all changes at once and returns the new root. Changes must be
// sorted by key and name no key twice; Update panics if not. Deleting a key that
// is not there changes nothing. It hashes each touched inner node once, and
// allocates only when the map outgrows its memory. The contents as they were can
// still be proved until the next Update.
func (m *Map) Update(changes []Change) Hash {
	for i := 1; i < len(changes); i++ {
		if changes[i-1].Key.Compare(changes[i].Key) >= 0 {
			panic("merkle: changes are not in strictly ascending order of keys") //nolint:forbidigo // caller's invariant
		}
	}
	m.nodes.forget()
	m.before = m.now
	if len(changes) == 0 {
		return m.now.hash
	}
	m.now.root, m.before.root = m.update(m.now.root, &m.now.hash, 0, changes)
	if m.now.root == none {
		m.now.hash = Hash{}
	}
	return m.now.hash
}

// update applies changes, at least one, to the tree at r, whose hash is *h. It
// returns the new tree, leaving its hash in *h (untouched if the tree is none),
// and the tree as it was. All changes agree with all keys below r in the first
// agreed bits. Trees are changed in place; what is overwritten is saved. So
// nothing has changed if and only if both results are r.
func (m *Map) update(r ref, h *Hash, agreed int, changes []Change) (now, was ref) {
	if r == none {
		return m.build(h, changes), none
	}
	// Where do the changes leave the prefix that all keys below r share? Keys
	// are sorted, so the first or the last change leaves it earliest.
	first, last := &changes[0].Key, &changes[len(changes)-1].Key
	if r < 0 {
		key := &m.nodes.leaf(r).key
		out := fork(key, first)
		if len(changes) > 1 {
			out = min(out, fork(key, last))
		}
		if out < Bits {
			return m.split(r, h, key.bit(out), out, changes)
		}
		return m.replace(r, h, &changes[0])
	}
	n := m.nodes.inner(r)
	bit := int(n.bit)
	if bit-agreed > windowSize { // rare: near the root
		key := m.nodes.some(r)
		if out := min(fork(key, first), fork(key, last)); out < bit {
			return m.split(r, h, key.bit(out), out, changes)
		}
		return m.descend(r, n, h, changes)
	}
	differ := (first.window(bit) ^ n.before) | (last.window(bit) ^ n.before)
	if differ &= 1<<(bit-agreed) - 1; differ != 0 {
		i := bits.Len32(differ)
		return m.split(r, h, byte(n.before>>(i-1)&1), bit-i, changes)
	}
	return m.descend(r, n, h, changes)
}

// descend applies changes that all share the prefix of inner node r, which is n.
func (m *Map) descend(r ref, n *inner, h *Hash, changes []Change) (now, was ref) {
	bit := int(n.bit)
	mid := part(changes, bit)
	left, right := n.children[0], n.children[1]
	leftNow, leftWas, rightNow, rightWas := left, left, right, right
	was = m.nodes.saveInner(n)
	if mid > 0 {
		leftNow, leftWas = m.update(left, &n.hashes[0], bit+1, changes[:mid])
	}
	if mid < len(changes) {
		rightNow, rightWas = m.update(right, &n.hashes[1], bit+1, changes[mid:])
	}
	if leftNow == left && leftWas == left && rightNow == right && rightWas == right {
		m.nodes.unsaveInner()
		return r, r
	}
	m.nodes.inner(was).children = [2]ref{leftWas, rightWas}
	switch {
	case leftNow == none:
		*h = n.hashes[1]
		m.nodes.freeInner(r)
		return rightNow, was // none, if the right side is gone too
	case rightNow == none:
		*h = n.hashes[0]
		m.nodes.freeInner(r)
		return leftNow, was
	}
	n.children = [2]ref{leftNow, rightNow}
	*h = m.digest.hashInner(bit, &n.hashes[0], &n.hashes[1])
	return r, was
}

// split applies changes some of which leave the prefix of r at bit out, where
// the keys of r have the given side.
func (m *Map) split(r ref, h *Hash, side byte, out int, changes []Change) (now, was ref) {
	mid := part(changes, out)
	with, apart := changes[:mid], changes[mid:]
	if side == 1 {
		with, apart = apart, with
	}
	var hashes [2]Hash
	other := none
	if len(apart) > 0 {
		other = m.build(&hashes[1-side], apart)
	}
	was = r
	if len(with) > 0 {
		r, was = m.update(r, h, out+1, with)
	}
	switch {
	case other == none:
		return r, was
	case r == none:
		*h = hashes[1-side]
		return other, was
	}
	hashes[side] = *h
	children := [2]ref{r, other}
	if side == 1 {
		children = [2]ref{other, r}
	}
	return m.join(h, out, &changes[0].Key, children, &hashes), was
}

// replace applies a change of a leaf's own key to the leaf.
func (m *Map) replace(r ref, h *Hash, c *Change) (now, was ref) {
	l := m.nodes.leaf(r)
	if c.Value == nil {
		was = m.nodes.saveLeaf(l)
		m.nodes.freeLeaf(r)
		return none, was
	}
	value := m.digest.hashValue(c.Value)
	if value == l.value {
		return r, r
	}
	was = m.nodes.saveLeaf(l)
	l.value = value
	*h = m.digest.hashLeaf(&l.key, &l.value)
	return r, was
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
		r := m.nodes.newLeaf()
		l := m.nodes.leaf(r)
		l.key, l.value = changes[0].Key, m.digest.hashValue(changes[0].Value)
		*h = m.digest.hashLeaf(&l.key, &l.value)
		return r
	}
	bit := fork(&changes[0].Key, &changes[len(changes)-1].Key)
	mid := part(changes, bit)
	var hashes [2]Hash
	left := m.build(&hashes[0], changes[:mid])
	right := m.build(&hashes[1], changes[mid:])
	return m.join(h, bit, &changes[0].Key, [2]ref{left, right}, &hashes)
}

// join returns a new inner node for two trees that part at a bit and agree with a
// key before it, leaving its hash in *h.
func (m *Map) join(h *Hash, bit int, key *Key, children [2]ref, hashes *[2]Hash) ref {
	r := m.nodes.newInner()
	*m.nodes.inner(r) = inner{children: children, before: key.window(bit), bit: uint8(bit), hashes: *hashes} //nolint:gosec // below Bits
	*h = m.digest.hashInner(bit, &hashes[0], &hashes[1])
	return r
}

// part returns how many of the sorted changes, which agree in all earlier bits,
// have a zero at bit.
func part(changes []Change, bit int) int {
	low, high := 0, len(changes)
	for low < high {
		if mid := int(uint(low+high) / 2); changes[mid].Key.bit(bit) == 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}
