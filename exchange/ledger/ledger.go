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
	"souk/asset"
	"souk/identity"
	"souk/merkle"
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
	TooManyBalances // the account has MaxBalances
)

// Limits.
const (
	MaxDelegates = 16   // delegates of one account, expired ones included
	MaxMarkets   = 64   // markets that one delegate may be limited to
	MaxBalances  = 1024 // assets an account may be offered, see State.Room
	WindowBits   = 1024 // nonces below and including a key's highest that are told apart
	MaxJump      = 65_536
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

// Audit is every term of an asset's conservation sum (L-70).
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
type State struct{}

// New returns a state without accounts or assets. Load may fill it.
func New() *State { panic("soon") }

// Accounts returns how many accounts there are; their numbers are 1 to that.
func (s *State) Accounts() int { panic("soon") }

// Open returns the number of the account of an address, and opens it if there is none.
func (s *State) Open(a identity.Address) Number { panic("soon") }

// Find returns the number of the account of an address.
func (s *State) Find(a identity.Address) (Number, bool) { panic("soon") }

// Address returns the address of an account, which must exist.
func (s *State) Address(n Number) identity.Address { panic("soon") }

// Account returns a copy of all that is known of an account, which must exist.
func (s *State) Account(n Number) Account { panic("soon") }

// CheckNonce answers what UseNonce would, and changes nothing.
func (s *State) CheckNonce(n Number, key identity.PublicKey, nonce uint64) Code { panic("soon") }

// UseNonce marks a nonce of a key as used: OK, UnknownKey, NonceUsed, NonceStale
// or NonceTooFar. If the account's owner is not known yet and the key is the one
// that its address was made of, the owner is known from now on.
func (s *State) UseNonce(n Number, key identity.PublicKey, nonce uint64) Code { panic("soon") }

// TopNonce returns the highest nonce that counts as used for a key: the next
// command should carry the one above it. A key that is not the owner or a
// delegate now gets what it would start from.
func (s *State) TopNonce(n Number, key identity.PublicKey) uint64 { panic("soon") }

// Authorize tells whether a key may do something now: OK, UnknownKey or
// OutOfScope. market matters to the scope Trade only; zero there means all
// markets, for which a delegate limited to some markets is out of scope.
func (s *State) Authorize(n Number, key identity.PublicKey, scope Scope, market uint32, now uint64) Code {
	panic("soon")
}

// SetDelegate adds a delegate or replaces the limits of one: OK, BadKey,
// BadDelegate or TooManyDelegates.
func (s *State) SetDelegate(n Number, d Delegate, now uint64) Code { panic("soon") }

// RemoveDelegate takes a delegate's power away: OK or UnknownDelegate.
func (s *State) RemoveDelegate(n Number, key identity.PublicKey) Code { panic("soon") }

// StartRotation makes key the owner from due on: OK, BadKey or RotationPending.
func (s *State) StartRotation(n Number, key identity.PublicKey, due uint64) Code { panic("soon") }

// CancelRotation calls a pending rotation off: OK or NoRotation.
func (s *State) CancelRotation(n Number) Code { panic("soon") }

// SetTimer arms an account's dead-man timer for due, or disarms it if due is zero.
func (s *State) SetTimer(n Number, due uint64) { panic("soon") }

// NextDue returns when the next item is due.
func (s *State) NextDue() (due uint64, ok bool) { panic("soon") }

// TakeDue carries out and returns the next item that is due at now, in the order
// of (due time, account number, kind). Call it until ok is false.
func (s *State) TakeDue(now uint64) (d Due, ok bool) { panic("soon") }

// Available returns what an account can spend of an asset.
func (s *State) Available(n Number, id asset.ID) asset.Amount { panic("soon") }

// Held returns what is set aside for an account's orders.
func (s *State) Held(n Number, id asset.ID) asset.Amount { panic("soon") }

// Room tells whether an account may be offered an asset by others: it has the
// asset already, or fewer than MaxBalances assets. Credit does not ask; exchange
// asks before a transfer, a mint or a lock in favour of the account.
func (s *State) Room(n Number, id asset.ID) bool { panic("soon") }

// Credit adds to what an account has available. It panics if that would exceed
// asset.MaxSupply, which cannot happen to units that exist.
func (s *State) Credit(n Number, id asset.ID, amount asset.Amount) { panic("soon") }

// Debit takes from what an account has available; false if that is not enough.
func (s *State) Debit(n Number, id asset.ID, amount asset.Amount) bool { panic("soon") }

// Hold moves from available to held; false if there is not enough available.
func (s *State) Hold(n Number, id asset.ID, amount asset.Amount) bool { panic("soon") }

// Release moves from held to available. It panics if less is held.
func (s *State) Release(n Number, id asset.ID, amount asset.Amount) { panic("soon") }

// SpendHeld takes from what is held. It panics if less is held.
func (s *State) SpendHeld(n Number, id asset.ID, amount asset.Amount) { panic("soon") }

// Lock counts an amount that has left an account for an escrow.
func (s *State) Lock(id asset.ID, amount asset.Amount) { panic("soon") }

// Unlock counts an amount that leaves an escrow. It panics if less is locked.
func (s *State) Unlock(id asset.ID, amount asset.Amount) { panic("soon") }

// CreditHouse adds to a house balance.
func (s *State) CreditHouse(id asset.ID, h House, amount asset.Amount) { panic("soon") }

// DebitHouse takes from a house balance and leaves at least keep there; false,
// and nothing changed, if that is not possible. When a vote spends dust, keep
// must be the number of live orders (L-63).
func (s *State) DebitHouse(id asset.ID, h House, amount, keep asset.Amount) bool { panic("soon") }

// Assets returns how many assets there are; their ids are 1 to that.
func (s *State) Assets() int { panic("soon") }

// Asset returns an asset as it stands.
func (s *State) Asset(id asset.ID) (Asset, bool) { panic("soon") }

// BySymbol returns the asset with a symbol.
func (s *State) BySymbol(symbol string) (asset.ID, bool) { panic("soon") }

// Issue makes a new asset without units: OK, BadSymbol, SymbolTaken,
// SymbolReserved, BadDecimals or BadAmount (of the largest supply).
func (s *State) Issue(t Terms) (asset.ID, Code) { panic("soon") }

// Reserve lets only one address issue a symbol from now on, or nobody if it is
// zero: OK, BadSymbol or SymbolTaken. A later call replaces an earlier one.
func (s *State) Reserve(symbol string, issuer identity.Address) Code { panic("soon") }

// Mint makes new units for an account, in the name of the address by, which is
// zero for the virtual server itself: OK, UnknownAsset, NotIssuer, BadAmount or
// SupplyExceeded.
func (s *State) Mint(by identity.Address, id asset.ID, amount asset.Amount, to Number) Code {
	panic("soon")
}

// Burn destroys available units of an account that is the asset's issuer: OK,
// UnknownAsset, NotIssuer, BadAmount or Insufficient.
func (s *State) Burn(n Number, id asset.ID, amount asset.Amount) Code { panic("soon") }

// Audit returns the terms of an asset's conservation sum, which are kept as
// running sums; Check counts them anew. An unknown asset is all zero and balanced.
func (s *State) Audit(id asset.ID) Audit { panic("soon") }

// Check counts everything anew and returns an error that says what does not add
// up. It takes time in proportion to the whole state.
func (s *State) Check() error { panic("soon") }

// Changes calls yield for every leaf that changed since the last call, once
// each, in no particular order. The values belong to the receiver.
func (s *State) Changes(yield func(key merkle.Key, value []byte)) { panic("soon") }

// Leaf returns the value of one leaf as it stands.
func (s *State) Leaf(key merkle.Key) ([]byte, bool) { panic("soon") }

// Leaves calls yield for every leaf in ascending order of keys until it returns
// false. The value is valid only during the call.
func (s *State) Leaves(yield func(key merkle.Key, value []byte) bool) { panic("soon") }

// Load adds one leaf to a state that came from New. Leaves may come in any
// order, each once. The value is not kept. It returns ErrLeaf for anything but the
// one encoding of a leaf.
func (s *State) Load(key merkle.Key, value []byte) error { panic("soon") }

// Finish completes a state after the last Load, and returns ErrLeaf if the
// leaves do not fit together. The state must not be used before.
func (s *State) Finish() error { panic("soon") }
