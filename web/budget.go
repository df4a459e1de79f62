package web

import (
	"container/list"
	"sync"
	"time"
)

// leastShare is what one source may have of any budget, so that it has what one request needs.
const leastShare = 2 << 20

// budget bounds the memory of what is on its way between a server and its clients:
// in all, and an eighth of that for each source. When it is used up, what has moved for longer
// than bodyGrace is broken off, the earliest first.
type budget struct {
	limit, share int64

	mu      sync.Mutex
	used    int64
	sources map[string]int64
	moving  list.List // of *hold: what can be broken off, the earliest first
}

// hold is what one body or response has of a budget.
type hold struct {
	budget *budget
	source string
	began  time.Time
	cut    func() // breaks it off; must not block

	// Under budget.mu.
	bytes  int64
	place  *list.Element // in moving; nil: it has arrived, or was broken off
	broken bool
}

func newBudget(limit int) *budget {
	n := int64(limit)
	return &budget{limit: n, share: max(n/8, min(n, leastShare)), sources: map[string]int64{}}
}

// begin makes a hold of nothing so far.
func (b *budget) begin(source string, cut func()) *hold {
	h := &hold{budget: b, source: source, began: time.Now(), cut: cut}
	b.mu.Lock()
	defer b.mu.Unlock()
	h.place = b.moving.PushBack(h)
	return h
}

// take reserves more bytes; false if there are not so many, or if the hold was broken off.
func (h *hold) take(n int64) bool {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.broken || b.sources[h.source]+n > b.share {
		return false
	}
	for b.used+n > b.limit {
		first := b.moving.Front()
		if first == nil {
			return false
		}
		victim, _ := first.Value.(*hold) // nothing else is in the list
		if victim == h || time.Since(victim.began) < bodyGrace {
			return false
		}
		victim.broken = true
		victim.free()
		victim.cut()
	}
	h.bytes += n
	b.used += n
	b.sources[h.source] += n
	return true
}

// free gives everything back, and takes the hold out of what moves; under mu.
func (h *hold) free() {
	b := h.budget
	b.used -= h.bytes
	if b.sources[h.source] -= h.bytes; b.sources[h.source] == 0 {
		delete(b.sources, h.source)
	}
	h.bytes = 0
	h.stay()
}

// stay takes the hold out of what moves; under mu.
func (h *hold) stay() {
	if h.place != nil {
		h.budget.moving.Remove(h.place)
		h.place = nil
	}
}

// arrived says that nothing is on its way any more: it cannot be broken off, and
// keeps what it has.
func (h *hold) arrived() {
	h.budget.mu.Lock()
	defer h.budget.mu.Unlock()
	h.stay()
}

// end gives back what the hold has.
func (h *hold) end() {
	h.budget.mu.Lock()
	defer h.budget.mu.Unlock()
	h.free()
}
