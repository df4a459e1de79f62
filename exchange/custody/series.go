package custody

import (
	"cmp"
	"encoding/binary"
	"slices"

	"souk/merkle"
	"souk/script"
)

// series is a k of n of member keys. Series are numbered from 0; new addresses
// are of the newest one.
type series struct {
	*script.Series
	bank    *bank
	number  uint32
	members []Member // whose keys they are, in their order
	opened  uint64   // ms
	next    uint32   // deposit addresses allotted so far
}

// place is where a deposit address stands.
type place struct{ series, index uint32 }

func (p place) compare(other place) int {
	return cmp.Or(cmp.Compare(p.series, other.series), cmp.Compare(p.index, other.index))
}

// address is a deposit address that was allotted to an account. It is all that
// links an account and the coins paid to it.
type address struct {
	bank *bank
	place
	owner Owner
	used  bool // something paid to it was credited
	salt  Salt
	coins []*coin // credited to the owner, as long as they are remembered
}

// Salt is what an owner makes up for an address, a withdrawal, or settings. Their
// leaves hold it, so that nobody finds the account by trying all numbers against the
// hash of a leaf (Y-30, Y-93).
type Salt [16]byte

// attestor is what a bank knows of a member.
type attestor struct {
	bank   *bank
	member Member
	height uint32 // the last block that it has said
	rate   uint64 // units per 1,000 virtual bytes that it has seen; zero for none
	rated  uint32 // the agreed tip when it said so, or height if that was above
	wrong  uint32 // how often it was wrong

	// How many accounts it has admitted in which hour.
	admitted, hour uint32

	hasKey    bool
	key       script.MemberKey
	announced uint64 // ms

	replaced bool   // his server was replaced, and he has announced no key since
	lost     uint32 // series below have keys that he had before his server was replaced, and has no more
}

// now is the rate that the member stands for; zero if it has said none, or that too
// long ago (Y-53).
func (a *attestor) now() uint64 {
	if uint64(a.rated)+Late < uint64(a.bank.tip) {
		return 0
	}
	return a.rate
}

func (b *bank) attestor(id Member) *attestor {
	i, ok := slices.BinarySearchFunc(b.attestors, id, func(a *attestor, id Member) int { return cmp.Compare(a.member, id) })
	if !ok {
		return nil
	}
	return b.attestors[i]
}

// known returns what a bank knows of a member, and makes it if there is nothing.
func (s *State) known(b *bank, id Member) *attestor {
	if a := b.attestor(id); a != nil {
		return a
	}
	a := &attestor{bank: b, member: id}
	insert(&b.attestors, a, func(x, y *attestor) int { return cmp.Compare(x.member, y.member) })
	return a
}

// MaxAdmitted is how many accounts a member may admit at a bank in an hour.
const MaxAdmitted = 256

// Admit counts an account that a member has opened so that somebody who has
// nothing yet can pay something in (Y-34): OK, UnknownBank, NotMember or TooMany, of
// MaxAdmitted an hour of block time.
func (s *State) Admit(by Member, id Bank, now uint64) Code {
	b := s.bank(id)
	switch {
	case b == nil:
		return UnknownBank
	case !s.members.has(by):
		return NotMember
	}
	a, this := s.known(b, by), uint32(now/hour) //nolint:gosec // 490,000 years
	if a.hour != this {
		a.admitted, a.hour = 0, this
	}
	if a.admitted >= MaxAdmitted {
		return TooMany
	}
	a.admitted++
	s.touch(a)
	return OK
}

// holds tells whether a member's key is in a series that may have coins.
func (a *attestor) holds(b *bank) bool {
	return slices.ContainsFunc(b.series, func(r *series) bool { return slices.Contains(r.members, a.member) })
}

