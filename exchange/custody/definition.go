package custody

import (
	"errors"
	"fmt"
	"slices"

	"souk/asset"
	"souk/script"
)

// ErrFounding is wrapped by Found for banks that cannot be founded.
var ErrFounding = errors.New("banks cannot be founded")

// Limits are what a vote may change of a bank.
type Limits struct {
	MinDeposit    asset.Amount // smaller payments are ignored
	MinWithdrawal asset.Amount
	MaxPerHour    asset.Amount // that leaves the bank
	DelayAbove    asset.Amount // a larger withdrawal to an output that is new for the account waits
	Delay         uint64       // ms that it waits
}

// Definition is what the founding contract says of a bank.
type Definition struct {
	Asset   asset.ID
	Network string
	Wallets uint8
	Limits
	Gather     uint64 // ms from one look at waiting withdrawals to the next
	BumpBlocks uint32 // agreed blocks after which an unmined transaction may pay more
	CoolDown   uint64 // ms from the announcement of a key to its first series
	Start      Point  // the block from which on the members attest
	Recovery   *script.Recovery
}

// Point is a block of a chain.
type Point struct {
	Height uint32
	Hash   script.Hash
}

// Founder is a member of the founding with one key for each bank.
type Founder struct {
	ID   Member
	Keys []script.MemberKey
}

// Threshold is how many of n members must sign: more than two thirds (Y-20).
func Threshold(n int) int { return 2*n/3 + 1 }

// Check tells what is wrong with a definition.
func (d *Definition) Check() error {
	n, ok := script.ByName(d.Network)
	switch {
	case !ok:
		return fmt.Errorf("%w: there is no network %q", ErrFounding, d.Network)
	case d.Asset == 0:
		return fmt.Errorf("%w: a bank without an asset", ErrFounding)
	case d.Wallets == 0 || d.Wallets > MaxWallets:
		return fmt.Errorf("%w: %d wallets, 1 to %d are possible", ErrFounding, d.Wallets, MaxWallets)
	case d.Gather > hour || d.CoolDown > MaxDelay:
		return fmt.Errorf("%w: gathers for %d ms, cools down for %d ms", ErrFounding, d.Gather, d.CoolDown)
	case d.BumpBlocks == 0 || d.BumpBlocks > Keep:
		return fmt.Errorf("%w: transactions bump after %d blocks, 1 to %d are possible", ErrFounding, d.BumpBlocks, Keep)
	case d.Start.Height > maxHeight || d.Start.Hash.IsZero():
		return fmt.Errorf("%w: attestations start at block %d with hash %s", ErrFounding, d.Start.Height, d.Start.Hash)
	}
	return d.check(n)
}

func (l *Limits) check(n *script.Network) error {
	switch {
	case l.MinDeposit <= n.TokenAmounts || l.MinDeposit < n.Dust || l.MinDeposit > asset.MaxSupply:
		return fmt.Errorf("%w: deposits from %d on; they must be above %d", ErrFounding, l.MinDeposit, max(n.TokenAmounts, n.Dust-1))
	case l.MinWithdrawal <= n.TokenAmounts || l.MinWithdrawal < n.Dust || l.MinWithdrawal > asset.MaxSupply:
		return fmt.Errorf("%w: withdrawals from %d on; they must be above %d", ErrFounding, l.MinWithdrawal, max(n.TokenAmounts, n.Dust-1))
	case l.MaxPerHour < l.MinWithdrawal || l.MaxPerHour > asset.MaxSupply || l.DelayAbove > asset.MaxSupply || l.Delay > MaxDelay:
		return fmt.Errorf("%w: %d an hour, a delay of %d ms above %d", ErrFounding, l.MaxPerHour, l.Delay, l.DelayAbove)
	}
	return nil
}

// Found returns the banks of a founding. There are none with two or three
// members, for one of two or three would be too many to lose or to trust (Y-20).
func Found(banks []Definition, founders []Founder) (*State, error) {
	s := New()
	if len(banks) > MaxBanks {
		return nil, fmt.Errorf("%w: %d banks, at most %d", ErrFounding, len(banks), MaxBanks)
	}
	s.members.Count = len(founders)
	for i, f := range founders {
		if f.ID == 0 || i > 0 && f.ID <= founders[i-1].ID || len(f.Keys) != len(banks) {
			return nil, fmt.Errorf("%w: member %d with %d keys", ErrFounding, f.ID, len(f.Keys))
		}
		s.members.Present = append(s.members.Present, f.ID)
	}
	for i := range banks {
		for j := range i {
			if banks[i].Asset == banks[j].Asset {
				return nil, fmt.Errorf("%w: two banks of asset %d", ErrFounding, banks[i].Asset)
			}
		}
		if err := s.foundBank(&banks[i], founders, i); err != nil {
			return nil, fmt.Errorf("bank %d: %w", i+1, err)
		}
	}
	s.touch((*global)(s))
	return s, nil
}

