package courier

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"souk/identity"
	"souk/peernet"
	"souk/peernet/terms"
	"souk/store"
	"souk/transport"
)

// Times and bounds of membership.
const (
	memberTick    = time.Second
	measureNear   = 30 * time.Second // between two measurements of a neighbour
	measureFar    = 10 * time.Minute // the same of anybody else
	retryFirst    = 15 * time.Second // after a peer could not be reached; doubled each time
	retryMost     = 15 * time.Minute
	retries       = 6 // then a peer has no distance any more
	probeTime     = 15 * time.Second
	maxProbes     = 8 // measurements under way
	termsEvery    = 10 * time.Minute
	saveEvery     = 5 * time.Minute
	faultBan      = 30 * 24 * time.Hour // who signs two rosters
	maxBans       = 4096
	maxCandidates = peernet.MaxNear
	maxPeerAddrs  = 8
	faultTopic    = "souk/faults/1"
)

// MemberConfig is what membership works with.
type MemberConfig struct {
	Net     transport.Net
	Key     identity.PrivateKey // of the same peer as Net
	Store   store.Store
	Finders []transport.Finder
	Ring    peernet.Config
	// Terms are what this peer accepts, signed; nil, or an answer of nil, for nothing.
	Terms  func() *terms.Terms
	Random io.Reader // nil is the system's
	Log    *slog.Logger
}

// Members keeps this peer among others: it finds peers, measures how far they are, keeps
// the nearest, sits in a ring with some, exchanges terms and shuts out who lies. All methods
// may be called from several goroutines.
type Members struct {
	MemberConfig
	random *lockedReader
	guard  transport.Guard // nil if the network has none
	addrs  func() []transport.Addr

	mu       sync.Mutex
	ctx      context.Context //nolint:containedctx // of Run; letters leave while it lasts
	running  sync.WaitGroup
	seat     *peernet.Seat
	known    map[transport.ID]*candidate
	bans     map[transport.ID]transport.Ban
	boxes    map[transport.ID]*outbox
	streams  map[transport.ID]*inflow
	probes   int
	nextSave time.Time
	counts   MemberCounts
	failed   error // of the disk: then nothing is signed any more
}

// candidate is a peer that is known of.
type candidate struct {
	addrs    []transport.Addr
	next     time.Time // when it is measured again
	busy     bool
	failures int
	terms    *terms.Terms
	asked    time.Time // for its terms
}

// MemberCounts says what happened since the start.
type MemberCounts struct {
	Found, Measured, Unreached      uint64
	Sent, Unsent, Received, Refused uint64 // messages of rings
	Rings, Faults, Bans             uint64
}

// NewMembers opens what is kept. It does nothing before Run.
func NewMembers(config MemberConfig) (*Members, error) {
	if config.Net.Self() != config.Key.Public() {
		return nil, errors.New("the network is another peer's")
	}
	if err := config.Ring.Check(); err != nil {
		return nil, err
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	m := &Members{
		MemberConfig: config, random: &lockedReader{r: config.Random}, known: map[transport.ID]*candidate{}, bans: map[transport.ID]transport.Ban{},
		boxes: map[transport.ID]*outbox{}, streams: map[transport.ID]*inflow{}, addrs: func() []transport.Addr { return nil },
	}
	m.guard, _ = config.Net.(transport.Guard)
	if l, ok := config.Net.(transport.Located); ok {
		m.addrs = l.Addrs
	}
	if err := m.load(); err != nil {
		return nil, fmt.Errorf("open membership: %w", err)
	}
	return m, nil
}

// Run takes part until the context ends. Its error is the disk's, or the network's when it
// is closed.
func (m *Members) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sub, err := m.Net.Subscribe(faultTopic, m.judgeFault)
	if err != nil {
		return fmt.Errorf("listen for faults: %w", err)
	}
	m.mu.Lock()
	m.ctx = ctx
	for id, b := range m.bans {
		if m.guard != nil {
			m.guard.Ban(id, b.Until, b.Why)
		}
	}
	m.mu.Unlock()
	m.Net.Handle(protocolRing, m.serveRing)
	m.Net.Handle(protocolPing, m.servePing)
	m.Net.Handle(protocolTerms, m.serveTerms)
	self := transport.Peer{ID: m.Net.Self(), Addrs: m.addrs()}
	for _, f := range m.Finders {
		m.running.Go(func() {
			if err := f.Find(ctx, self, m.Found); err != nil && ctx.Err() == nil {
				m.Log.WarnContext(ctx, "a way to find peers ended", slog.Any("error", err))
			}
		})
	}
	m.running.Go(func() { m.hearFaults(ctx, sub) })
	err = m.loop(ctx)
	cancel()
	for _, p := range []string{protocolRing, protocolPing, protocolTerms} {
		m.Net.Handle(p, nil)
	}
	_ = sub.Close()
	m.mu.Lock()
	m.ctx = nil // from here on nothing begins
	m.mu.Unlock()
	m.running.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	return errors.Join(err, m.save())
}

