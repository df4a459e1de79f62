package merkle

// ref points to a node of a Map: an inner node if positive, a leaf if negative,
// nothing if zero. With savedBit set in its index the node is one that the last
// Update replaced.
type ref int32

const (
	none     ref = 0 // the empty tree
	savedBit     = 1 << 30
	pageBits     = 10
	pageSize     = 1 << pageBits
)

// inner is a node with two children. Its hash is kept in its parent, so that
// rehashing a node reads no memory but its own.
type inner struct {
	children [2]ref
	before   uint32 // the windowSize bits before bit, which all keys below share
	bit      uint8  // where the keys of the two sides differ
	hashes   [2]Hash
}

// leaf is a key and the hash of its value.
type leaf struct {
	key   Key
	value Hash
}

// nodes is the memory of a Map: pages of inner nodes and of leaves. Nodes hold no
// pointers, so the garbage collector has nothing to scan; pages never move, so
// growing copies nothing.
type nodes struct {
	inners                 []*[pageSize]inner
	leaves                 []*[pageSize]leaf
	usedInners, usedLeaves ref // how many slots were ever handed out
	freeInners, freeLeaves []ref

	// What the last Update replaced, for proofs of the version before it.
	savedInners []inner
	savedLeaves []leaf
}

// inner returns the inner node at r. It stays in place until it is freed.
func (s *nodes) inner(r ref) *inner {
	i := uint32(r) - 1 //nolint:gosec // positive
	if i&savedBit != 0 {
		return &s.savedInners[i&^savedBit]
	}
	return &s.inners[i>>pageBits][i&(pageSize-1)]
}

// leaf returns the leaf at r. It stays in place until it is freed.
func (s *nodes) leaf(r ref) *leaf {
	i := uint32(-r) - 1 //nolint:gosec // positive
	if i&savedBit != 0 {
		return &s.savedLeaves[i&^savedBit]
	}
	return &s.leaves[i>>pageBits][i&(pageSize-1)]
}

// some returns the key of a leaf of the tree at r.
func (s *nodes) some(r ref) *Key {
	for r > 0 {
		r = s.inner(r).children[0]
	}
	return &s.leaf(r).key
}

// forget drops the saved nodes.
func (s *nodes) forget() {
	s.savedInners, s.savedLeaves = s.savedInners[:0], s.savedLeaves[:0]
}

// saveInner keeps a copy of an inner node as it was. The caller sees to it that
// the copy's children become the ones that were.
func (s *nodes) saveInner(n *inner) ref {
	s.savedInners = append(s.savedInners, *n)
	return ref(len(s.savedInners) | savedBit) //nolint:gosec // below savedBit
}

// unsaveInner drops the copy saved last.
func (s *nodes) unsaveInner() { s.savedInners = s.savedInners[:len(s.savedInners)-1] }

// saveLeaf keeps a copy of a leaf as it was.
func (s *nodes) saveLeaf(l *leaf) ref {
	s.savedLeaves = append(s.savedLeaves, *l)
	return -ref(len(s.savedLeaves) | savedBit) //nolint:gosec // below savedBit
}

func (s *nodes) newInner() ref {
	if n := len(s.freeInners); n > 0 {
		r := s.freeInners[n-1]
		s.freeInners = s.freeInners[:n-1]
		return r
	}
	if int(s.usedInners) == len(s.inners)*pageSize {
		s.inners = append(s.inners, new([pageSize]inner))
	}
	s.usedInners++
	return s.usedInners
}

func (s *nodes) newLeaf() ref {
	if n := len(s.freeLeaves); n > 0 {
		r := s.freeLeaves[n-1]
		s.freeLeaves = s.freeLeaves[:n-1]
		return r
	}
	if int(s.usedLeaves) == len(s.leaves)*pageSize {
		if s.usedLeaves == savedBit {
			panic("merkle: map is full") //nolint:forbidigo // 2^30 leaves would take 150 GB
		}
		s.leaves = append(s.leaves, new([pageSize]leaf))
	}
	s.usedLeaves++
	return -s.usedLeaves
}

func (s *nodes) freeInner(r ref) { s.freeInners = append(s.freeInners, r) }

func (s *nodes) freeLeaf(r ref) { s.freeLeaves = append(s.freeLeaves, r) }
