package ledger

import (
	"souk/asset"
	"souk/identity"
)

// coin is an asset with the running sums over all accounts.
type coin struct {
	Asset
	available asset.Amount
	held      asset.Amount
	dirty     bool
}

// coin returns an asset, which must exist.
func (s *State) coin(id asset.ID) *coin {
	if !s.exists(id) {
		broken("there is no asset %d", id)
	}
	return &s.assets[id-1]
}

func (s *State) exists(id asset.ID) bool { return id != 0 && uint64(id) <= uint64(len(s.assets)) }

// changing returns an asset whose leaf is about to change.
func (s *State) changing(id asset.ID) *coin {
	c := s.coin(id)
	if !c.dirty {
		c.dirty = true
		s.dirtyAssets = append(s.dirtyAssets, id)
	}
	return c
}

// Lock counts an amount that has left an account for an escrow.
func (s *State) Lock(id asset.ID, amount asset.Amount) {
	c := s.changing(id)
	c.Locked = sum(c.Locked, amount)
}

// Unlock counts an amount that leaves an escrow. It panics if less is locked.
func (s *State) Unlock(id asset.ID, amount asset.Amount) {
	c := s.changing(id)
	if c.Locked < amount {
		broken("less of asset %d is locked than the %d to be unlocked", id, amount)
	}
	c.Locked -= amount
}

// CreditHouse adds to a house balance.
func (s *State) CreditHouse(id asset.ID, h House, amount asset.Amount) {
	if amount == 0 {
		return
	}
	b := s.changing(id).house(h)
	*b = sum(*b, amount)
}

// DebitHouse takes from a house balance and leaves at least keep there; false,
// and nothing changed, if that is not possible. When a vote spends dust, keep
// must be the number of live orders (L-53).
func (s *State) DebitHouse(id asset.ID, h House, amount, keep asset.Amount) bool {
	b := s.coin(id).house(h)
	if rest, ok := b.Sub(amount); !ok || rest < keep {
		return false
	}
	s.changing(id)
	*b -= amount
	return true
}

func (c *coin) house(h House) *asset.Amount {
	switch h {
	case Fees:
		return &c.Fees
	case Dust:
		return &c.Dust
	case Reserve:
		return &c.Reserve
	}
	broken("there is no house balance %d", h)
	return nil
}

// Known tells whether a number names a house balance.
func (h House) Known() bool { return h >= Fees && h <= Reserve }

// Assets returns how many assets there are; their ids are 1 to that.
func (s *State) Assets() int { return len(s.assets) }

// Asset returns an asset as it stands.
func (s *State) Asset(id asset.ID) (Asset, bool) {
	if !s.exists(id) {
		return Asset{}, false
	}
	return s.assets[id-1].Asset, true
}

// BySymbol returns the asset with a symbol.
func (s *State) BySymbol(symbol string) (asset.ID, bool) {
	id, ok := s.symbols[symbol]
	return id, ok
}

// ValidSymbol tells whether an asset may be called so (L-41).
func ValidSymbol(symbol string) bool {
	for i := range len(symbol) {
		c := symbol[i]
		letter, digit := c >= 'A' && c <= 'Z', c >= '0' && c <= '9'
		if !letter && (!digit || i == 0) {
			return false
		}
	}
	return len(symbol) >= MinSymbol && len(symbol) <= MaxSymbol
}

// SetIssueLimit sets how many assets an address may issue, those of symbols that
// are reserved for it not limited (L-46).
func (s *State) SetIssueLimit(most uint32) { s.issueLimit = most }

