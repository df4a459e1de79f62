package sim

import (
	"context"
	"slices"

	"souk/consensus"
	"souk/identity"
)

// stage is where a server is within a round.
type stage uint8

const (
	idle       stage = iota // nothing to decide yet, round 0 only
	proposing               // waiting for the round's proposal
	prevoting               // waiting for prevotes
	committing              // waiting for precommits
	closed                  // the height is decided
)

// Timeouts in us. Each round waits longer than the one before.
const (
	proposeWait = 400_000
	voteWait    = 150_000
	waitMore    = 150_000
	waitMost    = 3_000_000
	proofWait   = 600_000 // how long a new root waits for commands before a block of its own
	roundsAhead = 64      // rounds above the present one whose votes are kept
)

// proposal is a block proposed in a round; by is whose turn it is, who need not
// have made the block.
type proposal struct {
	block *block
	round int
	valid int // round in which it had prevotes of two thirds; -1 for a new block
	by    identity.PublicKey
}

// round is what a server knows of one round.
type round struct {
	proposal          *proposal
	prevotes, commits ballots
	doubled           []*vote // second votes of those who contradict themselves
	prevoteTimer      bool
	commitTimer       bool
	polka             bool // the proposal had two thirds of prevotes while it was the present round
}

// signed is what a server has written to its disk about its own votes before it
// sent them: what keeps it from voting twice after a crash.
type signed struct {
	height      uint64
	round       int
	stage       stage
	locked      *block
	lockedRound int
	valid       *block
	validRound  int
	votes       []*vote // own, of the height
	proposals   []*proposal
	polka       []*vote // prevotes that made valid what it is
}

// machine is a server's part in the consensus on one height: the algorithm of
// Tendermint (arXiv:1807.04938), whose lines the comments name.
type machine struct {
	s      *server
	signed // the part that is on disk
	set    *validators
	rounds []*round
	blocks []*block     // whose content is known here
	last   *certificate // for the height before
	began  uint64       // us, when the height began
	moved  uint64       // us, when something new was last learnt
	late   bool         // votes may not be signed any more: the disk knows of later ones
}

// newMachine begins a height, or goes on with it as the disk remembers.
func newMachine(s *server, height uint64, last *certificate) *machine {
	m := &machine{s: s, set: s.f.set(height), last: last, began: s.f.loop.now, moved: s.f.loop.now}
	m.signed = signed{height: height, lockedRound: -1, validRound: -1}
	d := &s.disk.signed
	m.late = d.height > height
	if d.height == height {
		m.signed = *d
		m.votes, m.proposals, m.polka = slices.Clone(d.votes), slices.Clone(d.proposals), slices.Clone(d.polka)
		for _, p := range m.proposals {
			m.takeProposal(p)
		}
		for _, v := range slices.Concat(m.votes, m.polka) {
			m.takeVote(v)
		}
		m.learn(m.locked)
		m.learn(m.valid)
		m.timers()
	}
	return m
}

// timers starts again what a crash has stopped.
func (m *machine) timers() {
	switch m.stage {
	case proposing:
		m.timer(proposeWait, m.onProposeTimeout)
	case prevoting:
		m.timer(proposeWait, m.onPrevoteTimeout)
	case committing:
		m.timer(proposeWait, m.onCommitTimeout)
	case idle, closed:
	}
}

func (m *machine) key() identity.PublicKey { return m.s.keyIn(m.set) }

// round returns what is known of a round, nil if it is too far ahead.
func (m *machine) at(r int) *round {
	if r < 0 || r > m.round+roundsAhead {
		return nil
	}
	for len(m.rounds) <= r {
		n := len(m.set.all)
		m.rounds = append(m.rounds, &round{prevotes: make(ballots, n), commits: make(ballots, n)})
	}
	return m.rounds[r]
}

func (m *machine) learn(b *block) {
	if b != nil && !slices.Contains(m.blocks, b) {
		m.blocks = append(m.blocks, b)
	}
}

