package sim

import (
	"bytes"
	"slices"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/roster"
	"souk/identity"
)

// validators is who votes at a height, ascending by key.
type validators struct {
	all   []consensus.Validator
	total int64
	turns []int // who proposes, in turn: those with full power
}

// newValidators is a set with some powers changed.
func newValidators(old *validators, updates []consensus.Validator) *validators {
	v := &validators{}
	if old != nil {
		v.all = slices.Clone(old.all)
	}
	for _, u := range updates {
		v.all = slices.DeleteFunc(v.all, func(o consensus.Validator) bool { return o.Key == u.Key })
		if u.Power > 0 {
			v.all = append(v.all, u)
		}
	}
	slices.SortFunc(v.all, func(a, b consensus.Validator) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	full := int64(0)
	for _, o := range v.all {
		v.total += o.Power
		full = max(full, o.Power)
	}
	for i, o := range v.all {
		if o.Power == full {
			v.turns = append(v.turns, i)
		}
	}
	return v
}

func toUpdates(all []roster.Validator) []consensus.Validator {
	out := make([]consensus.Validator, len(all))
	for i, v := range all {
		out[i] = consensus.Validator{Key: v.Key, Power: v.Power}
	}
	return out
}

// index is where a key stands in the set, or -1.
func (v *validators) index(key identity.PublicKey) int {
	return slices.IndexFunc(v.all, func(o consensus.Validator) bool { return o.Key == key })
}

func (v *validators) power(key identity.PublicKey) int64 {
	if i := v.index(key); i >= 0 {
		return v.all[i].Power
	}
	return 0
}

// low is the power of those without full power, which no decision may depend on:
// they never propose, so one of them that is locked on a block can keep a height
// from ending that nobody else has seen two thirds of prevotes for.
func (v *validators) low() (sum int64) {
	for i, o := range v.all {
		if !slices.Contains(v.turns, i) {
			sum += o.Power
		}
	}
	return sum
}

// reliable is a server's power if that is full, else nothing.
func (v *validators) reliable(s *server) int64 {
	if i := v.index(s.keyIn(v)); slices.Contains(v.turns, i) {
		return v.all[i].Power
	}
	return 0
}

// proposer is whose turn a round is.
func (v *validators) proposer(height uint64, round int) identity.PublicKey {
	turn := (height + uint64(round)) % uint64(len(v.turns))
	return v.all[v.turns[turn]].Key
}

// block is what servers agree on. It is never changed once it is made, and every
// server that has it has the same one in memory, so pointers stand for hashes.
type block struct {
	number   int // tells blocks apart in the log
	height   uint64
	proposer identity.PublicKey
	payloads [][]byte
	evidence []*evidence
	last     *certificate // for the block before; nil at height 1
}

// voteKind is which of a round's two votes.
type voteKind uint8

const (
	prevote voteKind = iota
	precommit
)

// vote is a signed vote. Only the server that has the key makes one.
type vote struct {
	kind   voteKind
	height uint64
	round  int
	block  *block // nil: for none
	key    identity.PublicKey
}

// evidence is two votes of one key that contradict each other.
type evidence struct{ a, b *vote }

// genuine tells whether it proves that its key signed twice.
func (e *evidence) genuine() bool {
	return e.a.key == e.b.key && e.a.kind == e.b.kind && e.a.height == e.b.height && e.a.round == e.b.round && e.a.block != e.b.block
}

// same tells whether both prove that one key signed twice at one height.
func (e *evidence) same(o *evidence) bool { return e.a.key == o.a.key && e.a.height == o.a.height }

// certificate is a block with precommits of more than two thirds.
type certificate struct {
	block *block
	round int
	votes []*vote
}

// valid checks a certificate against the validators of its height.
func (c *certificate) valid(v *validators) bool {
	var sum int64
	for i, o := range c.votes {
		if o.kind != precommit || o.height != c.block.height || o.round != c.round || o.block != c.block ||
			slices.ContainsFunc(c.votes[:i], func(p *vote) bool { return p.key == o.key }) {
			return false
		}
		sum += v.power(o.key)
	}
	return sum*3 > v.total*2
}

// missed is whose turns went by before the previous block was decided: the
// certificate of it, which stands in this block, proves its round to everybody.
func (f *federation) missed(b *block) []identity.PublicKey {
	if b.last == nil {
		return nil
	}
	var keys []identity.PublicKey
	v := f.set(b.height - 1)
	for r := range min(b.last.round, len(v.turns)) {
		keys = append(keys, v.proposer(b.height-1, r))
	}
	return keys
}

// decided is a block as applications get it.
func (f *federation) decided(b *block) consensus.Block {
	out := consensus.Block{Height: b.height, Payloads: b.payloads, Proposer: b.proposer, Missed: f.missed(b)}
	for _, e := range b.evidence {
		out.Evidence = append(out.Evidence, consensus.Misbehavior{Key: e.a.key, Height: e.a.height})
	}
	return out
}

// ballots is the votes of one kind in one round, by index in the set.
type ballots []*vote

// find is the block, which may be none, that more than two thirds voted for.
func (b ballots) find(v *validators) (found *block, ok bool) {
	for i, o := range b {
		if o == nil || slices.ContainsFunc(b[:i], func(p *vote) bool { return p != nil && p.block == o.block }) {
			continue
		}
		var sum int64
		for j, p := range b {
			if p != nil && p.block == o.block {
				sum += v.all[j].Power
			}
		}
		if sum*3 > v.total*2 {
			return o.block, true
		}
	}
	return nil, false
}

// power is of all who voted.
func (b ballots) power(v *validators) (sum int64) {
	for i, o := range b {
		if o != nil {
			sum += v.all[i].Power
		}
	}
	return sum
}

// executed makes of a decided block what the auditor executes.
func (f *federation) executed(b *consensus.Block) (*exchange.Block, error) {
	out := &exchange.Block{Height: b.Height, Time: f.audit.State().Time(), Proposer: b.Proposer, Missed: b.Missed}
	for _, e := range b.Evidence {
		out.Evidence = append(out.Evidence, e.Key)
	}
	for i, p := range b.Payloads {
		if i == 0 {
			ms, err := clockOf(p)
			if err != nil {
				return nil, err
			}
			out.Time = ms
			continue
		}
		commands, err := commandsOf(f.founding.ID(), p)
		if err != nil {
			return nil, err
		}
		out.Commands = append(out.Commands, commands...)
	}
	return out, nil
}
