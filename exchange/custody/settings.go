package custody

import (
	"bytes"
	"cmp"
	"slices"

	"souk/asset"
	"souk/script"
)

// Limits of settings.
const (
	MaxAllowed = 16 // outputs that an account allows
	maxPaid    = 32 // outputs that an account is remembered to have paid to
)

// Settings are what an account's owner says about its withdrawals.
type Settings struct {
	Delay   uint64    // ms that a withdrawal to an output waits that is not allowed
	Only    bool      // nothing but allowed outputs is paid to
	Allowed []Allowed // at most MaxAllowed
}

// Allowed is an output that an account's withdrawals go to without delay.
type Allowed struct {
	Bank   Bank
	Script []byte
}

// account is what custody knows of an account.
type account struct {
	owner  Owner
	set    Settings
	next   Settings
	nextAt uint64   // ms from which next is in force; zero for never
	paidTo []paidTo // outputs that withdrawals were paid to, oldest first
	draws  []drawn  // at banks, ascending
	salt   Salt     // of what the owner said last, or else of the first withdrawal that is noted here

	addresses   []*address    // by bank, series, index
	withdrawals []*withdrawal // that are not settled
	settled     []*done       // of the last RecordFor ms, by time
}

// paidTo is an output that an account was paid at.
type paidTo struct {
	id    [16]byte // of bank and output
	since uint64   // ms when it was first
}

// drawn is what an account withdrew to outputs that are new for it, without the bank's
// delay: so much at a time, less what drained since then.
type drawn struct {
	bank Bank
	used asset.Amount
	at   uint64 // ms
}

func (s *State) account(owner Owner) *account {
	a := s.accounts[owner]
	if a == nil {
		a = &account{owner: owner}
		s.accounts[owner] = a
	}
	return a
}

// now are the settings in force at a time.
func (a *account) now(now uint64) *Settings {
	if a.nextAt != 0 && a.nextAt <= now {
		return &a.next
	}
	return &a.set
}

func (x *Settings) allows(id Bank, out []byte) bool {
	return slices.ContainsFunc(x.Allowed, func(a Allowed) bool { return a.Bank == id && bytes.Equal(a.Script, out) })
}

// stricter tells whether nothing that x does not let through at once is let
// through at once by old.
func (x *Settings) stricter(old *Settings) bool {
	if x.Delay < old.Delay || old.Only && !x.Only {
		return false
	}
	for _, a := range x.Allowed {
		if !old.allows(a.Bank, a.Script) {
			return false
		}
	}
	return true
}

// knows tells whether an output is not new for an account: it was paid there first
// before the bank's delay (Y-61).
func (a *account) knows(b *bank, out []byte, now uint64) bool {
	id := scriptID(b.id, out)
	return slices.ContainsFunc(a.paidTo, func(p paidTo) bool { return p.id == id && after(p.since, b.limits(now).Delay) <= now })
}

// drawn is what an account has drawn at a time. It drains evenly, the whole of what
// needs no delay within the delay.
func (a *account) drawn(b *bank, now uint64) asset.Amount {
	i, ok := slices.BinarySearchFunc(a.draws, b.id, func(d drawn, id Bank) int { return cmp.Compare(d.bank, id) })
	if !ok {
		return 0
	}
	d, limits := a.draws[i], b.limits(now)
	gone, _, ok := asset.Mul(uint64(limits.DelayAbove), min(now-min(now, d.at), limits.Delay)).Div(max(limits.Delay, 1))
	if !ok || limits.Delay == 0 {
		return 0
	}
	return d.used - min(d.used, asset.Amount(gone))
}

