package ledger

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/identity"
	"souk/merkle"
)

// Load adds one leaf to a state that came from New. Leaves may come in any
// order, each once. The value is not kept. It returns ErrLeaf for anything but the
// one encoding of a leaf.
//
// The leaves need not be trusted: memory grows with what has been loaded, not
// with the numbers that stand in it.
func (s *State) Load(key merkle.Key, value []byte) error {
	a, id, symbol, ok := keyParts(&key)
	switch {
	case !ok:
		return fmt.Errorf("key %s: %w", key, ErrLeaf)
	case symbol != "":
		if _, twice := s.reserved[symbol]; twice || len(value) != len(a) {
			return fmt.Errorf("reserved symbol %s: %w", symbol, ErrLeaf)
		}
		s.reserved[symbol] = identity.Address(value)
	case id != 0:
		parsed, err := parseAsset(id, value)
		if err != nil {
			return err
		}
		s.assets = append(s.assets, coin{Asset: parsed})
	default:
		acc := s.accounts.add() // in the order of arrival until Finish
		acc.address = a
		str := cryptobyte.String(value)
		if !s.readAccount(acc, &str) || len(str) != 0 {
			return fmt.Errorf("account %s: %w", a, ErrLeaf)
		}
	}
	return nil
}

func (s *State) readAccount(acc *account, str *cryptobyte.String) bool {
	var n uint32
	var flags uint8
	if !str.ReadUint32(&n) || n == 0 || !str.ReadUint8(&flags) || flags&^allFlags != 0 {
		return false
	}
	s.loading = append(s.loading, Number(n))
	if flags&hasOwner != 0 {
		if !str.CopyBytes(acc.owner[:]) || acc.owner.IsZero() || !s.readWindow(&acc.window, str) {
			return false
		}
	}
	var x extra
	if flags&hasFloor != 0 && (!str.ReadUint64(&x.floor) || x.floor == 0) {
		return false
	}
	if flags&hasRotation != 0 && (!str.CopyBytes(x.rotation.Key[:]) || !str.ReadUint64(&x.rotation.Due) ||
		x.rotation.Due == 0 || x.rotation.Key.IsZero() || x.rotation.Key == acc.owner) {
		return false
	}
	if flags&hasTimer != 0 && (!str.ReadUint64(&x.timer) || x.timer == 0) {
		return false
	}
	if !s.readDelegates(acc, &x, str) {
		return false
	}
	if !x.empty() {
		*s.extras.need(acc) = x
	}
	return s.readBalances(acc, str)
}

func (s *State) readWindow(w *window, str *cryptobyte.String) bool {
	var top uint64
	var gaps cryptobyte.String
	return str.ReadUint64(&top) && str.ReadUint8LengthPrefixed(&gaps) && s.loadWindow(w, top, gaps)
}

func (s *State) readDelegates(acc *account, x *extra, str *cryptobyte.String) bool {
	var count uint8
	if !str.ReadUint8(&count) || count > MaxDelegates {
		return false
	}
	for i := range int(count) {
		var d delegate
		var scopes, markets uint8
		if !str.CopyBytes(d.Key[:]) || !str.ReadUint8(&scopes) || !str.ReadUint64(&d.Expiry) || !str.ReadUint8(&markets) {
			return false
		}
		d.Scopes = Scope(scopes)
		for range markets {
			var m uint32
			if !str.ReadUint32(&m) {
				return false
			}
			d.Markets = append(d.Markets, m)
		}
		if !d.valid() || d.Key.IsZero() || d.Key == acc.owner || d.Key == x.rotation.Key ||
			i > 0 && bytes.Compare(x.delegates[i-1].Key[:], d.Key[:]) >= 0 || !s.readWindow(&d.window, str) {
			return false
		}
		x.delegates = append(x.delegates, d)
	}
	return true
}

func (s *State) readBalances(acc *account, str *cryptobyte.String) bool {
	var count uint32
	const size = 4 + 8 + 8
	if !str.ReadUint32(&count) || count > MaxPlaces || uint64(len(*str)) != uint64(count)*size {
		return false
	}
	last := asset.ID(0)
	for range count {
		var l line
		if !str.ReadUint32((*uint32)(&l.asset)) || !str.ReadUint64((*uint64)(&l.available)) || !str.ReadUint64((*uint64)(&l.held)) ||
			l.asset <= last || l.available|l.held == 0 || l.available > asset.MaxSupply || l.held > asset.MaxSupply {
			return false
		}
		last = l.asset
		*s.need(acc, l.asset) = l
	}
	return true
}

// Finish completes a state after the last Load, and returns ErrLeaf if the
// leaves do not fit together. The state must not be used before.
func (s *State) Finish() error {
	slices.SortFunc(s.assets, func(a, b coin) int { return cmp.Compare(a.ID, b.ID) })
	for i := range s.assets {
		c := &s.assets[i]
		if uint64(c.ID) != uint64(i)+1 {
			return fmt.Errorf("asset %d is missing or there twice: %w", i+1, ErrLeaf)
		}
		if other, ok := s.symbols[c.Symbol]; ok {
			return fmt.Errorf("assets %d and %d are both called %s: %w", other, c.ID, c.Symbol, ErrLeaf)
		}
		s.symbols[c.Symbol] = c.ID
		s.issued[c.Issuer]++
	}
	if err := s.arrange(); err != nil {
		return err
	}
	s.index = make(map[identity.Address]Number, s.accounts.n)
	for i := range s.accounts.n {
		n := Number(i + 1)
		acc := s.accounts.at(n)
		s.index[acc.address] = n
		if x := s.extras.get(acc); x != nil {
			if x.rotation.Due != 0 {
				s.schedule.set(Due{Rotated, n, x.rotation.Due})
			}
			if x.timer != 0 {
				s.schedule.set(Due{Timer, n, x.timer})
			}
		}
		for _, l := range s.balances(acc) {
			if !s.exists(l.asset) {
				return fmt.Errorf("account %d has asset %d, which there is not: %w", n, l.asset, ErrLeaf)
			}
			c := s.coin(l.asset)
			// Each term is below 2^63 and each sum is held to it, so nothing wraps.
			c.available, c.held = c.available+l.available, c.held+l.held
			if c.available > asset.MaxSupply || c.held > asset.MaxSupply {
				return fmt.Errorf("more of asset %d than can exist: %w", l.asset, ErrLeaf)
			}
		}
	}
	if err := s.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrLeaf, err)
	}
	return nil
}

