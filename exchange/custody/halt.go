package custody

import (
	"slices"

	"souk/asset"
)

// Reason is why banks are halted. Numbers are append-only.
type Reason uint8

// Reasons.
const (
	Running        Reason = iota // they are not
	Reorganisation               // blocks were replaced in which something was credited or settled
	Theft                        // a transaction that no batch knows spent a coin
	Vote                         // the members decided so
	Books                        // the ledger has other sums than the bank
)

// Halt says whether and why banks are halted.
type Halt struct {
	Reason Reason
	Bank   Bank   // zero if it is not one bank's
	Height uint32 // of its chain
}

// Halted tells whether and why any bank is halted: the reason that came first.
func (s *State) Halted() Halt { return s.halt }

// Reasons tells how many reasons for halts there have been since the founding, and the newest
// one if any bank is halted. A vote on lifting names that number: who approves has seen so
// many, and what came later is not lifted by it (Y-77).
func (s *State) Reasons() (number uint32, newest Halt) { return s.reasons, s.newest }

// HaltOf tells whether and why a bank is halted. A halt covers all banks; a vote lifts it
// bank by bank.
func (s *State) HaltOf(id Bank) Halt {
	if b := s.bank(id); b == nil || !s.halted(b) {
		return Halt{}
	}
	return s.halt
}

// halted tells whether a bank is halted.
func (s *State) halted(b *bank) bool { return s.halt.Reason != 0 && !b.lifted }

// Running tells whether any bank is not halted.
func (s *State) Running() bool {
	return slices.ContainsFunc(s.banks, func(b *bank) bool { return !s.halted(b) })
}

// stop halts all banks. It is told also if they were halted: that is one more reason, which
// nobody has seen who approved of lifting the halt before (Y-77). Once in a step is enough.
func (s *State) stop(b *bank, why Reason, height uint32) {
	e := Event{Kind: Stopped, Bank: b.id, Asset: b.Asset, Reason: why, Height: height}
	if slices.Contains(s.events, e) {
		return
	}
	s.because(Halt{why, b.id, height})
	s.event(b, e)
}

// because halts all banks for a reason. The first one stays as long as no bank runs.
func (s *State) because(h Halt) {
	first := h
	if !s.Running() {
		first = s.halt
	}
	s.reasons, s.newest = s.reasons+1, h
	s.setHalt(first)
}

func (s *State) setHalt(h Halt) {
	s.halt = h
	s.touch((*global)(s))
	for _, b := range s.banks {
		if b.lifted {
			b.lifted = false
			s.touch(b)
		}
	}
}

// HaltAll halts all banks after a vote, or because a sum of the ledger is not what
// Solvency says (Y-75). It tells whether that is news: if none was running, only if the
// newest reason is another one.
func (s *State) HaltAll(why Reason) bool {
	if !s.Running() && s.newest == (Halt{Reason: why}) {
		return false
	}
	s.because(Halt{Reason: why})
	return true
}

// CheckLift tells whether Lift would lift: OK, UnknownBank, NotHalted, Unbalanced or, if there
// have been more reasons for halts than whoever asks has seen, Unseen.
func (s *State) CheckLift(id Bank, reasons uint32) Code {
	b := s.bank(id)
	switch {
	case b == nil:
		return UnknownBank
	case !s.halted(b):
		return NotHalted
	case reasons != s.reasons:
		return Unseen
	case b.deficit() != 0:
		return Unbalanced
	}
	return OK
}

// Lift ends the halt of a bank after a vote, if its books balance. Codes are those of
// CheckLift.
func (s *State) Lift(id Bank, reasons uint32) Code {
	if code := s.CheckLift(id, reasons); code != OK {
		return code
	}
	b := s.bank(id)
	b.lifted, b.look = true, true
	s.touch(b)
	if !slices.ContainsFunc(s.banks, s.halted) {
		s.newest = Halt{}
		s.setHalt(Halt{})
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
