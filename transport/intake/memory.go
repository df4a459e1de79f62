package intake

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"souk/transport"
)

// Memory is how long a message is known (F-21).
const Memory = 2 * time.Minute

// MessageID names a message by what it says and on which topic (F-20).
type MessageID [sha256.Size]byte

// IDOf is the id of a message.
func IDOf(topic string, data []byte) MessageID {
	h := sha256.New()
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(topic)))
	h.Write(size[:])
	h.Write([]byte(topic))
	h.Write(data)
	return MessageID(h.Sum(nil))
}

// Seen knows the messages of the last two to four minutes.
type Seen struct {
	mu       sync.Mutex
	new, old map[MessageID]struct{}
	since    time.Time // when new was begun
}

// NewSeen knows none.
func NewSeen() *Seen { return &Seen{new: map[MessageID]struct{}{}} }

// Has tells whether a message is known.
func (s *Seen) Has(id MessageID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.has(id)
}

// Add remembers a message, and tells whether it is new.
func (s *Seen) Add(id MessageID, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if passed := now.Sub(s.since); passed >= Memory {
		s.old, s.new, s.since = s.new, map[MessageID]struct{}{}, now
		if passed >= 2*Memory {
			s.old = nil
		}
	}
	if s.has(id) {
		return false
	}
	s.new[id] = struct{}{}
	return true
}

func (s *Seen) has(id MessageID) bool {
	if _, ok := s.new[id]; ok {
		return true
	}
	_, ok := s.old[id]
	return ok
}

// MaxBans is how many peers are shut out at once; beyond, who would be let in first is let in.
const MaxBans = 4096

// Bans is who is shut out.
type Bans struct {
	mu   sync.Mutex
	bans map[transport.ID]transport.Ban
}

// NewBans shuts nobody out.
func NewBans() *Bans { return &Bans{bans: map[transport.ID]transport.Ban{}} }

// Add shuts a peer out. A ban is made longer by another, never shorter, but a time that has
// passed ends it.
func (b *Bans) Add(ban transport.Ban, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !ban.Until.After(now) {
		delete(b.bans, ban.ID)
		return
	}
	if old, ok := b.bans[ban.ID]; ok && old.Until.After(ban.Until) {
		return
	}
	b.bans[ban.ID] = ban
	if len(b.bans) <= MaxBans {
		return
	}
	b.list(now)
	for len(b.bans) > MaxBans {
		first := ban
		for _, other := range b.bans {
			if earlier(other, first) < 0 {
				first = other
			}
		}
		delete(b.bans, first.ID)
	}
}

// Has tells whether a peer is shut out.
func (b *Bans) Has(p transport.ID, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ban, ok := b.bans[p]
	return ok && ban.Until.After(now)
}

// List are those who are shut out, who is let in first is first.
func (b *Bans) List(now time.Time) []transport.Ban {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.list(now)
}

// list also forgets who is let in again; the caller holds mu.
func (b *Bans) list(now time.Time) []transport.Ban {
	list := make([]transport.Ban, 0, len(b.bans))
	for id, ban := range b.bans {
		if ban.Until.After(now) {
			list = append(list, ban)
		} else {
			delete(b.bans, id)
		}
	}
	slices.SortFunc(list, earlier)
	return list
}

func earlier(a, b transport.Ban) int {
	return cmp.Or(a.Until.Compare(b.Until), slices.Compare(a.ID[:], b.ID[:]))
}
