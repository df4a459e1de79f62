package custody

import (
	"slices"

	"souk/script"
)

// What those who watch a bank's chain and sign for it need to know.

// Allotted returns how many deposit addresses of a series were allotted: those with
// the indexes below it.
func (s *State) Allotted(id Bank, series uint32) uint32 {
	b := s.bank(id)
	if b == nil || uint64(series) >= uint64(len(b.series)) {
		return 0
	}
	return b.series[series].next
}

// ChangesUsed returns, by wallet, how many change addresses were used in all series
// together (Y-52).
func (s *State) ChangesUsed(id Bank) []uint32 {
	b := s.bank(id)
	if b == nil {
		return nil
	}
	return slices.Clone(b.changes)
}

// Spent tells which transaction is agreed to spend an output of a bank, and at which
// height. What a bank has forgotten (Y-90) is not spent.
func (s *State) Spent(id Bank, at script.Outpoint) (by script.Hash, height uint32, ok bool) {
	b := s.bank(id)
	if b == nil || b.coins[at] == nil || b.coins[at].spent == (location{}) {
		return script.Hash{}, 0, false
	}
	c := b.coins[at]
	return c.spentBy, c.spent.height, true
}

// Signed returns the members who gave signatures for a version, ascending.
func (s *State) Signed(id Bank, number uint64, version uint8) (members []Member) {
	b := s.bank(id)
	if b == nil {
		return nil
	}
	for _, x := range b.signs[number] {
		if x.version == version {
			members = append(members, x.member)
		}
	}
	return members
}

// WantsPayment tells whether it would change anything if a member said that a
// payment stands in the block with this hash.
func (s *State) WantsPayment(id Bank, by Member, p *Payment, hash script.Hash) bool {
	b := s.bank(id)
	if b == nil || p.Height <= b.floor || uint64(p.Series) >= uint64(len(b.series)) {
		return false
	}
	v := said{location{p.Height, hash}, content{p.Amount, p.Series, p.Branch, p.Index, p.PegOut}, nil}
	c := b.coins[p.At]
	switch {
	case (c == nil || c.state == seen) && b.isChange(p.At):
		return false
	case c == nil:
		return p.Amount >= b.MinDeposit && p.Height >= b.network.SegwitHeight
	case c.state == gone || c.unmined || c.state != seen && c.location == v.location:
		return false
	}
	i := c.voteOf(by)
	return i < 0 || c.said[i].compare(&v) != 0
}

// WantsSpend tells whether it would change anything if a member said that a spend
// stands in the block with this hash.
func (s *State) WantsSpend(id Bank, by Member, p *Spend, hash script.Hash) bool {
	b := s.bank(id)
	if b == nil || p.Height <= b.floor {
		return false
	}
	c := b.coins[p.At]
	v := spend{location{p.Height, hash}, p.Tx, nil}
	if c == nil || c.state == gone && c.spent == v.location && c.spentBy == v.tx {
		return false
	}
	for i := range c.spends {
		if _, ok := slices.BinarySearch(c.spends[i].who, by); ok {
			return c.spends[i].compare(&v) != 0
		}
	}
	return true
}

// LastBatch returns the number of a bank's last batch; zero if there was none yet.
func (s *State) LastBatch(id Bank) uint64 {
	if b := s.bank(id); b != nil {
		return b.lastBatch
	}
	return 0
}
