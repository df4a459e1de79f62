package ledger

import (
	"fmt"
	"math/bits"

	"souk/asset"
)

// line is an account's place for one asset: what it has of it, and how many
// promises there are that it may be given some. Never all three are zero.
type line struct {
	available asset.Amount
	held      asset.Amount
	asset     asset.ID
	promised  uint32
}

// empty tells whether nothing is there, though something may be promised.
func (l *line) empty() bool { return l.available|l.held == 0 }

// arena keeps the balances of all accounts in runs of 2^class lines, one run per
// account, ascending by asset. It holds no pointers but to its pages.
type arena struct {
	classes [32]class
}

type class struct {
	pages [][]line
	free  []uint32
	runs  uint32 // how many were ever handed out
}

// pageLines is how many lines are allocated at a time, or one run if that is longer.
const pageLines = 4096

func runsPerPage(c uint8) uint32 { return max(1, uint32(pageLines)>>c) }

// run returns the lines of a run, unused ones included.
func (a *arena) run(c uint8, i uint32) []line {
	per := runsPerPage(c)
	at := (i % per) << c
	return a.classes[c].pages[i/per][at : at+1<<c]
}

func (a *arena) add(c uint8) uint32 {
	k := &a.classes[c]
	if last := len(k.free) - 1; last >= 0 {
		i := k.free[last]
		k.free = k.free[:last]
		return i
	}
	per := runsPerPage(c)
	if k.runs%per == 0 {
		k.pages = append(k.pages, make([]line, per<<c))
	}
	k.runs++
	return k.runs - 1
}

func (a *arena) drop(c uint8, i uint32) {
	a.classes[c].free = append(a.classes[c].free, i)
}

// balances returns an account's lines.
func (s *State) balances(acc *account) []line {
	if acc.lines == 0 {
		return nil
	}
	return s.lines.run(acc.class, acc.run)[:acc.lines]
}

// search returns where in lines an asset is or belongs.
func search(lines []line, id asset.ID) (int, bool) {
	low, high := 0, len(lines)
	for high-low > 8 {
		if mid := (low + high) / 2; lines[mid].asset < id {
			low = mid + 1
		} else {
			high = mid + 1
		}
	}
	for low < high && lines[low].asset < id {
		low++
	}
	return low, low < len(lines) && lines[low].asset == id
}

// find returns an account's line of an asset, or nil. The pointer is valid until
// a line of the account is added or removed.
func (s *State) find(acc *account, id asset.ID) *line {
	lines := s.balances(acc)
	if i, ok := search(lines, id); ok {
		return &lines[i]
	}
	return nil
}

// need is find, but adds the line if there is none.
func (s *State) need(acc *account, id asset.ID) *line {
	lines := s.balances(acc)
	i, ok := search(lines, id)
	if ok {
		return &lines[i]
	}
	lines = s.grow(acc)
	copy(lines[i+1:], lines[i:])
	lines[i] = line{asset: id}
	return &lines[i]
}

// grow makes room for one more line at the end and returns the lines with it.
func (s *State) grow(acc *account) []line {
	old := s.balances(acc)
	switch acc.lines {
	case 0:
		acc.class = 0
		acc.run = s.lines.add(0)
	case 1 << acc.class:
		run := s.lines.add(acc.class + 1)
		copy(s.lines.run(acc.class+1, run), old)
		s.lines.drop(acc.class, acc.run)
		acc.class, acc.run = acc.class+1, run
	}
	acc.lines++
	return s.balances(acc)
}

// prune removes a line if nothing is left in it and nothing is promised.
func (s *State) prune(acc *account, l *line) {
	if !l.empty() || l.promised != 0 {
		return
	}
	lines := s.balances(acc)
	i, _ := search(lines, l.asset)
	copy(lines[i:], lines[i+1:])
	acc.lines--
	if acc.lines == 0 {
		s.lines.drop(acc.class, acc.run)
		return
	}
	// Half the class and one spare: an account at the edge does not move to and fro.
	if acc.class > 1 && acc.lines < 1<<(acc.class-1) {
		c := uint8(bits.Len32(acc.lines)) //nolint:gosec // at most 32
		run := s.lines.add(c)
		copy(s.lines.run(c, run), lines[:acc.lines])
		s.lines.drop(acc.class, acc.run)
		acc.class, acc.run = c, run
	}
}

// Available returns what an account can spend of an asset.
func (s *State) Available(n Number, id asset.ID) asset.Amount {
	if l := s.find(s.accounts.at(n), id); l != nil {
		return l.available
	}
	return 0
}

// Held returns what is set aside for an account's orders.
func (s *State) Held(n Number, id asset.ID) asset.Amount {
	if l := s.find(s.accounts.at(n), id); l != nil {
		return l.held
	}
	return 0
}