// draw notes that an account withdraws an amount without the bank's delay, and forgets
// what has drained.
func (a *account) draw(s *State, b *bank, amount asset.Amount, salt Salt, now uint64) {
	if a.salt == (Salt{}) {
		a.salt = salt
	}
	used := add(a.drawn(b, now), amount)
	a.draws = slices.DeleteFunc(a.draws, func(d drawn) bool { return d.bank == b.id || a.drawn(s.bank(d.bank), now) == 0 })
	insert(&a.draws, drawn{b.id, used, now}, func(x, y drawn) int { return cmp.Compare(x.bank, y.bank) })
	s.touch(a)
}

// remember notes that an account was paid at an output, by a withdrawal with a salt.
func (a *account) remember(s *State, b *bank, out []byte, salt Salt, now uint64) {
	id := scriptID(b.id, out)
	if slices.ContainsFunc(a.paidTo, func(p paidTo) bool { return p.id == id }) {
		return
	}
	if a.salt == (Salt{}) {
		a.salt = salt
	}
	if len(a.paidTo) >= maxPaid {
		a.paidTo = slices.Delete(a.paidTo, 0, 1)
	}
	a.paidTo = append(a.paidTo, paidTo{id, now})
	s.touch(a)
}

// plain tells whether there is nothing to write down of an account.
func (a *account) plain() bool {
	return a.set.plain() && a.nextAt == 0 && len(a.paidTo)+len(a.draws) == 0
}

func (x *Settings) plain() bool { return x.Delay == 0 && !x.Only && len(x.Allowed) == 0 }

// CheckSettings tells whether SetAccount would accept settings: OK or BadSettings.
func (s *State) CheckSettings(x *Settings) Code {
	if x.Delay > MaxDelay || len(x.Allowed) > MaxAllowed {
		return BadSettings
	}
	for i, a := range x.Allowed {
		b := s.bank(a.Bank)
		if b == nil || b.network.Payable(a.Script, script.Never-1) != nil {
			return BadSettings
		}
		if i > 0 && compareAllowed(x.Allowed[i-1], a) >= 0 {
			return BadSettings
		}
	}
	return OK
}

func compareAllowed(a, b Allowed) int {
	if a.Bank != b.Bank {
		return int(a.Bank) - int(b.Bank)
	}
	return bytes.Compare(a.Script, b.Script)
}

// SetAccount changes an account's settings, whose allowed outputs are ascending.
// Stricter ones are in force at once. Others are so after the longest delay in
// force, of the account and of all banks (Y-62), and until then can be replaced by
// another change: OK or BadSettings. It returns from when on they are in force. The
// owner makes up the salt, as that of an address.
func (s *State) SetAccount(owner Owner, x Settings, salt Salt, now uint64) (from uint64, code Code) {
	if code := s.CheckSettings(&x); code != OK || owner == 0 {
		return 0, BadSettings
	}
	x.Allowed = slices.Clone(x.Allowed)
	for i := range x.Allowed {
		x.Allowed[i].Script = bytes.Clone(x.Allowed[i].Script)
	}
	a := s.account(owner)
	a.set, a.next, a.nextAt = *a.now(now), Settings{}, 0
	from = now
	if !x.stricter(&a.set) {
		from = after(now, s.longest(a, now))
	}
	if from <= now {
		a.set = x
	} else {
		a.next, a.nextAt = x, from
	}
	if a.salt = salt; a.plain() {
		a.salt = Salt{}
		s.drop(a)
	} else {
		s.touch(a)
	}
	return from, OK
}

// longest is the longest delay that an account's withdrawals may have now.
func (s *State) longest(a *account, now uint64) uint64 {
	ms := a.set.Delay
	for _, b := range s.banks {
		ms = max(ms, b.limits(now).Delay)
	}
	return ms
}

// Account returns an account's settings at a time, and those that will be in force
// from next on; zero if there is no change to come.
func (s *State) Account(owner Owner, now uint64) (current, next Settings, from uint64) {
	a := s.accounts[owner]
	if a == nil {
		return Settings{}, Settings{}, 0
	}
	if a.nextAt > now {
		return a.set, a.next, a.nextAt
	}
	return *a.now(now), Settings{}, 0
}