// takeProposal takes a proposal from anywhere; false if it is of no use.
func (m *machine) takeProposal(p *proposal) bool {
	rd := m.at(p.round)
	if rd == nil || p.block.height != m.height || p.by != m.set.proposer(m.height, p.round) || p.valid >= p.round {
		return false
	}
	if rd.proposal != nil {
		return false
	}
	if b := p.block; b.last != m.last && (b.last == nil || m.last == nil || !b.last.valid(m.s.f.set(m.height-1)) || b.last.block != m.last.block) {
		return false
	}
	for i, e := range p.block.evidence {
		if !e.genuine() || m.s.f.set(e.a.height).index(e.a.key) < 0 || slices.ContainsFunc(p.block.evidence[:i], e.same) ||
			m.s.f.punished(e, m.height) {
			return false
		}
	}
	if p.valid < 0 && p.block.proposer != p.by {
		return false
	}
	rd.proposal = p
	m.learn(p.block)
	m.moved = m.s.f.loop.now
	return true
}

// takeVote takes a vote from anywhere, and looks whether its signer contradicts himself.
func (m *machine) takeVote(v *vote) bool {
	rd, i := m.at(v.round), m.set.index(v.key)
	if rd == nil || i < 0 || v.height != m.height {
		return false
	}
	all := rd.ballots(v.kind)
	if old := all[i]; old != nil {
		if old.block == v.block {
			return false
		}
		m.s.accuse(&evidence{old, v})
		return rd.contradict(v)
	}
	all[i] = v
	m.moved = m.s.f.loop.now
	return true
}

// contradict keeps the second vote of somebody who contradicts himself, because two
// thirds that somebody else has seen may have needed it. A third one is not kept.
func (rd *round) contradict(v *vote) bool {
	if slices.ContainsFunc(rd.doubled, func(o *vote) bool { return o.key == v.key && o.kind == v.kind }) {
		return false
	}
	rd.doubled = append(rd.doubled, v)
	return true
}

// all is the votes of a kind, first ones and contradictions.
func (rd *round) all(kind voteKind) []*vote {
	all := slices.DeleteFunc(slices.Clone(rd.ballots(kind)), func(v *vote) bool { return v == nil })
	for _, v := range rd.doubled {
		if v.kind == kind {
			all = append(all, v)
		}
	}
	return all
}

// find is the block, which may be none, that more than two thirds voted for. Who
// voted for two is counted for both (arXiv:1807.04938, section II).
func (rd *round) find(kind voteKind, v *validators) (found *block, ok bool) {
	if found, ok = rd.ballots(kind).find(v); ok {
		return found, ok
	}
	for _, d := range rd.doubled {
		var sum int64
		for _, o := range rd.all(kind) {
			if d.kind == kind && o.block == d.block {
				sum += v.power(o.key)
			}
		}
		if sum*3 > v.total*2 {
			return d.block, true
		}
	}
	return nil, false
}

func (rd *round) ballots(kind voteKind) ballots {
	if kind == precommit {
		return rd.commits
	}
	return rd.prevotes
}

// save writes to disk what must not be forgotten, before anything is sent.
func (m *machine) save() {
	m.s.disk.signed = m.signed
	d := &m.s.disk.signed
	d.votes, d.proposals, d.polka = slices.Clone(m.votes), slices.Clone(m.proposals), slices.Clone(m.polka)
}

// vote signs a vote and sends it.
func (m *machine) vote(kind voteKind, b *block) {
	key := m.key()
	if key.IsZero() || m.s.mute(m.height) || m.late {
		m.save()
		return
	}
	v := &vote{kind: kind, height: m.height, round: m.round, block: b, key: key}
	if slices.ContainsFunc(m.votes, func(o *vote) bool { return o.kind == kind && o.round == v.round }) {
		m.s.f.fail("I13: %s votes twice in round %d of height %d", m.s.name, m.round, m.height)
		return
	}
	m.votes = append(m.votes, v)
	m.save()
	m.takeVote(v)
	m.s.f.log("vote", m.s.index, int(m.height), m.round, int(kind), number(b))
	if m.s.liar != nil && m.s.liar.vote(m, v) {
		return
	}
	m.s.f.net.broadcast(m.s, func(to *server) { to.onVote(m.s, v) })
}

