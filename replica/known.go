package replica

import (
	"bytes"
	"context"
	"hash/maphash"
	"sync"
)

// commandMemory is about what a parsed command takes besides its bytes.
const commandMemory = 208

// rejectedShare is the part of the memory for known payloads that bad ones may take.
const rejectedShare = 16

// known remembers what became of the check of each payload, and the commands of
// good ones, so that signatures are verified and commands parsed once. It finds
// payloads by a keyed hash and then compares their bytes: that is an order of
// magnitude faster than SHA-256, and as exact.
type known struct {
	seed maphash.Seed

	mu       sync.Mutex
	entries  map[uint64]*entry // by hash of the payload
	good     shelf
	rejected shelf
	// Hashes of the payloads that blocks contained of late. A false hit would
	// keep one payload out of this server's proposals, and costs an attacker 2^64.
	committed     map[uint64]struct{}
	committedRing []uint64
	committedNext int
}

// entry is a payload that is being checked or was.
type entry struct {
	hash    uint64
	payload []byte
	done    chan struct{} // closed when the fields below are set
	batch   Batch
	err     error
	aborted bool // the check was broken off; somebody else must do it
}

// shelf is a queue of entries that forgets the oldest beyond limit bytes.
type shelf struct {
	queue []*entry // some may have left the map already
	bytes int
	limit int
}

// committedKept is how many payloads of past blocks are remembered.
const committedKept = 4096

func newKnown(limit int) *known {
	return &known{
		seed: maphash.MakeSeed(), entries: make(map[uint64]*entry), committed: make(map[uint64]struct{}),
		good: shelf{limit: limit}, rejected: shelf{limit: limit / rejectedShare},
		committedRing: make([]uint64, 0, committedKept),
	}
}

func (k *known) hash(payload []byte) uint64 { return maphash.Bytes(k.seed, payload) }

// find returns the entry of a payload, or nil. The entry may not be done yet.
func (k *known) find(payload []byte) *entry {
	h := k.hash(payload)
	k.mu.Lock()
	e := k.entries[h]
	k.mu.Unlock()
	if e == nil || !same(e.payload, payload) {
		return nil
	}
	return e
}

// claim returns the entry of a payload. mine tells that it is new and that the
// caller must settle it. An entry that is nil besides means that another payload
// has the same hash: the caller checks this one for himself.
func (k *known) claim(payload []byte) (e *entry, mine bool) {
	h := k.hash(payload)
	k.mu.Lock()
	defer k.mu.Unlock()
	if e = k.entries[h]; e != nil {
		if !same(e.payload, payload) {
			return nil, true
		}
		return e, false
	}
	e = &entry{hash: h, payload: payload, done: make(chan struct{})}
	k.entries[h] = e
	return e, true
}

// settle sets the outcome of a claimed entry. An aborted one is forgotten.
func (k *known) settle(e *entry, b Batch, err error, aborted bool) {
	if e == nil {
		return
	}
	e.batch, e.err, e.aborted = b, err, aborted
	k.mu.Lock()
	switch {
	case aborted:
		delete(k.entries, e.hash)
	case err != nil:
		k.put(&k.rejected, e)
	default:
		k.put(&k.good, e)
	}
	k.mu.Unlock()
	close(e.done)
}

// put adds an entry to a shelf and forgets what is too much; under mu.
func (k *known) put(s *shelf, e *entry) {
	s.queue = append(s.queue, e)
	s.bytes += e.size()
	for s.bytes > s.limit && len(s.queue) > 1 {
		k.forget(s.queue[0])
		s.bytes -= s.queue[0].size()
		s.queue[0] = nil
		s.queue = s.queue[1:]
	}
}

// forget takes an entry out of the map; under mu.
func (k *known) forget(e *entry) {
	if k.entries[e.hash] == e {
		delete(k.entries, e.hash)
	}
}

func (e *entry) size() int { return len(e.payload) + commandMemory*len(e.batch.Commands) }

// wait waits for the outcome of an entry that somebody else is checking.
func (e *entry) wait(ctx context.Context) error {
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// add makes a payload known that was checked before it was made.
func (k *known) add(payload []byte, b Batch) {
	if e, mine := k.claim(payload); mine {
		k.settle(e, b, nil, false)
	}
}

// commit forgets payloads that a block contained, and remembers that it did.
func (k *known) commit(payloads [][]byte) {
	hashes := make([]uint64, len(payloads))
	for i, p := range payloads {
		hashes[i] = k.hash(p)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	gone := 0
	for i, h := range hashes {
		if e := k.entries[h]; e != nil && same(e.payload, payloads[i]) {
			k.forget(e)
			gone++
		}
		if len(k.committedRing) < committedKept {
			k.committedRing = append(k.committedRing, h)
		} else {
			delete(k.committed, k.committedRing[k.committedNext])
			k.committedRing[k.committedNext] = h
			k.committedNext = (k.committedNext + 1) % committedKept
		}
		k.committed[h] = struct{}{}
	}
	if gone > 0 {
		k.good.sweep(k.entries)
	}
}

// sweep takes entries off the shelf that are no longer known.
func (s *shelf) sweep(entries map[uint64]*entry) {
	kept := s.queue[:0]
	for _, e := range s.queue {
		if entries[e.hash] == e {
			kept = append(kept, e)
		} else {
			s.bytes -= e.size()
		}
	}
	clear(s.queue[len(kept):])
	s.queue = kept
}

// wasCommitted tells whether a block of late contained the payload.
func (k *known) wasCommitted(payload []byte) bool {
	h := k.hash(payload)
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.committed[h]
	return ok
}

// same compares payloads, fast if they are the same memory.
func same(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	return len(a) == 0 || &a[0] == &b[0] || bytes.Equal(a, b)
}