// Room tells whether others may promise an asset to an account: it has a place for
// the asset already, or fewer than MaxBalances places. Exchange asks before a
// transfer, a mint, an escrow in favour of the account or a payment by vote (L-34).
func (s *State) Room(n Number, id asset.ID) bool { return s.room(n, id, MaxBalances) }

// OwnRoom is Room for what an account's own orders may bring it, up to MaxPlaces.
func (s *State) OwnRoom(n Number, id asset.ID) bool { return s.room(n, id, MaxPlaces) }

func (s *State) room(n Number, id asset.ID, limit uint32) bool {
	acc := s.accounts.at(n)
	return acc.lines < limit || s.find(acc, id) != nil
}

// Promise keeps a place for an asset that an account may be given. Every promise
// ends with Settle. Promises are no part of the state: exchange makes them anew of
// orders and escrows after Load. It panics if there is no place up to MaxPlaces.
func (s *State) Promise(n Number, id asset.ID) {
	acc := s.accounts.at(n)
	if acc.lines >= MaxPlaces && s.find(acc, id) == nil {
		broken("account %d has no place for asset %d", n, id)
	}
	s.need(acc, id).promised++
}

// Settle ends a promise, kept or not. It panics if there is none.
func (s *State) Settle(n Number, id asset.ID) {
	acc := s.accounts.at(n)
	l := s.find(acc, id)
	if l == nil || l.promised == 0 {
		broken("account %d was promised none of asset %d", n, id)
	}
	l.promised--
	s.prune(acc, l)
}

// Promised returns how many promises of an asset to an account are open.
func (s *State) Promised(n Number, id asset.ID) int {
	if l := s.find(s.accounts.at(n), id); l != nil {
		return int(l.promised)
	}
	return 0
}

// Places returns how many places an account has taken, and how many promises it has.
func (s *State) Places(n Number) (places, promises int) {
	acc := s.accounts.at(n)
	for _, l := range s.balances(acc) {
		promises += int(l.promised)
	}
	return int(acc.lines), promises
}

// Credit adds to what an account has available. It panics if that would exceed
// asset.MaxSupply, which cannot happen to units that exist.
func (s *State) Credit(n Number, id asset.ID, amount asset.Amount) {
	if amount == 0 {
		return
	}
	c := s.coin(id)
	c.available = sum(c.available, amount)
	acc := s.accounts.at(n)
	s.need(acc, id).available += amount // at most c.available
	s.touch(n, acc)
}

// Debit takes from what an account has available; false if that is not enough.
func (s *State) Debit(n Number, id asset.ID, amount asset.Amount) bool {
	if amount == 0 {
		return true
	}
	acc := s.accounts.at(n)
	l := s.find(acc, id)
	if l == nil || l.available < amount {
		return false
	}
	l.available -= amount
	s.coin(id).available -= amount
	s.prune(acc, l)
	s.touch(n, acc)
	return true
}

// Hold moves from available to held; false if there is not enough available.
func (s *State) Hold(n Number, id asset.ID, amount asset.Amount) bool {
	if amount == 0 {
		return true
	}
	acc := s.accounts.at(n)
	l := s.find(acc, id)
	if l == nil || l.available < amount {
		return false
	}
	l.available -= amount
	l.held += amount
	c := s.coin(id)
	c.available -= amount
	c.held += amount
	s.touch(n, acc)
	return true
}

// Release moves from held to available. It panics if less is held.
func (s *State) Release(n Number, id asset.ID, amount asset.Amount) {
	if amount == 0 {
		return
	}
	acc := s.accounts.at(n)
	l := s.unhold(acc, n, id, amount)
	l.available += amount
	s.coin(id).available += amount
	s.touch(n, acc)
}

// SpendHeld takes from what is held. It panics if less is held.
func (s *State) SpendHeld(n Number, id asset.ID, amount asset.Amount) {
	if amount == 0 {
		return
	}
	acc := s.accounts.at(n)
	s.prune(acc, s.unhold(acc, n, id, amount))
	s.touch(n, acc)
}

func (s *State) unhold(acc *account, n Number, id asset.ID, amount asset.Amount) *line {
	l := s.find(acc, id)
	if l == nil || l.held < amount {
		broken("account %d has less held of asset %d than the %d to be taken", n, id, amount)
	}
	l.held -= amount
	s.coin(id).held -= amount
	return l
}

// sum adds what cannot exceed a supply.
func sum(a, b asset.Amount) asset.Amount {
	total, ok := a.Add(b)
	if !ok || total > asset.MaxSupply {
		broken("%d and %d are more than can exist of an asset", a, b)
	}
	return total
}

// broken halts the replica: what follows from here would not be what the rules say.
func broken(format string, args ...any) {
	panic("ledger: " + fmt.Sprintf(format, args...)) //nolint:forbidigo // broken invariant
}
