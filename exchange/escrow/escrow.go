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
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"souk/asset"
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
func (e *Escrow) Due() uint64 {
	if e.Disputed {
		return e.Deadline + e.Window
	}
	return e.Deadline
}

// Payout says where a closed escrow's whole amount goes.
type Payout struct {
	Escrow // as it stood when it was closed
	To     Owner
	Paid   bool // true: To is the payee; false: To is the payer
}

// State is all locked escrows. It is not safe for concurrent use.
type State struct {
	live  map[ID]*record
	due   queue
	count map[Owner]int // escrows locked, by payer
	last  ID

	lastDirty bool
	dirty     []*record
	gone      []ID // closed escrows that have a leaf
}

// record is an escrow and what the indexes need to know of it.
type record struct {
	Escrow
	place  int  // in the queue
	dirty  bool // stands in State.dirty
	stored bool // has been emitted as a leaf
}

// New returns a state without escrows. Load may fill it.
func New() *State {
	return &State{live: map[ID]*record{}, count: map[Owner]int{}}
}

// Check tells whether Lock would accept the terms: OK, BadAmount, BadParties,
// BadDeadline, BadWindow, BadMemo or TooMany.
func (s *State) Check(t Terms, now uint64) Code {
	if code := t.check(); code != OK {
		return code
	}
	if t.Deadline <= now || t.Deadline-now > MaxAhead {
		return BadDeadline
	}
	if s.count[t.Payer] >= MaxPerPayer {
		return TooMany
	}
	return OK
}

// check is what holds for the terms at any time.
func (t *Terms) check() Code {
	switch {
	case t.Asset == 0 || t.Amount == 0 || t.Amount > asset.MaxSupply:
		return BadAmount
	case t.Payer == 0 || t.Payee == 0 || t.Payer == t.Payee || t.Arbiter == t.Payer || t.Arbiter == t.Payee:
		return BadParties
	case (t.Arbiter == 0) != (t.Window == 0) || t.Window > MaxWindow || t.Deadline+t.Window < t.Deadline:
		return BadWindow
	case len(t.Memo) > MaxMemo:
		return BadMemo
	}
	return OK
}

// Lock makes an escrow. The caller has taken the amount from the payer, or does
// so if the code is OK; the codes are those of Check.
func (s *State) Lock(t Terms, now uint64) (ID, Code) {
	if code := s.Check(t, now); code != OK {
		return 0, code
	}
	s.last++
	s.lastDirty = true
	r := &record{Escrow: Escrow{ID: s.last, Terms: t}}
	s.add(r)
	s.touch(r)
	return r.ID, OK
}

func (s *State) add(r *record) {
	s.live[r.ID] = r
	s.count[r.Payer]++
	s.due.push(r)
}

func (s *State) touch(r *record) {
	if !r.dirty {
		r.dirty = true
		s.dirty = append(s.dirty, r)
	}
}

// close takes an escrow out and says who gets its amount.
func (s *State) close(r *record, paid bool) Payout {
	delete(s.live, r.ID)
	if s.count[r.Payer]--; s.count[r.Payer] == 0 {
		delete(s.count, r.Payer)
	}
	s.due.remove(r)
	if r.stored {
		s.gone = append(s.gone, r.ID)
	}
	p := Payout{Escrow: r.Escrow, To: r.Payer, Paid: paid}
	if paid {
		p.To = r.Payee
	}
	return p
}

// Claim closes an escrow in favour of the payee: OK, Unknown, InDispute, TooLate
// or WrongPreimage. Anybody may bring the preimage.
func (s *State) Claim(id ID, preimage []byte, now uint64) (Payout, Code) {
	r, ok := s.live[id]
	switch {
	case !ok:
		return Payout{}, Unknown
	case r.Disputed:
		return Payout{}, InDispute
	case now >= r.Deadline:
		return Payout{}, TooLate
	case len(preimage) != PreimageSize || sha256.Sum256(preimage) != r.Hash:
		return Payout{}, WrongPreimage
	}
	return s.close(r, true), OK
}

