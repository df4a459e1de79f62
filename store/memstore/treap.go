package memstore

import "bytes"

// node is the root of a treap: a search tree by key that is a heap by the hash
// of the key, and so of one shape whatever the order of writes, and of
// logarithmic depth. A tree that has been published is never changed: a batch
// copies the path to what it writes. A root is thus a snapshot for free.
type node struct {
	key, value  []byte
	heat        uint64 // hash of key; a parent's is not less than its children's
	left, right *node
	owner       *edit // whose node it is to change in place
}

// edit is the making of one new tree from an old one. It changes in place the
// nodes that it has made itself, and copies the others.
type edit struct{ _ byte } // not empty, for pointers to empty values may be equal

// own returns n, or a copy of it, for the edit to change.
func (e *edit) own(n *node) *node {
	if n.owner == e {
		return n
	}
	c := *n
	c.owner = e
	return &c
}

// find returns the node of key, or nil.
func (n *node) find(key []byte) *node {
	for n != nil {
		switch c := bytes.Compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n
		}
	}
	return nil
}

// walk calls visit for the nodes with keys in [from, to) in order until it
// returns false, which is then what walk returns. A nil to means the end.
func (n *node) walk(from, to []byte, visit func(*node) bool) bool {
	if n == nil {
		return true
	}
	low := bytes.Compare(n.key, from) >= 0
	high := to == nil || bytes.Compare(n.key, to) < 0
	if low && !n.left.walk(from, to, visit) {
		return false
	}
	if low && high && !visit(n) {
		return false
	}
	return !high || n.right.walk(from, to, visit)
}

// hotter reports whether n belongs above m. It is an order on keys, so no two
// nodes of a tree are equal in it.
func (n *node) hotter(m *node) bool {
	return n.heat > m.heat || n.heat == m.heat && bytes.Compare(n.key, m.key) < 0
}

// set returns the tree with the key of added set to its value.
func (e *edit) set(n, added *node) *node {
	if n == nil {
		return added
	}
	if added.hotter(n) { // than all below n too: the key is not there
		added.left, added.right = e.split(n, added.key)
		return added
	}
	n = e.own(n)
	switch c := bytes.Compare(added.key, n.key); {
	case c < 0:
		n.left = e.set(n.left, added)
	case c > 0:
		n.right = e.set(n.right, added)
	default:
		n.value = added.value
	}
	return n
}

// remove returns the tree without key.
func (e *edit) remove(n *node, key []byte) *node {
	if n.find(key) == nil {
		return n
	}
	return e.cut(n, key)
}

// cut takes out the node of key, which is there.
func (e *edit) cut(n *node, key []byte) *node {
	c := bytes.Compare(key, n.key)
	if c == 0 {
		return e.join(n.left, n.right)
	}
	n = e.own(n)
	if c < 0 {
		n.left = e.cut(n.left, key)
	} else {
		n.right = e.cut(n.right, key)
	}
	return n
}

// removeRange returns the tree without the keys in [from, to); a nil to means
// the end.
func (e *edit) removeRange(n *node, from, to []byte) *node {
	if to != nil && bytes.Compare(from, to) >= 0 {
		return n
	}
	left, rest := e.split(n, from)
	if to == nil {
		return left
	}
	_, right := e.split(rest, to)
	return e.join(left, right)
}

// split parts a tree into the keys less than key and the others.
func (e *edit) split(n *node, key []byte) (less, others *node) {
	if n == nil {
		return nil, nil
	}
	n = e.own(n)
	if bytes.Compare(n.key, key) < 0 {
		n.right, others = e.split(n.right, key)
		return n, others
	}
	less, n.left = e.split(n.left, key)
	return less, n
}

// join unites two trees; every key of left is less than every key of right.
func (e *edit) join(left, right *node) *node {
	switch {
	case left == nil:
		return right
	case right == nil:
		return left
	case left.hotter(right):
		left = e.own(left)
		left.right = e.join(left.right, right)
		return left
	default:
		right = e.own(right)
		right.left = e.join(left, right.left)
		return right
	}
}

// hash is FNV-1a, its bits mixed (Stafford's variant 13), for FNV leaves the
// high bits of short keys alike.
func hash(key []byte) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, b := range key {
		h = (h ^ uint64(b)) * 0x100000001b3
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
