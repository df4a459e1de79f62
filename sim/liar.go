package sim

import (
	"math/rand/v2"
	"slices"

	"souk/consensus"
	"souk/exchange"
	"souk/replica"
)

// liar is what a byzantine member does with its keys. It signs only with them, and
// only as long as all liars together have less than a third of the power.
type liar struct {
	f    *federation
	s    *server
	rng  *rand.Rand
	seen [][]byte // payloads of old blocks, and worse
	// signsTwice makes it one that contradicts itself sooner or later, after which it
	// has no power and no turns any more; others lie only as far as nobody can prove it.
	signsTwice bool
}

func newLiar(f *federation, s *server) *liar {
	rng := rand.New(rand.NewPCG(f.options.Seed, 0x11a5+uint64(s.index))) //nolint:gosec // reproducible by seed
	return &liar{f: f, s: s, rng: rng, signsTwice: rng.IntN(2) == 0}
}

// may tells whether lying at a height is within what consensus bears.
func (l *liar) may(v *validators) bool {
	var power int64
	for _, s := range l.f.servers {
		if s.liar != nil || s.mute(l.f.head()) {
			power += v.power(s.keyIn(v))
		}
	}
	return power*3 < v.total
}

// propose makes something else of a proposal; false to go on as honest.
func (l *liar) propose(m *machine, p *proposal) bool {
	if !l.may(m.set) || p.valid >= 0 {
		return false
	}
	choice := l.rng.IntN(8)
	switch choice {
	case 0, 1: // honest this time
		return false
	case 2: // say nothing
		l.f.lie("withheld proposal")
		return true
	}
	l.f.lie("odd proposal")
	l.spread(m, l.odd(m, p), l.odd(m, p), choice)
	return true
}

// spread sends one proposal to some, another or none to the rest.
func (l *liar) spread(m *machine, a, b *proposal, choice int) {
	for _, to := range l.f.servers {
		send := a
		switch {
		case choice == 3 && l.rng.IntN(2) == 0:
			send = b
		case choice == 4 && l.rng.IntN(3) == 0:
			continue
		}
		if to == m.s {
			m.takeProposal(a)
			continue
		}
		l.f.net.send(m.s, to, func() { to.onProposal(m.s, send) })
	}
}

// odd is a proposal with a content of the liar's choice.
func (l *liar) odd(m *machine, p *proposal) *proposal {
	payloads := slices.Clone(p.block.payloads)
	if len(payloads) > 1 {
		batches := payloads[1:]
		l.seen = append(l.seen, batches...)
		l.rng.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
		if l.rng.IntN(3) == 0 {
			payloads = payloads[:1+l.rng.IntN(len(payloads))]
		}
	}
	if len(payloads) > 0 && l.rng.IntN(3) == 0 {
		payloads = append(payloads, l.old()...)
	}
	if len(payloads) > 0 && l.rng.IntN(3) == 0 {
		ms, _ := clockOf(payloads[0])
		payloads[0] = replica.AppendClock(nil, l.time(ms))
	}
	if l.rng.IntN(4) == 0 {
		payloads = append(payloads, l.garbage())
	}
	evidence := m.s.accusations()
	if l.rng.IntN(6) == 0 {
		evidence = append(evidence, l.slander(m)...)
	}
	return &proposal{block: l.f.newBlock(m, payloads, evidence), round: p.round, valid: -1, by: p.by}
}

// time is a block time around the true one.
func (l *liar) time(ms uint64) uint64 {
	switch l.rng.IntN(5) {
	case 0:
		return l.f.audit.State().Time() + 1
	case 1:
		return l.f.audit.State().Time()
	case 2:
		return ms + uint64(l.rng.IntN(1500))
	case 3:
		return ^uint64(0)
	}
	return ms - min(ms, uint64(l.rng.IntN(3000)))
}

// old is some payloads that blocks have held already.
func (l *liar) old() [][]byte {
	if len(l.seen) == 0 {
		return nil
	}
	at := l.rng.IntN(len(l.seen))
	return l.seen[at:min(at+2, len(l.seen))]
}

