package merkle

// Slots returns how many inner nodes and leaves are in use.
func (m *Map) Slots() (inners, leaves int) {
	return int(m.nodes.usedInners) - len(m.nodes.freeInners), int(m.nodes.usedLeaves) - len(m.nodes.freeLeaves)
}

// WithoutState makes the map hash by sha256.Sum256.
func (m *Map) WithoutState() *Map {
	m.digest.state = nil
	return m
}
