package merkle

const (
	pageBits = 10
	pageSize = 1 << pageBits
)

// nodes is the memory of a Map: pages of inner nodes and of leaves, none of which
// holds a pointer, so that the garbage collector has nothing to scan. Pages never
// move, so a copy of the page tables can be read while the Map goes on growing.
type nodes struct {
	inners                 []*[pageSize]inner
	leaves                 []*[pageSize]leaf
	usedInners, usedLeaves int // slots ever handed out
	freeInners, freeLeaves []ref
}

// snapshot returns what readers need.
func (s *nodes) snapshot() nodes { return nodes{inners: s.inners, leaves: s.leaves} }

func (s *nodes) inner(r ref) *inner {
	i := uint32(r) - 1
	return &s.inners[i>>pageBits][i&(pageSize-1)]
}

func (s *nodes) leaf(r ref) *leaf {
	i := uint32(-r) - 1
	return &s.leaves[i>>pageBits][i&(pageSize-1)]
}

// firstRef returns the leftmost leaf of the tree at r.
func (s *nodes) firstRef(r ref) ref {
	if r < 0 {
		return r
	}
	return s.inner(r).first
}

// first returns the key of the leftmost leaf of the tree at r.
func (s *nodes) first(r ref) *Key { return s.leaf(s.firstRef(r)).key() }

func (s *nodes) newInner() ref {
	if n := len(s.freeInners); n > 0 {
		r := s.freeInners[n-1]
		s.freeInners = s.freeInners[:n-1]
		return r
	}
	if s.usedInners == len(s.inners)*pageSize {
		s.inners = append(s.inners, new([pageSize]inner))
	}
	s.usedInners++
	return ref(s.usedInners)
}

func (s *nodes) newLeaf() ref {
	if n := len(s.freeLeaves); n > 0 {
		r := s.freeLeaves[n-1]
		s.freeLeaves = s.freeLeaves[:n-1]
		return r
	}
	if s.usedLeaves == len(s.leaves)*pageSize {
		s.leaves = append(s.leaves, new([pageSize]leaf))
	}
	s.usedLeaves++
	return -ref(s.usedLeaves)
}
