// Package escrow owns escrows: amounts set aside under a hash and a deadline, and
// optionally under an arbiter. Revealing the preimage of the hash before the
// deadline pays the payee; at the deadline the payer gets the amount back. If
// there is an arbiter, a party may open a dispute before the deadline, and then
// only the arbiter decides.
//
// It moves no money: it answers who gets what, and exchange posts that to the
// ledger. It knows accounts as numbers only. The rules are
// docs/spec/06-escrow.md. Floor 1: it imports floor 0 only.
package escrow

import (
	"souk/asset"
	"souk/merkle"
)

// ID is an escrow's number, sequential from 1. Zero is no escrow.
type ID uint64

// Owner is the number of an account. Zero is no account.
type Owner uint32

// Limits.
const (
	MaxMemo      = 128                       // bytes
	MaxAhead     = 365 * 24 * 60 * 60 * 1000 // ms from now to the deadline
	MaxWindow    = 90 * 24 * 60 * 60 * 1000  // ms from the deadline to the end of a dispute
	MaxPerPayer  = 1000                      // escrows that one payer may have locked at a time
	PreimageSize = 32                        // bytes
)

// Code is why an operation was refused. Numbers are append-only.
type Code uint8

// Codes.
const (
	OK            Code = iota
	BadAmount          // zero, or above asset.MaxSupply
	BadParties         // payer, payee and arbiter are not three different accounts
	BadDeadline        // not after now, or more than MaxAhead ahead
	BadWindow          // zero or above MaxWindow with an arbiter, not zero without one
	BadMemo            // longer than MaxMemo
	TooMany            // the payer has MaxPerPayer escrows
	Unknown            // no such escrow, or not any more
	NotParty           // the account has not the part that this takes
	WrongPreimage      // not 32 bytes, or their SHA-256 is not the escrow's hash
	TooEarly           // a refund before the deadline
	TooLate            // a claim or dispute at or after the deadline, a decision after the window
	NoArbiter          // the escrow has no arbiter
	InDispute          // only the arbiter decides now
	NotInDispute       // nobody opened a dispute
)

// Terms are what an amount is locked under.
type Terms struct {
	Payer    Owner
	Payee    Owner
	Asset    asset.ID
	Amount   asset.Amount
	Hash     [32]byte // SHA-256 of the preimage
	Deadline uint64   // ms of block time
	Arbiter  Owner    // zero for none
	Window   uint64   // ms after Deadline within which the arbiter decides; zero without one
	Memo     string
}

// Escrow is a locked amount.
type Escrow struct {
	ID ID
	Terms
	Disputed bool
}

// Due is when the escrow goes back to the payer by itself: the deadline, or in a
// dispute the end of the arbiter's window.
func (e *Escrow) Due() uint64 { panic("soon") }

// Payout says where a closed escrow's whole amount goes.
type Payout struct {
	Escrow // as it stood when it was closed
	To     Owner
	Paid   bool // true: To is the payee; false: To is the payer
}

// State is all locked escrows. It is not safe for concurrent use.
type State struct{}

// New returns a state without escrows. Load may fill it.
func New() *State { panic("soon") }

// Check tells whether Lock would accept the terms: OK, BadAmount, BadParties,
// BadDeadline, BadWindow, BadMemo or TooMany.
func (s *State) Check(t Terms, now uint64) Code { panic("soon") }

// Lock makes an escrow. The caller has taken the amount from the payer, or does
// so if the code is OK; the codes are those of Check.
func (s *State) Lock(t Terms, now uint64) (ID, Code) { panic("soon") }

// Claim closes an escrow in favour of the payee: OK, Unknown, InDispute, TooLate
// or WrongPreimage. Anybody may bring the preimage.
func (s *State) Claim(id ID, preimage []byte, now uint64) (Payout, Code) { panic("soon") }

// Refund closes an escrow in favour of the payer: at or after the deadline for
// either party, at any time for the payee, who gives it up. OK, Unknown,
// NotParty, InDispute or TooEarly.
func (s *State) Refund(id ID, by Owner, now uint64) (Payout, Code) { panic("soon") }

// Dispute hands an escrow to its arbiter: OK, Unknown, NotParty, NoArbiter,
// InDispute or TooLate. by is the payer or the payee.
func (s *State) Dispute(id ID, by Owner, now uint64) Code { panic("soon") }

// Resolve closes a disputed escrow as its arbiter says: OK, Unknown, NoArbiter,
// NotParty, NotInDispute or TooLate.
func (s *State) Resolve(id ID, by Owner, pay bool, now uint64) (Payout, Code) { panic("soon") }

// NextDue returns when the next escrow goes back by itself.
func (s *State) NextDue() (due uint64, ok bool) { panic("soon") }

// TakeDue closes and returns the next escrow that is due at now, in the order of
// (due time, id). Call it until ok is false.
func (s *State) TakeDue(now uint64) (p Payout, ok bool) { panic("soon") }

// Get returns a locked escrow.
func (s *State) Get(id ID) (Escrow, bool) { panic("soon") }

// Len returns how many escrows are locked.
func (s *State) Len() int { panic("soon") }

// All calls yield for every locked escrow in ascending order of ids until it
// returns false.
func (s *State) All(yield func(Escrow) bool) { panic("soon") }

// Locked returns the sum of all locked amounts of an asset, by counting.
func (s *State) Locked(id asset.ID) asset.Amount { panic("soon") }

// Verify counts everything anew and returns an error that says what does not
// fit together. It takes time in proportion to the whole state.
func (s *State) Verify() error { panic("soon") }

// Changes calls yield for every leaf that changed since the last call, once
// each, in no particular order; a nil value means deleted. The values belong to
// the receiver.
func (s *State) Changes(yield func(key merkle.Key, value []byte)) { panic("soon") }

// Leaf returns the value of one leaf as it stands.
func (s *State) Leaf(key merkle.Key) ([]byte, bool) { panic("soon") }

// Leaves calls yield for every leaf in ascending order of keys until it returns
// false. The value is valid only during the call.
func (s *State) Leaves(yield func(key merkle.Key, value []byte) bool) { panic("soon") }

// Load adds one leaf to a state that came from New. Leaves may come in any
// order, each once. It returns ErrLeaf for anything but the one encoding of a leaf.
func (s *State) Load(key merkle.Key, value []byte) error { panic("soon") }

// Finish completes a state after the last Load, and returns ErrLeaf if the
// leaves do not fit together. The state must not be used before.
func (s *State) Finish() error { panic("soon") }