func (s *State) foundBank(d *Definition, founders []Founder, i int) error {
	if err := d.Check(); err != nil {
		return err
	}
	n, _ := script.ByName(d.Network)
	b := newBank(Bank(len(s.banks)+1), *d, n) //nolint:gosec // at most MaxBanks
	b.tip, b.floor, b.ruled = d.Start.Height, d.Start.Height, d.Start.Height
	var ids []Member
	for _, f := range founders {
		ids = append(ids, f.ID)
		a := &attestor{bank: b, member: f.ID, hasKey: true, key: f.Keys[i]}
		b.attestors = append(b.attestors, a)
		s.touch(a)
	}
	first, err := b.makeSeries(ids, 0)
	if err != nil {
		return err
	}
	s.banks = append(s.banks, b)
	s.addSeries(b, first)
	start := &block{bank: b, height: d.Start.Height, agreed: d.Start.Hash}
	b.blocks[start.height] = start
	s.touch(b)
	s.touch(start)
	return nil
}

// SetLimits changes a bank's limits after a vote. Stricter ones are in force at
// once, others after the delay that is in force, and so is a higher least deposit, or
// it would swallow payments under way (Y-62): OK, UnknownBank or BadSettings.
func (s *State) SetLimits(id Bank, l Limits, now uint64) Code {
	b := s.bank(id)
	if b == nil {
		return UnknownBank
	}
	if l.check(b.network) != nil {
		return BadSettings
	}
	b.turn(now)
	old := b.Limits
	strict := Limits{
		MinDeposit: min(l.MinDeposit, old.MinDeposit), MinWithdrawal: l.MinWithdrawal, MaxPerHour: min(l.MaxPerHour, old.MaxPerHour),
		DelayAbove: min(l.DelayAbove, old.DelayAbove), Delay: max(l.Delay, old.Delay),
	}
	if strict.check(b.network) != nil {
		strict = old
	}
	b.Limits, b.next, b.nextAt = strict, Limits{}, 0
	if strict != l {
		b.next, b.nextAt = l, after(now, old.Delay)
		b.turn(now)
	}
	s.touch(b)
	return OK
}

// turn puts limits in force whose time has come.
func (b *bank) turn(now uint64) bool {
	if b.nextAt == 0 || b.nextAt > now {
		return false
	}
	b.Limits, b.next, b.nextAt = b.next, Limits{}, 0
	return true
}

// after adds to a time, and stops at the end of time.
func after(start, more uint64) uint64 {
	if start+more < start {
		return ^uint64(0)
	}
	return start + more
}

// makeSeries returns the series that the keys of some members would make.
func (b *bank) makeSeries(ids []Member, now uint64) (*series, error) {
	n := len(ids)
	if n == 0 || n == 2 || n == 3 || n > script.MaxKeys {
		return nil, fmt.Errorf("%w: %d members; 1 and 4 to %d are possible", ErrFounding, n, script.MaxKeys)
	}
	r := &series{bank: b, number: uint32(len(b.series)), members: slices.Clone(ids), opened: now} //nolint:gosec // one per vote
	r.Series = &script.Series{K: uint8(Threshold(n)), Recovery: b.Recovery}                       //nolint:gosec // at most MaxKeys
	for _, id := range ids {
		a := b.attestor(id)
		if a == nil || !a.hasKey {
			return nil, fmt.Errorf("%w: member %d has no key", ErrFounding, id)
		}
		r.Keys = append(r.Keys, a.key)
	}
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFounding, err)
	}
	for _, old := range b.series {
		if sameKeys(old.Series, r.Series) {
			r.next = max(r.next, old.next) // its scripts are the same, and an address has one owner
		}
	}
	return r, nil
}

// sameKeys tells whether two series of the same recovery have the same scripts.
func sameKeys(a, b *script.Series) bool {
	return len(a.Keys) == len(b.Keys) && !slices.ContainsFunc(a.Keys, func(k script.MemberKey) bool { return !slices.Contains(b.Keys, k) })
}

// CheckLimits tells whether SetLimits would take limits: OK, UnknownBank or BadSettings.
func (s *State) CheckLimits(id Bank, l Limits) Code {
	b := s.bank(id)
	switch {
	case b == nil:
		return UnknownBank
	case l.check(b.network) != nil:
		return BadSettings
	}
	return OK
}