func number(b *block) int {
	if b == nil {
		return 0
	}
	return b.number
}

// wake begins round 0 if there is something to decide.
func (m *machine) wake(must bool) {
	if m.stage != idle || m.s.f.loop.now < m.began+m.s.f.shape.pause {
		return
	}
	if must || len(m.s.pool.waiting) > 0 || len(m.s.accusations()) > 0 || m.s.isDue() || m.s.wantsProof() && m.s.f.loop.now > m.began+proofWait {
		m.start(0)
	}
}

// start begins a round (line 11).
func (m *machine) start(r int) {
	m.round, m.stage = r, proposing
	m.save()
	m.timer(proposeWait, m.onProposeTimeout)
	if m.set.proposer(m.height, r) == m.key() && !m.s.mute(m.height) && !m.late {
		m.propose()
	}
	m.advance()
}

// wait is how long a timeout is in the present round.
func (m *machine) timer(us uint64, do func()) {
	height, r := m.height, m.round
	us += min(uint64(r)*waitMore, waitMost) + 4*m.s.f.shape.delay
	m.s.after(us, func() {
		if m.s.m == m && m.height == height && m.round == r && m.stage != closed {
			do()
			m.advance()
		}
	})
}

// propose makes this round's proposal (line 14).
func (m *machine) propose() {
	p := &proposal{round: m.round, valid: -1, by: m.key()}
	if m.valid != nil {
		p.block, p.valid = m.valid, m.validRound
	} else {
		payloads := m.s.app.Propose(m.s.clock(), m.height, m.s.pool.list())
		p.block = m.s.f.newBlock(m, payloads, m.s.accusations())
	}
	m.s.f.log("propose", m.s.index, int(m.height), m.round, p.block.number, len(p.block.payloads))
	if m.s.liar != nil && m.s.liar.propose(m, p) {
		return
	}
	m.proposals = append(m.proposals, p)
	m.save()
	if !m.takeProposal(p) {
		m.s.f.fail("%s refuses its own proposal for height %d", m.s.name, m.height)
	}
	if m.s.tearing(tearPropose) {
		m.sendSome(p)
		return
	}
	m.s.f.net.broadcast(m.s, func(to *server) { to.onProposal(m.s, p) })
}

// sendSome sends a proposal to some servers and then the power fails.
func (m *machine) sendSome(p *proposal) {
	for _, to := range m.s.f.servers {
		if to != m.s && m.s.f.rng.IntN(2) == 0 {
			m.s.f.net.send(m.s, to, func() { to.onProposal(m.s, p) })
		}
	}
	s := m.s
	s.f.loop.after(1, func() { s.crash("proposer stops") })
}

// newBlock makes a block on top of the height before.
func (f *federation) newBlock(m *machine, payloads [][]byte, accused []*evidence) *block {
	f.made++
	return &block{
		number: f.made, height: m.height, proposer: m.key(), payloads: payloads, evidence: accused, last: m.last,
	}
}

func (m *machine) onProposeTimeout() { // line 57
	if m.stage == proposing {
		m.stage = prevoting
		m.vote(prevote, nil)
	}
}

func (m *machine) onPrevoteTimeout() { // line 61
	if m.stage == prevoting {
		m.stage = committing
		m.vote(precommit, nil)
	}
}

func (m *machine) onCommitTimeout() { m.start(m.round + 1) } // line 65

// advance applies the rules until none applies.
func (m *machine) advance() {
	for m.s.f.err == nil && m.s.up && m.s.m == m && m.stage != closed && m.one() {
	}
}

// one applies one rule; false if none applies.
func (m *machine) one() bool {
	if m.decide() || m.skip() {
		return true
	}
	if m.stage == idle {
		return m.roused()
	}
	rd := m.at(m.round)
	if m.judge(rd) {
		return true
	}
	if !rd.prevoteTimer && m.stage == prevoting && rd.prevotes.power(m.set)*3 > m.set.total*2 { // line 34
		rd.prevoteTimer = true
		m.timer(voteWait, m.onPrevoteTimeout)
	}
	if m.polkas(rd) {
		return true
	}
	if !rd.commitTimer && rd.commits.power(m.set)*3 > m.set.total*2 { // line 47
		rd.commitTimer = true
		m.timer(voteWait, m.onCommitTimeout)
	}
	return false
}

