// Package ledger owns accounts and assets: who owns how much of what, which keys
// may act for an account, which nonces they have used, and what assets there
// are. Every unit of an asset is at all times in exactly one place: available or
// held in an account, locked in escrow, or in one of the asset's house balances.
//
// It decides nothing: the package exchange says what a command does, this one
// does the counting and refuses what would not add up. Orders, escrows and votes
// belong to its siblings, of which it knows nothing. An operation that the rules
// allow to fail answers a Code or a bool and changes nothing when it fails; one
// that can only fail if exchange is wrong panics, which halts the replica.
//
// The rules are docs/spec/05-ledger.md. Floor 1: it imports floor 0 only.
package ledger

import (
	"slices"

	"souk/asset"
	"souk/identity"
)

// Number is an account's number: sequential from 1 in the order in which
// accounts were opened. Zero is no account.
type Number uint32

// Code is why an operation was refused. Numbers are append-only.
type Code uint8

// Codes.
const (
	OK               Code = iota
	UnknownKey            // neither the account's owner key nor one of its delegates
	NonceUsed             // the key has used this nonce
	NonceStale            // the nonce is zero or more than 1,023 below the key's highest
	NonceTooFar           // the nonce is more than 65,536 above the key's highest
	OutOfScope            // the delegate lacks the scope or the market, or has expired
	BadKey                // the key is not usable or has a role in this account already
	BadDelegate           // scopes, markets or expiry are not allowed
	TooManyDelegates      // the account has MaxDelegates
	UnknownDelegate       // no delegate has this key
	RotationPending       // another rotation is pending
	NoRotation            // no rotation is pending
	BadAmount             // zero, or above asset.MaxSupply
	Insufficient          // not enough available
	UnknownAsset
	BadSymbol       // not 2 to 10 of A-Z and 0-9, a letter first
	SymbolTaken     // an asset has this symbol
	SymbolReserved  // only somebody else, or nobody, may issue it
	BadDecimals     // above asset.MaxDecimals
	NotIssuer       // only the issuer may
	SupplyExceeded  // above the asset's largest supply
	TooManyBalances // the account has no place for a further asset
	TooManyIssued   // the account has issued as many assets as it may
)

// Limits.
const (
	MinSymbol    = 2      // characters
	MaxSymbol    = 10     // characters
	MaxDelegates = 16     // delegates of one account, expired ones included
	MaxMarkets   = 64     // markets that one delegate may be limited to
	MaxBalances  = 1024   // places for assets that others may fill, see State.Room
	MaxPlaces    = 2048   // places for assets of an account, see State.OwnRoom
	WindowBits   = 1024   // nonces up to and including a key's highest that are told apart
	MaxJump      = 65_536 // how far above its highest nonce a key may go
)

// Scope is a set of things that a delegate may do.
type Scope uint8

// Scopes.
const (
	Read     Scope = 1 << iota // see balances and orders
	Trade                      // place, amend and cancel orders
	Transfer                   // pay others inside the virtual server, lock escrows
	Withdraw                   // send coins out of the virtual server
	Server                     // act for a member's running server

	// AllScopes are all scopes a delegate can have.
	AllScopes = Read | Trade | Transfer | Withdraw | Server
	// Owner is what only the owner key may do, such as changing keys. No
	// delegate can have it.
	Owner Scope = 1 << 7
)

// Delegate is a key that may act for an account within limits.
type Delegate struct {
	Key     identity.PublicKey
	Scopes  Scope    // at least one
	Markets []uint32 // ascending, each once; empty for all. They limit Trade only.
	Expiry  uint64   // ms of block time from which it has no power; zero for never
}

// House is one of an asset's balances that belong to nobody's account.
type House uint8

// House balances.
const (
	Fees    House = iota + 1 // collected fees; a vote spends them
	Dust                     // what rounding left over
	Reserve                  // for network fees of the asset's bank
)

// Asset is one asset as it stands.
type Asset struct {
	ID        asset.ID
	Symbol    string
	Decimals  uint8
	Issuer    identity.Address // zero: only the virtual server itself mints
	MaxSupply asset.Amount
	Contract  [32]byte // hash of the issuer's promise
	Supply    asset.Amount
	Locked    asset.Amount // in escrow
	Fees      asset.Amount
	Dust      asset.Amount
	Reserve   asset.Amount
}