// arrange brings the accounts, which stand in the order in which they came, into
// the order of their numbers.
func (s *State) arrange() error {
	for i := range s.loading {
		for {
			n := s.loading[i]
			if uint64(n) > uint64(len(s.loading)) {
				return fmt.Errorf("account %d of %d: %w", n, len(s.loading), ErrLeaf)
			}
			j := int(n) - 1
			if j == i {
				break
			}
			if s.loading[j] == n {
				return fmt.Errorf("account %d is there twice: %w", n, ErrLeaf)
			}
			a, b := s.accounts.at(Number(i+1)), s.accounts.at(n)
			*a, *b = *b, *a
			s.loading[i], s.loading[j] = s.loading[j], n
		}
	}
	s.loading = nil
	return nil
}

// Audit returns the terms of an asset's conservation sum, which are kept as
// running sums; Check counts them anew. An unknown asset is all zero and balanced.
func (s *State) Audit(id asset.ID) Audit {
	if !s.exists(id) {
		return Audit{Asset: id, Balanced: true}
	}
	c := s.coin(id)
	a := Audit{
		Asset: id, Supply: c.Supply, Available: c.available, Held: c.held, Locked: c.Locked,
		Fees: c.Fees, Dust: c.Dust, Reserve: c.Reserve,
	}
	a.Balanced = a.balanced()
	return a
}

func (a *Audit) balanced() bool {
	rest := a.Supply
	for _, term := range [...]asset.Amount{a.Available, a.Held, a.Locked, a.Fees, a.Dust, a.Reserve} {
		var ok bool
		if rest, ok = rest.Sub(term); !ok {
			return false
		}
	}
	return rest == 0
}

// Check counts everything anew and returns an error that says what does not add
// up (L-60, L-61). It takes time in proportion to the whole state.
func (s *State) Check() error {
	if len(s.index) != s.accounts.n {
		return fmt.Errorf("%d accounts at %d addresses", s.accounts.n, len(s.index))
	}
	counted := make([]Audit, len(s.assets))
	due := 0
	for i := range s.accounts.n {
		n := Number(i + 1)
		acc := s.accounts.at(n)
		if s.index[acc.address] != n {
			return fmt.Errorf("account %d is not found by its address", n)
		}
		if acc.lines > MaxPlaces {
			return fmt.Errorf("account %d has %d places for assets, at most %d are allowed", n, acc.lines, MaxPlaces)
		}
		for _, l := range s.balances(acc) {
			if !s.exists(l.asset) || l.empty() && l.promised == 0 {
				return fmt.Errorf("account %d has an empty balance, or one of an unknown asset", n)
			}
			counted[l.asset-1].Available += l.available
			counted[l.asset-1].Held += l.held
		}
		x := s.extras.get(acc)
		if x == nil {
			continue
		}
		if x.rotation.Due != 0 {
			due++
			if !s.schedule.has(Due{Rotated, n, x.rotation.Due}) {
				return fmt.Errorf("the rotation of account %d is not scheduled", n)
			}
		}
		if x.timer != 0 {
			due++
			if !s.schedule.has(Due{Timer, n, x.timer}) {
				return fmt.Errorf("the timer of account %d is not scheduled", n)
			}
		}
	}
	if due != len(s.schedule.heap) {
		return fmt.Errorf("%d items are scheduled, %d should be", len(s.schedule.heap), due)
	}
	for i := range s.assets {
		if err := s.checkAsset(asset.ID(i+1), &counted[i]); err != nil {
			return err
		}
	}
	for _, symbol := range slices.Sorted(maps.Keys(s.reserved)) {
		if _, ok := s.symbols[symbol]; ok {
			return fmt.Errorf("symbol %s is reserved and taken", symbol)
		}
	}
	return nil
}

func (s *State) checkAsset(id asset.ID, counted *Audit) error {
	a := s.Audit(id)
	if a.Available != counted.Available || a.Held != counted.Held {
		return fmt.Errorf("asset %d: running sums are %d available and %d held, accounts have %d and %d",
			id, a.Available, a.Held, counted.Available, counted.Held)
	}
	if !a.Balanced {
		return fmt.Errorf("asset %d: supply of %d, but %d available, %d held, %d locked, %d fees, %d dust, %d reserve",
			id, a.Supply, a.Available, a.Held, a.Locked, a.Fees, a.Dust, a.Reserve)
	}
	if c := s.coin(id); c.Supply > c.MaxSupply || s.symbols[c.Symbol] != id {
		return fmt.Errorf("asset %d: supply of %d is above %d, or the symbol is not its own", id, c.Supply, c.MaxSupply)
	}
	return nil
}
