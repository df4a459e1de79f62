package memstore

// Depth returns the length of the longest path in the store's tree.
func Depth(s *Store) int { return depth(s.root) }

func depth(n *node) int {
	if n == nil {
		return 0
	}
	return 1 + max(depth(n.left), depth(n.right))
}
