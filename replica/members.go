package replica

import (
	"maps"
	"slices"
	"sync"
	"time"

	"souk/exchange/roster"
	"souk/identity"
)

const (
	// reportEvery is how often one account's report about one member counts (S-40).
	reportEvery = time.Minute
	// reportersMost bounds the memory of who has reported in the last minute or two;
	// beyond it nobody else counts.
	reportersMost = 10_000
)

// Member is what this server has seen of a member (S-40). Anybody can make
// batches in a member's name, and reports are claims: it is a hint for operators.
type Member struct {
	ID       roster.ID
	Batches  uint64    // in its name in blocks, since this server started
	Commands uint64    // in them
	Last     time.Time // when the last one was committed; zero: none since the start
	// Reports counts how often a command reached a block through this server after
	// that member, its sender says, had left it without an answer: once a minute for
	// each account.
	Reports    uint64
	LastReport time.Time
}

// members keeps what this server has seen of each member.
type members struct {
	mu        sync.Mutex
	seen      map[roster.ID]*Member
	reporters map[reporter]time.Time // when each last counted
	swept     time.Time              // when old reporters were last forgotten
}

// reporter is an account that has reported a member.
type reporter struct {
	member  roster.ID
	account identity.Address
}

func newMembers() *members {
	return &members{seen: make(map[roster.ID]*Member), reporters: make(map[reporter]time.Time)}
}

// of returns what is kept of a member; under mu.
func (m *members) of(id roster.ID) *Member {
	if m.seen[id] == nil {
		m.seen[id] = &Member{ID: id}
	}
	return m.seen[id]
}

// batch notes a batch in a member's name that a block contained. The caller sees
// to it that the member exists.
func (m *members) batch(id roster.ID, commands int, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.of(id)
	s.Batches++
	s.Commands += uint64(commands)
	s.Last = now
}

// report notes that an account had no answer from a member, which the caller sees
// to it exists.
func (m *members) report(id roster.ID, account identity.Address, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	who := reporter{id, account}
	if last, ok := m.reporters[who]; ok && now.Sub(last) < reportEvery {
		return
	}
	if now.Sub(m.swept) >= reportEvery {
		maps.DeleteFunc(m.reporters, func(_ reporter, last time.Time) bool { return now.Sub(last) >= reportEvery })
		m.swept = now
	}
	if len(m.reporters) >= reportersMost {
		return
	}
	m.reporters[who] = now
	s := m.of(id)
	s.Reports++
	s.LastReport = now
}

// Members is what this server has seen of members, by id. Batches of servers that
// are no member's are under id 0.
func (r *Replica) Members() []Member {
	m := r.members
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Member, 0, len(m.seen))
	for _, s := range m.seen {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Member) int { return int(a.ID) - int(b.ID) })
	return all
}
