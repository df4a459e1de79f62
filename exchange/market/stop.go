package market

import "slices"

// A stop waits in one of two ladders of its market, whose best level is the one
// that triggers first (M-60).
const (
	rising  = 0 // triggers when the last price is at or above the trigger
	falling = 1 // triggers when the last price is at or below the trigger
)

// direction is the ladder that a waiting order waits in: a stop fires when the
// price moves against its side, a take-profit when it moves in its favour.
func (o *order) direction() int {
	profit := o.kind == TakeProfitOrder || o.kind == TakeProfitLimitOrder
	if (o.side == Buy) != profit {
		return rising
	}
	return falling
}

// waitKey makes the trigger nearest to firing the highest key.
func waitKey(direction int, price uint64) uint64 {
	if direction == rising {
		return ^price
	}
	return price
}

// wait puts a stop into its ladder.
func (s *State) wait(b *book, slot int32) {
	o := s.orders.at(slot)
	o.status = Waiting
	d := o.direction()
	s.join(&b.waiting[d], waitKey(d, uint64(o.trigger)), slot)
	s.touch(o)
}

// reached is the best level of a ladder of stops if the last price has reached it.
func (b *book) reached(direction int) (lvl int32, ok bool) {
	key, lvl, any := b.waiting[direction].best()
	return lvl, any && !b.Paused && b.Last != 0 && key >= waitKey(direction, uint64(b.Last))
}

// HasTriggered tells whether Trigger would trigger anything, so that a block is
// due on an otherwise idle chain.
func (s *State) HasTriggered() bool {
	for _, b := range s.books {
		_, up := b.reached(rising)
		_, down := b.reached(falling)
		if up || down {
			return true
		}
	}
	return false
}

// Trigger moves the stops that the last prices have reached from the waiting
// lists into this block's batch, by market and id, and closes the limit legs of
// their OCO pairs. It appends to out.Triggered and out.Closed. It must be called
// once per block before the first Stage (M-61). It leaves some for the next block
// if there are very many.
func (s *State) Trigger(out *Result) {
	for _, b := range s.books {
		fired := s.fired[:0]
		for d := rising; d <= falling; d++ {
			for lvl, ok := b.reached(d); ok && len(fired) < s.bounds.triggered; lvl, ok = b.reached(d) {
				slot := s.levels[lvl].head
				s.leave(&b.waiting[d], slot)
				fired = append(fired, slot)
			}
		}
		slices.SortFunc(fired, s.byID)
		for _, slot := range fired {
			o := s.orders.at(slot)
			s.enter(b, s.presence(o.owner, o.market), slot)
			s.touch(o)
			if o.sibling != none {
				s.part(b, slot, out)
			}
			out.Triggered = append(out.Triggered, o.id)
		}
		s.fired = fired
	}
}

func (s *State) byID(a, b int32) int {
	if s.orders.at(a).id < s.orders.at(b).id {
		return -1
	}
	return 1
}