// CheckLeave tells whether the banks can do without a member, given who the members are now:
// OK or Needed (Y-25). Who signs nothing, be it that he is barred, takes no signer with him.
func (s *State) CheckLeave(now Members, who Member) Code {
	for _, b := range s.banks {
		var used map[uint32]bool
		for _, r := range b.series {
			left := 0
			for _, m := range r.members {
				if m != who && now.has(m) && b.attestor(m).has(r) {
					left++
				}
			}
			if left >= int(r.K) || !slices.Contains(r.members, who) || !now.has(who) || !b.attestor(who).has(r) {
				continue
			}
			if used == nil {
				used = b.inUse(&now)
			}
			if used[r.number] {
				return Needed
			}
		}
	}
	return OK
}

// Replaced tells that a member's server was replaced. If he announces another key then, he has
// lost the old ones; if he does not, they were in his backup (Y-25).
func (s *State) Replaced(who Member) {
	for _, b := range s.banks {
		if a := b.attestor(who); a != nil && a.hasKey && !a.replaced {
			a.replaced = true
			s.touch(a)
		}
	}
}

// has tells whether a member has his key of a series still, as far as that is known.
func (a *attestor) has(r *series) bool { return a == nil || r.number >= a.lost }

// sign tells whether enough members are there to sign for a series.
func (m *Members) sign(r *series) bool { return m.counted(r.members) >= int(r.K) }

// inUse are the series whose keys a bank needs: the newest one, and those of coins, of change
// to come, and of payments that are agreed and will be credited.
func (b *bank) inUse(now *Members) map[uint32]bool {
	used := map[uint32]bool{b.newest().number: true}
	for i := range b.wallets {
		for _, c := range b.wallets[i].free {
			used[c.series] = true
		}
	}
	for _, t := range b.live {
		for i := range t.Inputs {
			used[t.Inputs[i].Series] = true
		}
		if t.newestVersion().Change > 0 {
			used[t.ChangeSeries] = true
		}
	}
	for _, c := range b.heard {
		if c.state == seen && c.location != (location{}) && now.sign(b.series[c.series]) {
			used[c.series] = true
		}
	}
	return used
}

func (s *State) addSeries(b *bank, r *series) {
	b.series = append(b.series, r)
	s.touch(r)
}

// newest is the series of new addresses and of change.
func (b *bank) newest() *series { return b.series[len(b.series)-1] }

// AnnounceKey is a member's key for a bank. It can stand in a series that is
// opened after the bank's cool-down (Y-22): OK, UnknownBank, NotMember or BadKey.
// A later key replaces it, except in the series that have it.
func (s *State) AnnounceKey(by Member, id Bank, key script.MemberKey, now uint64) Code {
	b := s.bank(id)
	switch {
	case b == nil:
		return UnknownBank
	case !s.members.has(by):
		return NotMember
	case key.Check() != nil || b.uses(key):
		return BadKey
	}
	a := s.known(b, by)
	if a.replaced {
		a.replaced, a.lost = false, uint32(len(b.series)) //nolint:gosec // at most maxSeries
	}
	a.hasKey, a.key, a.announced = true, key, now
	s.touch(a)
	return OK
}

// uses tells whether a key is or was of a series, is announced, or is of a recovery.
func (b *bank) uses(key script.MemberKey) bool {
	same := func(k script.MemberKey) bool { return k.Key == key.Key }
	for _, r := range b.series {
		if slices.ContainsFunc(r.Keys, same) || r.Recovery != nil && slices.ContainsFunc(r.Recovery.Keys, same) {
			return true
		}
	}
	return slices.ContainsFunc(b.attestors, func(a *attestor) bool { return a.hasKey && a.key.Key == key.Key })
}

// CheckSeries tells whether OpenSeries would open a series: OK, UnknownBank,
// NotMember, NotReady or SameSeries.
func (s *State) CheckSeries(id Bank, ids []Member, now uint64) Code {
	b := s.bank(id)
	if b == nil {
		return UnknownBank
	}
	for i, m := range ids {
		a := b.attestor(m)
		switch {
		case !s.members.has(m) || i > 0 && m <= ids[i-1]:
			return NotMember
		case a == nil || !a.hasKey:
			return NotReady
		case a.announced != 0 && now < after(a.announced, b.CoolDown):
			return NotReady
		}
	}
	r, err := b.makeSeries(ids, now)
	switch {
	case err != nil || len(b.series) >= maxSeries:
		return NotReady
	case slices.EqualFunc(r.Keys, b.newest().Keys, func(x, y script.MemberKey) bool { return x == y }):
		return SameSeries
	}
	return OK
}