// garbage is a payload that no honest server may vote for, or one that it may
// although nobody sent it.
func (l *liar) garbage() []byte {
	b := &replica.Batch{Member: 1, Seq: l.rng.Uint64()}
	switch l.rng.IntN(6) {
	case 0:
		junk := make([]byte, l.rng.IntN(300))
		for i := range junk {
			junk[i] = byte(l.rng.IntN(256))
		}
		return junk
	case 1:
		return replica.AppendClock(nil, l.f.audit.State().Time()+5)
	case 2:
		c := l.f.load.Old()
		b.Commands = []exchange.Command{c, c}
	case 3:
		b.Commands = []exchange.Command{l.f.load.Old(), l.f.load.Forge()}
	case 4:
		b.Commands = []exchange.Command{l.f.load.Old(), l.f.load.Old()}
		cut := replica.AppendBatch(nil, b)
		return cut[:len(cut)-1-l.rng.IntN(20)]
	case 5:
		b.Commands = []exchange.Command{l.f.load.Old(), l.f.load.Old(), l.f.load.Old()}
	}
	return replica.AppendBatch(nil, b)
}

// slander is evidence that proves nothing, against an honest server.
func (l *liar) slander(m *machine) []*evidence {
	for _, rd := range m.rounds {
		for _, v := range rd.prevotes {
			if v != nil && v.key != m.key() {
				return []*evidence{{v, v}}
			}
		}
	}
	return nil
}

// vote sends a vote to some and its contradiction to others; false to go on as honest.
func (l *liar) vote(m *machine, v *vote) bool {
	if !l.may(m.set) {
		return false
	}
	switch choice := l.rng.IntN(30); {
	case choice < 3:
		l.f.lie("withheld vote")
		return true
	case choice > 3 || !l.signsTwice:
		return false
	}
	other := *v
	if other.block = nil; v.block == nil {
		if rd := m.at(m.round); rd.proposal == nil {
			return false
		}
		other.block = m.at(m.round).proposal.block
	}
	l.f.lie("double vote")
	l.f.guilty[v.key] = m.height
	for _, to := range l.f.servers {
		if to == l.s {
			continue
		}
		first, second := v, &other
		if l.rng.IntN(2) == 0 {
			first, second = second, first
		}
		l.f.net.send(l.s, to, func() { to.onVote(l.s, first) })
		if l.rng.IntN(3) != 0 {
			l.f.net.send(l.s, to, func() { to.onVote(l.s, second) })
		}
	}
	return true
}

// batch sends different batches under one name, or ones that are bad; false to go
// on as honest.
func (l *liar) batch(w *payload) bool {
	switch l.rng.IntN(6) {
	case 0:
		l.f.lie("garbage batch")
		bad := &payload{bytes: l.garbage(), expiry: w.expiry}
		l.f.net.broadcast(l.s, func(to *server) { to.onPayload(bad) })
		return false
	case 1:
		l.f.lie("split batch")
		b, err := replica.ParseBatch(l.f.founding.ID(), w.bytes)
		if err != nil {
			return false
		}
		for _, to := range l.f.servers {
			if to == l.s {
				continue
			}
			mine := b
			mine.Commands = slices.Clone(b.Commands)
			l.rng.Shuffle(len(mine.Commands), func(i, j int) { mine.Commands[i], mine.Commands[j] = mine.Commands[j], mine.Commands[i] })
			mine.Commands = mine.Commands[:1+l.rng.IntN(len(mine.Commands))]
			p := &payload{bytes: replica.AppendBatch(nil, &mine), expiry: w.expiry}
			l.f.net.send(l.s, to, func() { to.onPayload(p) })
		}
		return true
	}
	return false
}

// offer may spoil the description of a snapshot.
func (l *liar) offer(s *consensus.Snapshot) {
	if l.rng.IntN(2) != 0 {
		return
	}
	l.f.lie("bad snapshot")
	switch l.rng.IntN(3) {
	case 0:
		s.Height++
	case 1:
		s.Metadata = slices.Clone(s.Metadata)
		s.Metadata[l.rng.IntN(len(s.Metadata))] ^= 1
	case 2:
		s.Format++
	}
}

// chunk may spoil a chunk of a snapshot.
func (l *liar) chunk(c []byte) []byte {
	if l.rng.IntN(3) != 0 || len(c) == 0 {
		return c
	}
	l.f.lie("bad chunk")
	c = slices.Clone(c)
	c[l.rng.IntN(len(c))] ^= 4
	return c
}