// Terms are what an asset is issued with.
type Terms struct {
	Symbol    string
	Decimals  uint8
	Issuer    identity.Address
	MaxSupply asset.Amount
	Contract  [32]byte
}

// Audit is every term of an asset's conservation sum (L-60).
type Audit struct {
	Asset     asset.ID
	Supply    asset.Amount
	Available asset.Amount // sum over all accounts
	Held      asset.Amount // sum over all accounts
	Locked    asset.Amount
	Fees      asset.Amount
	Dust      asset.Amount
	Reserve   asset.Amount
	Balanced  bool // Supply is the sum of all others
}

// Balance is what an account has of one asset.
type Balance struct {
	Asset     asset.ID
	Available asset.Amount
	Held      asset.Amount
}

// Rotation is a pending change of the owner key.
type Rotation struct {
	Key identity.PublicKey // the next owner
	Due uint64             // ms; zero if none is pending
}

// Account is a copy of all that is known of an account.
type Account struct {
	Number    Number
	Address   identity.Address
	Owner     identity.PublicKey // zero until the owner's first command
	Rotation  Rotation
	Timer     uint64 // ms when the dead-man timer is due; zero if not armed
	Delegates []Delegate
	Balances  []Balance // ascending by asset, none of them zero
}

// DueKind says what fell due.
type DueKind uint8

// Kinds of due items.
const (
	Rotated DueKind = iota + 1 // the account has its new owner key already
	Timer                      // the dead-man timer ran out and is disarmed; cancel the account's orders
)

// Due is something that fell due.
type Due struct {
	Kind    DueKind
	Account Number
	At      uint64 // ms when it was due
}

// State is all accounts and assets. It is not safe for concurrent use.
type State struct {
	index    map[identity.Address]Number
	accounts accounts
	lines    arena
	bitmaps  bitmaps
	extras   extras
	schedule schedule
	dirty    []Number

	assets       []coin // by id, less one
	symbols      map[string]asset.ID
	dirtyAssets  []asset.ID
	reserved     map[string]identity.Address // who may issue a symbol; zero: nobody
	issued       map[identity.Address]uint32 // how many assets are of an issuer
	issueLimit   uint32                      // at how many he may issue no more
	dirtySymbols []string

	loading []Number // while leaves are loaded: the numbers of accounts, in the order in which they came
}

// New returns a state without accounts or assets. Load may fill it.
func New() *State {
	return &State{
		index:    map[identity.Address]Number{},
		symbols:  map[string]asset.ID{},
		reserved: map[string]identity.Address{},
		issued:   map[identity.Address]uint32{}, issueLimit: ^uint32(0),
		schedule: newSchedule(),
	}
}

// Accounts returns how many accounts there are; their numbers are 1 to that.
func (s *State) Accounts() int { return s.accounts.n }

// Open returns the number of the account of an address, and opens it if there is none.
func (s *State) Open(a identity.Address) Number {
	if n, ok := s.index[a]; ok {
		return n
	}
	acc := s.accounts.add()
	n := Number(s.accounts.n) //nolint:gosec // four billion accounts do not fit memory
	acc.address = a
	s.index[a] = n
	s.touch(n, acc)
	return n
}

// Find returns the number of the account of an address.
func (s *State) Find(a identity.Address) (Number, bool) {
	n, ok := s.index[a]
	return n, ok
}

// Address returns the address of an account, which must exist.
func (s *State) Address(n Number) identity.Address { return s.accounts.at(n).address }

// Account returns a copy of all that is known of an account, which must exist.
func (s *State) Account(n Number) Account {
	acc := s.accounts.at(n)
	a := Account{Number: n, Address: acc.address, Owner: acc.owner}
	if x := s.extras.get(acc); x != nil {
		a.Rotation, a.Timer = x.rotation, x.timer
		for i := range x.delegates {
			d := x.delegates[i].Delegate
			d.Markets = slices.Clone(d.Markets)
			a.Delegates = append(a.Delegates, d)
		}
	}
	for _, l := range s.balances(acc) {
		if l.empty() {
			continue
		}
		a.Balances = append(a.Balances, Balance{Asset: l.asset, Available: l.available, Held: l.held})
	}
	return a
}

// touch notes that an account's leaf has changed.
func (s *State) touch(n Number, acc *account) {
	if !acc.dirty {
		acc.dirty = true
		s.dirty = append(s.dirty, n)
	}
}
