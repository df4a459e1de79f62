package market

// A ladder keeps the levels of one side of a book, or of one list of waiting
// stops, sorted by key. Keys are made so that the best level has the highest one
// (see Side.key), and so that most work happens at the end of a slice.
//
// It is a sorted list cut into chunks: finding a level is two short binary
// searches, adding or removing one moves at most a chunk's entries, and the list
// of chunks changes once in many additions. So no number of levels that an
// attacker can pay for makes an order slow.
type ladder struct {
	chunks []*chunk // ascending; the best level is the last entry of the last chunk
	lows   []uint64 // lowest key of each chunk
	count  int      // levels
	spare  *chunk   // an empty chunk kept for reuse
}

const chunkSize = 64

type chunk struct {
	n      int
	keys   [chunkSize]uint64
	levels [chunkSize]int32
}

// level is one price: a queue of orders, oldest first.
type level struct {
	key        uint64
	lots       uint64 // sum of the orders' remaining lots
	head, tail int32  // slots of orders
	orders     int32
	free       int32 // next free level, when it is in no ladder
}

// place is a position in a ladder.
type place struct{ chunk, entry int }

// best is the highest key and its level; ok is false if the ladder is empty.
func (l *ladder) best() (key uint64, lvl int32, ok bool) {
	if l.count == 0 {
		return 0, none, false
	}
	c := l.chunks[len(l.chunks)-1]
	return c.keys[c.n-1], c.levels[c.n-1], true
}

// find returns where key is, or where it belongs.
func (l *ladder) find(key uint64) (at place, found bool) {
	if l.count == 0 {
		return place{}, false
	}
	ci := len(l.chunks) - 1
	if key < l.lows[ci] { // else the commonest case: near the best
		lo, hi := 0, ci // the chunk is in [lo, hi): the last whose low is at most key, or the first
		for hi-lo > 1 {
			if mid := (lo + hi) / 2; l.lows[mid] <= key {
				lo = mid
			} else {
				hi = mid
			}
		}
		ci = lo
	}
	c := l.chunks[ci]
	lo, hi := 0, c.n
	for lo < hi {
		if mid := (lo + hi) / 2; c.keys[mid] < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return place{ci, lo}, lo < c.n && c.keys[lo] == key
}

// level returns the level at a place where find has found one.
func (l *ladder) level(at place) int32 { return l.chunks[at.chunk].levels[at.entry] }

// insert adds a level at the place where find said that its key belongs.
func (l *ladder) insert(at place, key uint64, lvl int32) {
	l.count++
	if len(l.chunks) == 0 {
		l.chunks, l.lows = append(l.chunks, l.fresh()), append(l.lows, key)
	}
	c := l.chunks[at.chunk]
	if c.n == chunkSize {
		at = l.split(at)
		c = l.chunks[at.chunk]
	}
	copy(c.keys[at.entry+1:c.n+1], c.keys[at.entry:c.n])
	copy(c.levels[at.entry+1:c.n+1], c.levels[at.entry:c.n])
	c.keys[at.entry], c.levels[at.entry] = key, lvl
	c.n++
	l.lows[at.chunk] = c.keys[0]
}

// split halves the full chunk of a place and returns where the place is now.
func (l *ladder) split(at place) place {
	const half = chunkSize / 2
	c, upper := l.chunks[at.chunk], l.fresh()
	upper.n = copy(upper.keys[:], c.keys[half:])
	copy(upper.levels[:], c.levels[half:])
	c.n = half
	l.chunks = append(l.chunks, nil)
	copy(l.chunks[at.chunk+2:], l.chunks[at.chunk+1:])
	l.chunks[at.chunk+1] = upper
	l.lows = append(l.lows, 0)
	copy(l.lows[at.chunk+2:], l.lows[at.chunk+1:])
	l.lows[at.chunk+1] = upper.keys[0]
	if at.entry > half {
		return place{at.chunk + 1, at.entry - half}
	}
	return at
}

func (l *ladder) fresh() *chunk {
	c := l.spare
	l.spare = nil
	if c == nil {
		c = new(chunk)
	}
	return c
}

// remove takes the level at a place out.
func (l *ladder) remove(at place) {
	l.count--
	c := l.chunks[at.chunk]
	copy(c.keys[at.entry:], c.keys[at.entry+1:c.n])
	copy(c.levels[at.entry:], c.levels[at.entry+1:c.n])
	c.n--
	if c.n > 0 {
		l.lows[at.chunk] = c.keys[0]
		return
	}
	l.spare = c
	l.chunks = append(l.chunks[:at.chunk], l.chunks[at.chunk+1:]...)
	l.lows = append(l.lows[:at.chunk], l.lows[at.chunk+1:]...)
}

// top is the place of the best level; it is out of the ladder if that is empty.
func (l *ladder) top() place {
	if l.count == 0 {
		return place{-1, -1}
	}
	last := len(l.chunks) - 1
	return place{last, l.chunks[last].n - 1}
}

// worse is the next place away from the best.
func (l *ladder) worse(at place) place {
	if at.entry > 0 {
		return place{at.chunk, at.entry - 1}
	}
	if at.chunk == 0 {
		return place{-1, -1}
	}
	return place{at.chunk - 1, l.chunks[at.chunk-1].n - 1}
}

// at is the key and level of a place; ok is false past the end.
func (l *ladder) at(p place) (key uint64, lvl int32, ok bool) {
	if p.chunk < 0 {
		return 0, none, false
	}
	c := l.chunks[p.chunk]
	return c.keys[p.entry], c.levels[p.entry], true
}
