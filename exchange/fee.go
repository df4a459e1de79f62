package exchange

import (
	"golang.org/x/crypto/cryptobyte"

	"souk/exchange/custody"
	"souk/exchange/ledger"
	"souk/exchange/market"
)

// Limits of what is free (B-8, B-9).
const (
	freeMisses   = 8  // cancels and cancel-alls of an account in a block that name no live order
	freeByMember = 64 // commands for members alone of an account in a block, and as many by its server
)

// admission is what the commands of one account have used up of their block.
type admission struct {
	count  [2]uint32 // commands of its delegates, of its owner
	member [2]uint32 // of them those for members
	bytes  [2]int    // of their attestations and signatures
	misses int       // free cancels that named nothing
	all    bool      // a free cancel-all was admitted
	named  map[market.OrderID]bool
	back   map[custody.ID]bool
}

// reset begins with the next account.
func (a *admission) reset() {
	clear(a.named)
	clear(a.back)
	*a = admission{named: a.named, back: a.back}
}

// pays tells whether a command pays the fee, which is above zero, and whether the
// account must be able to pay it. Cancels that name an order are free, which
// that order has paid for; a few others are too, for an order may be filled while
// its cancel is under way (B-8).
func (w *blockWork) pays(t *task, a *admission) (pays, covered bool) {
	if memberOnly(t.cmd.Kind) {
		return false, false
	}
	switch t.cmd.Kind { //nolint:exhaustive // all others pay
	case KindCancelWithdrawal:
		if id, ok := w.s.waiting(t.cmd, t.account); ok && !a.back[id] {
			if a.back == nil {
				a.back = map[custody.ID]bool{}
			}
			a.back[id] = true
			return false, false
		}
	case KindCancel:
		if o, ok := w.s.target(t.cmd, t.account); ok && !a.named[o.ID] {
			if a.named == nil {
				a.named = map[market.OrderID]bool{}
			}
			a.named[o.ID] = true
			return false, false
		}
	case KindCancelAll:
		if !a.all && w.s.hasOrders(t.cmd, t.account) {
			a.all = true
			return false, false
		}
	default:
		return true, true
	}
	a.misses++
	return a.misses > freeMisses, true
}

// Payment says whether a command pays the command fee, as far as that can be told
// before its block.
type Payment uint8

// Payments.
const (
	PayNothing Payment = iota // it is free, or no command pays
	PayOnce                   // it is free if no command before it in the block says the same
	PayFee                    // it pays, or may have to
)

// Demand is what a command takes of what its account may have in one block (B-8, B-9).
type Demand struct {
	Account ledger.Number
	Owner   bool // counts with the owner's commands, not with the delegates'
	Pays    Payment
	Fees    uint64 // how many fees the account can pay, if Pays is not PayNothing
}

// Demand is what a command takes if it is admitted, as the state is now. It answers
// the code by which admission refuses it if its account or nonce are no longer good;
// the rest is Precheck's.
func (s *State) Demand(c *Command) (d Demand, code Code) {
	n, ok := s.ledger.Find(c.Account)
	if !ok {
		return d, UnknownAccount
	}
	if code := s.ledger.CheckNonce(n, c.Key, c.Nonce); code != ledger.OK {
		return d, ledgerCodes[code]
	}
	d.Account, d.Owner = n, s.ownedBy(n, c.Key)
	if d.Pays = s.payment(c, n); d.Pays != PayNothing {
		d.Fees = uint64(s.ledger.Available(n, s.params.FeeAsset)) / uint64(s.params.Fee)
	}
	return d, OK
}

// payment tells what a command would pay now, misses of cancels not counted.
func (s *State) payment(c *Command, n ledger.Number) Payment {
	if s.params.Fee == 0 {
		return PayNothing
	}
	if memberOnly(c.Kind) {
		return PayNothing
	}
	switch c.Kind { //nolint:exhaustive // all others pay
	case KindCancelWithdrawal:
		if _, ok := s.waiting(c, n); ok {
			return PayOnce
		}
	case KindCancel:
		if _, ok := s.target(c, n); ok {
			return PayOnce
		}
	case KindCancelAll:
		if s.hasOrders(c, n) {
			return PayOnce
		}
	}
	return PayFee
}

// uncovered tells whether an account lacks the fee that it must have for a command,
// as far as that can be told before its block.
func (s *State) uncovered(c *Command, n ledger.Number) bool {
	if s.params.Fee == 0 || s.ledger.Available(n, s.params.FeeAsset) >= s.params.Fee {
		return false
	}
	return s.payment(c, n) == PayFee
}

// waiting is the withdrawal of its account that a cancel names, if no transaction
// pays it now.
func (s *State) waiting(c *Command, n ledger.Number) (id custody.ID, ok bool) {
	var b CancelWithdrawal
	if s.banks == nil || !whole(&b, (*CancelWithdrawal).read, c.Body) {
		return 0, false
	}
	x, ok := s.banks.Withdrawal(b.Withdrawal)
	return b.Withdrawal, ok && x.Owner == custody.Owner(n) && x.Batch == 0
}

// target is the live order of its account that a cancel or amend names now.
func (s *State) target(c *Command, n ledger.Number) (o market.Order, ok bool) {
	body := cryptobyte.String(c.Body)
	var target Target
	if !target.read(&body) || c.Kind == KindCancel && len(body) != 0 {
		return o, false
	}
	return s.find(n, &target)
}

// hasOrders tells whether a cancel-all would end an order now.
func (s *State) hasOrders(c *Command, n ledger.Number) bool {
	var b CancelAll
	if !whole(&b, (*CancelAll).read, c.Body) {
		return false
	}
	return s.markets.Has(market.Owner(n), b.Market)
}

// payFee takes the command fee, which is there.
func (w *blockWork) payFee(t *task) {
	p := &w.s.params
	if !w.s.ledger.Debit(t.account, p.FeeAsset, p.Fee) {
		panic("exchange: a command fee that was there is gone") //nolint:forbidigo // admission looked
	}
	w.s.ledger.CreditHouse(p.FeeAsset, ledger.Fees, p.Fee)
	w.event(Event{Kind: EventFee, Account: t.cmd.Account, Asset: p.FeeAsset, Amount: p.Fee})
}
