package intake

import (
	"sync"
	"time"

	"souk/transport"
)

// Limits are how many messages a peer takes in. What a peer takes in is what it passes on,
// so they are made such that one who keeps them never sends more than its neighbours bear:
// Peers guaranteed shares and the pool together are below Flood, with room for what it
// publishes itself and what it is asked to send again (F-31).
type Limits struct {
	Peers int  // neighbours at most
	Share Rate // of new messages that each neighbour may bring whatever the others do
	Pool  Rate // of new messages that all may bring together beyond their shares
	New   Rate // of new messages of one neighbour, of its share and of the pool
	Flood Rate // of all messages of one neighbour, known ones too; beyond it none is read
	Cut   int  // messages beyond Flood, within a second, that make a neighbour one who floods
}

// Rate lets through so many a second, and so many at once.
type Rate struct{ Second, Burst float64 }

// Default are the limits of a network of tens of messages a second.
func Default() Limits {
	return Limits{
		Peers: 24,
		Share: Rate{Second: 4, Burst: 4},
		Pool:  Rate{Second: 100, Burst: 100},
		New:   Rate{Second: 40, Burst: 40},
		Flood: Rate{Second: 300, Burst: 300},
		Cut:   30,
	}
}

// Entry is what becomes of a message at the door.
type Entry uint8

// Entries.
const (
	Let   Entry = iota // it goes on to the validator, if it is new
	Drop               // it is not read. It may come again by another neighbour
	Flood              // the same, and its neighbour is to be cut
)

// Meter keeps Limits. Its methods may be called at once.
type Meter struct {
	limits Limits

	mu         sync.Mutex
	pool       bucket
	neighbours map[transport.ID]*allowance
	refused    uint64
}

type allowance struct {
	share, new, flood bucket
	over              bucket // of refusals: it holds Cut of them and forgets them within a second
}

// NewMeter is a meter with full buckets.
func NewMeter(limits Limits) *Meter {
	return &Meter{limits: limits, neighbours: map[transport.ID]*allowance{}}
}

// Admit decides of one message that a neighbour brings. known says that it was let in before.
func (m *Meter) Admit(from transport.ID, known bool, now time.Time) Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.neighbours[from]
	if a == nil {
		a = &allowance{}
		m.neighbours[from] = a
	}
	if !a.flood.take(m.limits.Flood, now) {
		m.refused++
		if cut := float64(m.limits.Cut); !a.over.take(Rate{Second: cut, Burst: cut}, now) {
			return Flood
		}
		return Drop
	}
	if known || a.new.take(m.limits.New, now) && (a.share.take(m.limits.Share, now) || m.pool.take(m.limits.Pool, now)) {
		return Let
	}
	m.refused++
	return Drop
}

// Forget drops what is known of a neighbour that is gone. Who comes back begins anew, which
// costs it a handshake.
func (m *Meter) Forget(p transport.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.neighbours, p)
}

// Refused is how many messages were not read.
func (m *Meter) Refused() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refused
}

// bucket is a token bucket, full at first.
type bucket struct {
	tokens float64
	last   time.Time
}

func (b *bucket) take(r Rate, now time.Time) bool {
	if b.last.IsZero() {
		b.tokens, b.last = r.Burst, now
	}
	if passed := now.Sub(b.last); passed > 0 {
		b.tokens, b.last = min(r.Burst, b.tokens+passed.Seconds()*r.Second), now
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