// roused begins round 0 because others have begun it.
func (m *machine) roused() bool {
	rd := m.at(0)
	if rd.proposal == nil && rd.prevotes.power(m.set) == 0 && rd.commits.power(m.set) == 0 {
		return false
	}
	m.start(0)
	return true
}

// decide ends the height if any round has a block with two thirds of precommits (line 49).
func (m *machine) decide() bool {
	for r, rd := range m.rounds {
		b, ok := rd.find(precommit, m.set)
		if !ok || b == nil || !slices.Contains(m.blocks, b) {
			continue
		}
		c := &certificate{block: b, round: r}
		for _, v := range rd.all(precommit) {
			if v.block == b {
				c.votes = append(c.votes, v)
			}
		}
		m.stage = closed
		m.s.decide(c)
		return true
	}
	return false
}

// skip goes to a later round that more than a third are in (line 55).
func (m *machine) skip() bool {
	for r := len(m.rounds) - 1; r > m.round; r-- {
		var sum int64
		for i, v := range m.rounds[r].prevotes {
			if v != nil || m.rounds[r].commits[i] != nil {
				sum += m.set.all[i].Power
			}
		}
		if sum*3 > m.set.total {
			m.start(r)
			return true
		}
	}
	return false
}

// judge prevotes on the round's proposal (lines 22 and 28).
func (m *machine) judge(rd *round) bool {
	p := rd.proposal
	if m.stage != proposing || p == nil {
		return false
	}
	ok := m.lockedRound == -1 || m.locked == p.block
	if p.valid >= 0 {
		if b, has := m.at(p.valid).find(prevote, m.set); !has || b != p.block {
			return false
		}
		ok = m.lockedRound <= p.valid || m.locked == p.block
	}
	m.stage = prevoting
	if ok && m.acceptable(p) {
		m.vote(prevote, p.block)
	} else {
		m.vote(prevote, nil)
	}
	return true
}

// acceptable asks the application.
func (m *machine) acceptable(p *proposal) bool {
	err := m.s.app.Verify(context.Background(), m.s.clock(), consensus.Proposal{
		Height: p.block.height, Proposer: p.block.proposer, Payloads: p.block.payloads,
	})
	if err != nil {
		m.s.f.log("refuse", m.s.index, int(m.height), m.round, p.block.number)
		m.s.f.loop.note(err.Error())
	}
	return err == nil
}

// polkas looks for two thirds of prevotes in the present round (lines 36 and 44).
func (m *machine) polkas(rd *round) bool {
	b, ok := rd.find(prevote, m.set)
	if !ok || rd.polka || m.stage < prevoting {
		return false
	}
	if b == nil {
		if m.stage != prevoting {
			return false
		}
		m.stage = committing
		m.vote(precommit, nil)
		return true
	}
	if rd.proposal == nil || rd.proposal.block != b {
		return false
	}
	rd.polka = true
	m.valid, m.validRound = b, m.round
	m.polka = rd.all(prevote)
	if m.stage == prevoting {
		m.stage = committing
		m.locked, m.lockedRound = b, m.round
		m.vote(precommit, b)
	} else {
		m.save()
	}
	return true
}

// news is what a server repeats to others while its height does not end: what they
// may have missed of the rounds that matter.
type news struct {
	proposals []*proposal
	votes     []*vote
}

func (m *machine) news() news {
	var n news
	for r, rd := range m.rounds {
		if r < m.round-1 && r != m.lockedRound && r != m.validRound && (rd.proposal == nil || r < m.round-3) {
			continue
		}
		if rd.proposal != nil {
			n.proposals = append(n.proposals, rd.proposal)
		}
		n.votes = slices.Concat(n.votes, rd.all(prevote), rd.all(precommit))
	}
	return n
}
