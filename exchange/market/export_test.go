package market

// SetBounds changes the bounds of a block's work, so that small books get there.
func (s *State) SetBounds(asked, triggered, expired int) {
	s.bounds = bounds{asked, triggered, expired}
}

// Bounds are the bounds that rules name.
func (s *State) Bounds() (asked, triggered, expired int) {
	return s.bounds.asked, s.bounds.triggered, s.bounds.expired
}