// Refund closes an escrow in favour of the payer: when it is due at the wish of
// either party, and before at that of the payee, who gives it up, in dispute or not.
// OK, Unknown, NotParty, InDispute or TooEarly.
func (s *State) Refund(id ID, by Owner, now uint64) (Payout, Code) {
	r, ok := s.live[id]
	switch {
	case !ok:
		return Payout{}, Unknown
	case by != r.Payer && by != r.Payee:
		return Payout{}, NotParty
	case by == r.Payee, now >= r.Due():
		return s.close(r, false), OK
	case r.Disputed:
		return Payout{}, InDispute
	}
	return Payout{}, TooEarly
}

// Dispute hands an escrow to its arbiter: OK, Unknown, NotParty, NoArbiter,
// InDispute or TooLate. by is the payer or the payee.
func (s *State) Dispute(id ID, by Owner, now uint64) Code {
	r, ok := s.live[id]
	switch {
	case !ok:
		return Unknown
	case by != r.Payer && by != r.Payee:
		return NotParty
	case r.Arbiter == 0:
		return NoArbiter
	case r.Disputed:
		return InDispute
	case now >= r.Deadline:
		return TooLate
	}
	s.due.remove(r)
	r.Disputed = true
	s.due.push(r)
	s.touch(r)
	return OK
}

// Resolve closes a disputed escrow as its arbiter says: OK, Unknown, NoArbiter,
// NotParty, NotInDispute or TooLate.
func (s *State) Resolve(id ID, by Owner, pay bool, now uint64) (Payout, Code) {
	r, ok := s.live[id]
	switch {
	case !ok:
		return Payout{}, Unknown
	case r.Arbiter == 0:
		return Payout{}, NoArbiter
	case by != r.Arbiter:
		return Payout{}, NotParty
	case !r.Disputed:
		return Payout{}, NotInDispute
	case now >= r.Due():
		return Payout{}, TooLate
	}
	return s.close(r, pay), OK
}

// NextDue returns when the next escrow goes back by itself.
func (s *State) NextDue() (due uint64, ok bool) {
	if len(s.due) == 0 {
		return 0, false
	}
	return s.due[0].Due(), true
}

// TakeDue closes and returns the next escrow that is due at now, in the order of
// (due time, id). Call it until ok is false.
func (s *State) TakeDue(now uint64) (p Payout, ok bool) {
	if len(s.due) == 0 || s.due[0].Due() > now {
		return Payout{}, false
	}
	return s.close(s.due[0], false), true
}

// Get returns a locked escrow.
func (s *State) Get(id ID) (Escrow, bool) {
	r, ok := s.live[id]
	if !ok {
		return Escrow{}, false
	}
	return r.Escrow, true
}

// Len returns how many escrows are locked.
func (s *State) Len() int { return len(s.live) }

// Last returns the id of the escrow that was made last; zero if none ever was.
func (s *State) Last() ID { return s.last }

// All calls yield for every locked escrow in ascending order of ids until it
// returns false.
func (s *State) All(yield func(Escrow) bool) {
	for _, id := range slices.Sorted(maps.Keys(s.live)) {
		if !yield(s.live[id].Escrow) {
			return
		}
	}
}

// Locked returns the sum of all locked amounts of an asset, by counting.
func (s *State) Locked(id asset.ID) (total asset.Amount) {
	for _, r := range s.due {
		if r.Asset == id {
			total += r.Amount // cannot wrap, see Verify
		}
	}
	return total
}

// Verify counts everything anew and returns an error that says what does not
// fit together (E-50). It takes time in proportion to the whole state.
func (s *State) Verify() error {
	if len(s.due) != len(s.live) {
		return fmt.Errorf("%d escrows are locked, %d are in the queue", len(s.live), len(s.due))
	}
	count := map[Owner]int{}
	locked := map[asset.ID]asset.Amount{}
	for i, r := range s.due {
		if s.live[r.ID] != r || r.place != i || i > 0 && r.before(s.due[(i-1)/2]) {
			return fmt.Errorf("escrow %d is in the wrong place", r.ID)
		}
		if r.ID == 0 || r.ID > s.last || r.check() != OK || r.Disputed && r.Arbiter == 0 {
			return fmt.Errorf("escrow %d cannot have come about", r.ID)
		}
		count[r.Payer]++
		sum, ok := locked[r.Asset].Add(r.Amount)
		if !ok || sum > asset.MaxSupply {
			return fmt.Errorf("more of asset %d is locked than can exist", r.Asset)
		}
		locked[r.Asset] = sum
	}
	if !maps.Equal(count, s.count) {
		return errors.New("payers' escrows are miscounted")
	}
	return nil
}
