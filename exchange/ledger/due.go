package ledger

// schedule is everything that will fall due, at most one item per account and
// kind: a binary heap that knows where each item is. Its order of (time,
// account, kind) is total, so what comes first does not depend on its history.
type schedule struct {
	heap  []Due
	place map[slot]int
}

type slot struct {
	kind    DueKind
	account Number
}

func newSchedule() schedule { return schedule{place: map[slot]int{}} }

func (d *Due) before(e *Due) bool {
	if d.At != e.At {
		return d.At < e.At
	}
	if d.Account != e.Account {
		return d.Account < e.Account
	}
	return d.Kind < e.Kind
}

// first returns the item that is due first.
func (s *schedule) first() (Due, bool) {
	if len(s.heap) == 0 {
		return Due{}, false
	}
	return s.heap[0], true
}

// set adds an item or moves it to another time.
func (s *schedule) set(d Due) {
	i, ok := s.place[slot{d.Kind, d.Account}]
	if !ok {
		i = len(s.heap)
		s.heap = append(s.heap, d)
	}
	s.put(i, d)
	s.settle(i)
}

// clear removes an item if it is there.
func (s *schedule) clear(kind DueKind, n Number) {
	i, ok := s.place[slot{kind, n}]
	if !ok {
		return
	}
	delete(s.place, slot{kind, n})
	last := len(s.heap) - 1
	moved := s.heap[last]
	s.heap = s.heap[:last]
	if i != last {
		s.put(i, moved)
		s.settle(i)
	}
}

func (s *schedule) put(i int, d Due) {
	s.heap[i] = d
	s.place[slot{d.Kind, d.Account}] = i
}

// settle moves the item at i up or down to where it belongs.
func (s *schedule) settle(i int) {
	for i > 0 && s.heap[i].before(&s.heap[(i-1)/2]) {
		s.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s.heap); child++ {
			if s.heap[child].before(&s.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		s.swap(i, least)
		i = least
	}
}

func (s *schedule) swap(i, j int) {
	d, e := s.heap[i], s.heap[j]
	s.put(i, e)
	s.put(j, d)
}

// has tells whether an item is there at its time.
func (s *schedule) has(d Due) bool {
	i, ok := s.place[slot{d.Kind, d.Account}]
	return ok && s.heap[i] == d
}
