package custody

import "souk/asset"

// Reason is why all banks are halted. Numbers are append-only.
type Reason uint8

// Reasons.
const (
	Running        Reason = iota // they are not
	Reorganisation               // blocks were replaced in which something was credited or settled
	Theft                        // a transaction that no batch knows spent a coin
	Vote                         // the members decided so
	Books                        // the ledger has other sums than the bank
)

// Halt says whether and why all banks are halted.
type Halt struct {
	Reason Reason
	Bank   Bank   // zero if it is not one bank's
	Height uint32 // of its chain
}

// Halted tells whether and why all banks are halted.
func (s *State) Halted() Halt { return s.halt }

// stop halts all banks. The first reason stays.
func (s *State) stop(b *bank, why Reason, height uint32) {
	if s.halt.Reason != 0 {
		return
	}
	s.halt = Halt{why, b.id, height}
	s.touch((*global)(s))
	s.event(b, Event{Kind: Stopped, Reason: why, Height: height})
}

// HaltAll halts all banks after a vote, or because a sum of the ledger is not what
// Solvency says (Y-75).
func (s *State) HaltAll(why Reason) {
	if s.halt.Reason == 0 {
		s.halt = Halt{Reason: why}
		s.touch((*global)(s))
	}
}

// CheckLift tells whether Lift would lift: OK, NotHalted or Unbalanced.
func (s *State) CheckLift() Code {
	if s.halt.Reason == 0 {
		return NotHalted
	}
	for _, b := range s.banks {
		if b.deficit() != 0 {
			return Unbalanced
		}
	}
	return OK
}

// Lift ends the halt after a vote, if all books balance. Codes are those of CheckLift.
func (s *State) Lift() Code {
	if code := s.CheckLift(); code != OK {
		return code
	}
	s.halt = Halt{}
	s.touch((*global)(s))
	for _, b := range s.banks {
		b.look = true
	}
	return OK
}

// Donate gives an amount of an account's balance to a bank: it ends a deficit as far
// as there is one, the rest is the reserve's. The exchange takes both from the donor,
// burns the first and credits the second to the reserve (Y-76).
func (s *State) Donate(id Bank, amount asset.Amount) (burn, reserve asset.Amount, code Code) {
	b := s.bank(id)
	if b == nil {
		return 0, 0, UnknownBank
	}
	if amount == 0 || amount > b.books {
		return 0, 0, BadAmount
	}
	burn = min(amount, b.deficit())
	b.books = sub(b.books, burn)
	if burn > 0 {
		s.touch(b)
	}
	return burn, sub(amount, burn), OK
}

// Sums are the terms of a bank's solvency (Y-73): Free + Change - Lost + Deficit = Books.
type Sums struct {
	Free    asset.Amount // coins that no recorded transaction spends
	Change  asset.Amount // of recorded transactions, at least
	Lost    asset.Amount // of the above, in doubt or stolen
	Books   asset.Amount // all units of the asset in the ledger
	Deficit asset.Amount
}

// Solvency returns a bank's sums. Books is what the ledger must have: balances,
// holds, locked amounts, fees, dust and reserve.
func (s *State) Solvency(id Bank) (sums Sums, ok bool) {
	b := s.bank(id)
	if b == nil {
		return Sums{}, false
	}
	return Sums{Free: b.free, Change: b.change, Lost: b.lost, Books: b.books, Deficit: b.deficit()}, true
}