// maxSeries is how many series a bank may ever have.
const maxSeries = 10_000

// OpenSeries opens a series of the keys of some members, in ascending order, after
// a vote. From now on new addresses and all change are of this series, and the
// coins of the older ones are swept into it (Y-23). Codes are those of CheckSeries.
func (s *State) OpenSeries(id Bank, ids []Member, now uint64) Code {
	if code := s.CheckSeries(id, ids, now); code != OK {
		return code
	}
	b := s.bank(id)
	r, err := b.makeSeries(ids, now)
	if err != nil {
		broken("%v", err)
	}
	s.addSeries(b, r)
	s.touch(b)
	return OK
}

// Address is a deposit address of an account: the script is that of the series at
// branch script.Deposits and Index.
type Address struct {
	Bank   Bank
	Series uint32
	Index  uint32
	Used   bool // something paid to it was credited
	Salt   Salt
}

// NewAddress allots a fresh deposit address: OK, UnknownBank or TooMany (MaxUnused
// of this series are not used yet). Before an account's first address the exchange
// makes sure that the account can be credited (Y-30).
func (s *State) NewAddress(owner Owner, id Bank, salt Salt) (Address, Code) {
	b := s.bank(id)
	if b == nil || owner == 0 {
		return Address{}, UnknownBank
	}
	r := b.newest()
	unused := 0
	for _, a := range s.account(owner).addresses {
		if a.bank == b && a.series == r.number && !a.used {
			unused++
		}
	}
	if unused >= MaxUnused || r.next >= script.Hardened-1 {
		return Address{}, TooMany
	}
	a := &address{bank: b, place: place{r.number, r.next}, owner: owner, salt: salt}
	r.next++
	s.touch(r)
	s.addAddress(a)
	s.touch(a)
	return a.view(), OK
}

func (s *State) addAddress(a *address) {
	a.bank.addresses[a.place] = a
	own := s.account(a.owner)
	insert(&own.addresses, a, func(x, y *address) int {
		return cmp.Or(cmp.Compare(x.bank.id, y.bank.id), x.compare(y.place))
	})
}

func (a *address) view() Address { return Address{a.bank.id, a.series, a.index, a.used, a.salt} }

// ParseAddress reads the leaf of a deposit address, and the account that it was allotted to.
func ParseAddress(key merkle.Key, value []byte) (Address, Owner, error) {
	r := &reader{in: value}
	id, number, index := binary.BigEndian.Uint32(key[1:]), binary.BigEndian.Uint32(key[5:]), binary.BigEndian.Uint32(key[9:])
	a := Address{Bank: Bank(id), Series: number, Index: index}
	owner := Owner(r.u32())
	a.Used = r.bool()
	r.ok(r.in.CopyBytes(a.Salt[:]) && r.in.Empty() && key == AddressKey(a.Bank, number, index) && owner != 0)
	if r.bad {
		return Address{}, 0, ErrLeaf
	}
	return a, owner, nil
}

// Addresses returns the addresses of an account in the order of banks, series and
// indexes.
func (s *State) Addresses(owner Owner) []Address {
	var list []Address
	if own := s.accounts[owner]; own != nil {
		for _, a := range own.addresses {
			list = append(list, a.view())
		}
	}
	return list
}

// OwnerOf returns the account that an address was allotted to; false if it never was.
func (s *State) OwnerOf(id Bank, series, index uint32) (Owner, bool) {
	b := s.bank(id)
	if b == nil {
		return 0, false
	}
	a, ok := b.addresses[place{series, index}]
	if !ok {
		return 0, false
	}
	return a.owner, true
}