func (m *Members) loop(ctx context.Context) error {
	tick := time.NewTicker(memberTick)
	defer tick.Stop()
	for {
		m.tick()
		m.mu.Lock()
		err := m.failed
		m.mu.Unlock()
		if err != nil {
			return fmt.Errorf("keep membership: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// millis is a time as peernet counts it.
func millis(t time.Time) uint64 { return uint64(max(t.UnixMilli(), 0)) }

// tick lets time pass.
func (m *Members) tick() {
	connected := m.Net.Peers()
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.expireBans(now)
	for _, p := range connected {
		m.know(p, nil)
	}
	var random [32]byte
	if _, err := m.random.Read(random[:]); err != nil {
		m.failed = fmt.Errorf("draw randomness: %w", err)
		return
	}
	m.carry(m.seat.Tick(millis(now), random))
	m.probe(now, connected)
	if now.After(m.nextSave) {
		m.nextSave = now.Add(saveEvery)
		if err := m.save(); err != nil {
			m.failed = err
		}
	}
}

// carry does what the seat wants done: vows first, then letters. The caller has the lock.
func (m *Members) carry(out peernet.Output) {
	if len(out.Vows) > 0 || out.Changed {
		if err := m.keepRing(out); err != nil {
			m.failed = err
		}
	}
	if m.failed != nil { // what is not on disk is not said
		return
	}
	if out.Changed {
		m.counts.Rings++
	}
	for _, l := range out.Send {
		m.post(l.To, l.Message.Append(nil))
	}
	for _, f := range out.Faults {
		m.fault(&f, true)
	}
}

// Found takes note of a peer, and of an address of it. Finders call it.
func (m *Members) Found(p transport.Peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.Found++
	m.know(p.ID, p.Addrs)
}

// know makes a peer a candidate.
func (m *Members) know(p transport.ID, addrs []transport.Addr) {
	if _, banned := m.bans[p]; banned || p == m.Net.Self() {
		return
	}
	c := m.known[p]
	if c == nil {
		if len(m.known) >= maxCandidates && !m.forgetOne() {
			return
		}
		c = &candidate{}
		m.known[p] = c
	}
	for _, a := range addrs {
		if len(a) <= transport.MaxAddr && !slices.Contains(c.addrs, a) {
			if c.addrs = append(c.addrs, a); len(c.addrs) > maxPeerAddrs {
				c.addrs = c.addrs[1:]
			}
			c.next = time.Time{} // it may be reachable now
		}
	}
}

// forgetOne drops the candidate that is hardest to reach, if any failed.
func (m *Members) forgetOne() bool {
	var worst transport.ID
	failures := 0
	for p, c := range m.known {
		if !c.busy && c.failures > failures {
			worst, failures = p, c.failures
		}
	}
	if failures > 0 {
		delete(m.known, worst)
	}
	return failures > 0
}

// Leave asks the ring to go on without this peer.
func (m *Members) Leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.carry(m.seat.Leave(millis(time.Now())))
}

// Ring is the roster of the ring that this peer sits in; false if it sits in none.
func (m *Members) Ring() (peernet.Roster, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.seat.Ring()
	if r == nil {
		return peernet.Roster{}, false
	}
	return peernet.Roster{Body: r.Body, Seals: slices.Clone(r.Seals)}, true
}

// TermsOf are what a peer accepts, if it has told and they hold.
func (m *Members) TermsOf(p transport.ID) (terms.Terms, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.known[p]
	if c == nil || c.terms == nil || c.terms.Check(millis(time.Now())) != nil {
		return terms.Terms{}, false
	}
	return *c.terms, true
}

// Ways are how this peer could pay another by what both have said.
func (m *Members) Ways(p transport.ID) []terms.Way {
	theirs, ok := m.TermsOf(p)
	ours := m.ownTerms()
	if !ok || ours == nil {
		return nil
	}
	return terms.Ways(ours, &theirs)
}

func (m *Members) ownTerms() *terms.Terms {
	if m.Terms == nil {
		return nil
	}
	return m.Terms()
}

// Counts says what happened since the start.
func (m *Members) Counts() MemberCounts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}

// MemberPeer is a peer as an operator sees it.
type MemberPeer struct {
	ID        transport.ID
	Addrs     []transport.Addr
	Connected bool
	RoundTrip time.Duration // zero while it is not known
	Neighbour bool
	Ring      bool    // it is a member of this peer's ring
	Score     float64 // how it behaved over topics; 0 is neutral
	Terms     bool    // it has told its terms
	Banned    time.Time
	Why       string // it is banned
}

// List is everybody who is known, members of the ring and neighbours first, the banned last.
func (m *Members) List() []MemberPeer {
	connected := m.Net.Peers()
	bans := map[transport.ID]transport.Ban{}
	if m.guard != nil {
		for _, b := range m.guard.Bans() {
			bans[b.ID] = b
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, b := range m.bans {
		bans[id] = b
	}
	near := m.seat.Neighbours()
	var out []MemberPeer
	for id, c := range m.known {
		if _, banned := bans[id]; banned {
			continue
		}
		p := MemberPeer{
			ID: id, Addrs: slices.Clone(c.addrs), Connected: slices.Contains(connected, id), Terms: c.terms != nil,
			Neighbour: slices.Contains(near, id), Ring: m.seat.Ring() != nil && m.seat.Ring().Has(id),
		}
		if d, ok := m.seat.Near().RoundTrip(id); ok {
			p.RoundTrip = time.Duration(d) * time.Microsecond
		}
		if m.guard != nil {
			p.Score, _ = m.guard.Score(id)
		}
		out = append(out, p)
	}
	for id, b := range bans {
		out = append(out, MemberPeer{ID: id, Banned: b.Until, Why: b.Why})
	}
	slices.SortFunc(out, func(a, b MemberPeer) int {
		return cmp.Or(
			rankOf(&a)-rankOf(&b), cmp.Compare(a.RoundTrip, b.RoundTrip), bytes.Compare(a.ID[:], b.ID[:]),
		)
	})
	return out
}

func rankOf(p *MemberPeer) int {
	switch {
	case !p.Banned.IsZero():
		return 4
	case p.Ring:
		return 0
	case p.Neighbour:
		return 1
	case p.RoundTrip > 0:
		return 2
	}
	return 3
}