// Issue makes a new asset without units: OK, BadSymbol, SymbolTaken,
// SymbolReserved, BadDecimals, BadAmount (of the largest supply) or TooManyIssued.
func (s *State) Issue(t Terms) (asset.ID, Code) {
	if code := s.checkTerms(&t); code != OK {
		return 0, code
	}
	if _, ok := s.reserved[t.Symbol]; ok {
		delete(s.reserved, t.Symbol)
		s.dirtySymbols = append(s.dirtySymbols, t.Symbol)
	}
	id := asset.ID(len(s.assets) + 1) //nolint:gosec // four billion assets do not fit memory
	s.assets = append(s.assets, coin{Asset: Asset{
		ID: id, Symbol: t.Symbol, Decimals: t.Decimals, Issuer: t.Issuer, MaxSupply: t.MaxSupply, Contract: t.Contract,
	}})
	s.symbols[t.Symbol] = id
	s.issued[t.Issuer]++
	s.changing(id)
	return id, OK
}

func (s *State) checkTerms(t *Terms) Code {
	if !ValidSymbol(t.Symbol) {
		return BadSymbol
	}
	if _, ok := s.symbols[t.Symbol]; ok {
		return SymbolTaken
	}
	only, granted := s.reserved[t.Symbol]
	if granted && (only.IsZero() || only != t.Issuer) {
		return SymbolReserved
	}
	if t.Decimals > asset.MaxDecimals {
		return BadDecimals
	}
	if t.MaxSupply == 0 || t.MaxSupply > asset.MaxSupply {
		return BadAmount
	}
	if !granted && s.issued[t.Issuer] >= s.issueLimit {
		return TooManyIssued
	}
	return OK
}

// Reserve lets only one address issue a symbol from now on, or nobody if it is
// zero: OK, BadSymbol or SymbolTaken. A later call replaces an earlier one.
func (s *State) Reserve(symbol string, issuer identity.Address) Code {
	if !ValidSymbol(symbol) {
		return BadSymbol
	}
	if _, ok := s.symbols[symbol]; ok {
		return SymbolTaken
	}
	s.reserved[symbol] = issuer
	s.dirtySymbols = append(s.dirtySymbols, symbol)
	return OK
}

// Reserved tells whether a symbol is reserved, and for whom; a zero address
// means for nobody.
func (s *State) Reserved(symbol string) (issuer identity.Address, ok bool) {
	issuer, ok = s.reserved[symbol]
	return issuer, ok
}

// Mint makes new units for an account, in the name of the address by, which is
// zero for the virtual server itself: OK, UnknownAsset, NotIssuer, BadAmount or
// SupplyExceeded. If to is zero, the caller credits the units before the block ends.
func (s *State) Mint(by identity.Address, id asset.ID, amount asset.Amount, to Number) Code {
	if !s.exists(id) {
		return UnknownAsset
	}
	c := &s.assets[id-1]
	switch {
	case by != c.Issuer:
		return NotIssuer
	case amount == 0 || amount > asset.MaxSupply:
		return BadAmount
	case amount > c.MaxSupply-c.Supply:
		return SupplyExceeded
	}
	s.changing(id)
	c.Supply += amount
	if to != 0 {
		s.Credit(to, id, amount)
	}
	return OK
}

// Retire ends units of an asset that the caller has taken from where they were. It
// panics if there are fewer.
func (s *State) Retire(id asset.ID, amount asset.Amount) {
	c := s.changing(id)
	if c.Supply < amount {
		broken("%d of asset %d are to end, and there are %d", amount, id, c.Supply)
	}
	c.Supply -= amount
}

// Burn destroys available units of an account that is the asset's issuer: OK,
// UnknownAsset, NotIssuer, BadAmount or Insufficient.
func (s *State) Burn(n Number, id asset.ID, amount asset.Amount) Code {
	if !s.exists(id) {
		return UnknownAsset
	}
	c := &s.assets[id-1]
	switch {
	case s.Address(n) != c.Issuer:
		return NotIssuer
	case amount == 0 || amount > asset.MaxSupply:
		return BadAmount
	case !s.Debit(n, id, amount):
		return Insufficient
	}
	s.changing(id)
	c.Supply -= amount
	return OK
}
