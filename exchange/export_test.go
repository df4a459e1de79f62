package exchange

// SetBounds changes how many items fall due in a block, and after how many orders
// cancel-alls have to wait (K-12).
func (s *State) SetBounds(due, cancelled int) { s.bounds = bounds{due, cancelled} }
