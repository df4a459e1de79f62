package tape

import (
	"cmp"
	"slices"

	"souk/asset"
)

// maxChunk is how many levels one part of a side has at most.
const maxChunk = 256

// side is one side of a book: levels by price, cut into parts, so that a change at any
// price of a large book moves few levels. Worst prices come first, because what changes
// most is at the best price.
type side struct {
	bid    bool
	chunks [][]Level // none is empty
}

// worse compares prices: negative if a is the worse one.
func (s *side) worse(a, b asset.Price) int {
	if s.bid {
		return cmp.Compare(a, b)
	}
	return cmp.Compare(b, a)
}

// find is where a price stands, or would have to.
func (s *side) find(p asset.Price) (chunk, at int, found bool) {
	// The last part that begins at p or at a worse price.
	chunk, found = slices.BinarySearchFunc(s.chunks, p, func(c []Level, p asset.Price) int { return s.worse(c[0].Price, p) })
	if !found && chunk > 0 {
		chunk--
	}
	if chunk == len(s.chunks) {
		return chunk, 0, false
	}
	at, found = slices.BinarySearchFunc(s.chunks[chunk], p, func(l Level, p asset.Price) int { return s.worse(l.Price, p) })
	return chunk, at, found
}

// set makes a level what it is now; quantity zero removes it.
func (s *side) set(l Level) {
	i, at, found := s.find(l.Price)
	switch {
	case found && l.Quantity != 0:
		s.chunks[i][at] = l
	case found:
		if s.chunks[i] = slices.Delete(s.chunks[i], at, at+1); len(s.chunks[i]) == 0 {
			s.chunks = slices.Delete(s.chunks, i, i+1)
		}
	case l.Quantity == 0:
	case i == len(s.chunks):
		s.chunks = append(s.chunks, append(make([]Level, 0, maxChunk), l))
	default:
		s.insert(i, at, l)
	}
}

func (s *side) insert(i, at int, l Level) {
	if c := s.chunks[i]; len(c) == maxChunk {
		half := append(make([]Level, 0, maxChunk), c[maxChunk/2:]...)
		s.chunks[i] = c[:maxChunk/2]
		s.chunks = slices.Insert(s.chunks, i+1, half)
		if at > maxChunk/2 {
			i, at = i+1, at-maxChunk/2
		}
	}
	s.chunks[i] = slices.Insert(s.chunks[i], at, l)
}

func (s *side) best() Level {
	if len(s.chunks) == 0 {
		return Level{}
	}
	c := s.chunks[len(s.chunks)-1]
	return c[len(c)-1]
}

// top is the best levels, best first.
func (s *side) top(limit int) []Level {
	var all []Level
	for i := len(s.chunks) - 1; i >= 0; i-- {
		for j := len(s.chunks[i]) - 1; j >= 0; j-- {
			if len(all) >= limit {
				return all
			}
			all = append(all, s.chunks[i][j])
		}
	}
	return all
}

// difference is the levels that make the side what it shall be, as top would list it.
func (s *side) difference(want []Level) []Level {
	var d []Level
	there := map[asset.Price]asset.Amount{}
	for _, l := range want {
		there[l.Price] = l.Quantity
	}
	for i := len(s.chunks) - 1; i >= 0; i-- {
		for j := len(s.chunks[i]) - 1; j >= 0; j-- {
			l := s.chunks[i][j]
			switch q, ok := there[l.Price]; {
			case !ok:
				d = append(d, Level{Price: l.Price})
			case q == l.Quantity:
				delete(there, l.Price)
			}
		}
	}
	for _, l := range want {
		if _, ok := there[l.Price]; ok {
			d = append(d, l)
		}
	}
	return d
}
