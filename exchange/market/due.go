package market

// State.due holds the slots of orders that expire, as a binary heap by (expiry,
// id). Each order knows its place in it, so that cancelled orders leave at once.

func (s *State) dueLess(a, b int32) bool {
	x, y := s.orders.at(a), s.orders.at(b)
	return x.expiry < y.expiry || x.expiry == y.expiry && x.id < y.id
}

func (s *State) dueSet(i int, slot int32) {
	s.due[i] = slot
	s.orders.at(slot).due = int32(i) //nolint:gosec // at most one per order
}

func (s *State) duePush(slot int32) {
	s.due = append(s.due, slot)
	s.dueUp(len(s.due) - 1)
}

func (s *State) dueRemove(slot int32) {
	i := int(s.orders.at(slot).due)
	last := len(s.due) - 1
	moved := s.due[last]
	s.due = s.due[:last]
	if i < last {
		s.dueSet(i, moved)
		s.dueUp(i)
		s.dueDown(int(s.orders.at(moved).due))
	}
}

func (s *State) dueUp(i int) {
	slot := s.due[i]
	for i > 0 && s.dueLess(slot, s.due[(i-1)/2]) {
		s.dueSet(i, s.due[(i-1)/2])
		i = (i - 1) / 2
	}
	s.dueSet(i, slot)
}

func (s *State) dueDown(i int) {
	slot := s.due[i]
	for {
		child := 2*i + 1
		if child+1 < len(s.due) && s.dueLess(s.due[child+1], s.due[child]) {
			child++
		}
		if child >= len(s.due) || !s.dueLess(s.due[child], slot) {
			break
		}
		s.dueSet(i, s.due[child])
		i = child
	}
	s.dueSet(i, slot)
}

// NextDue is the earliest expiry of any order; false if none has one.
func (s *State) NextDue() (uint64, bool) {
	if len(s.due) == 0 {
		return 0, false
	}
	return s.orders.at(s.due[0]).expiry, true
}

// Expired closes the orders whose expiry is at or before now, by (expiry, id). It
// leaves some for the next block if there are very many (M-72).
func (s *State) Expired(now uint64, out *Result) {
	for range s.bounds.expired {
		if len(s.due) == 0 || s.orders.at(s.due[0]).expiry > now {
			return
		}
		s.closePair(s.due[0], Expired, out)
	}
}
