package exchange

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange/custody"
	"souk/exchange/ledger"
	"souk/exchange/roster"
	"souk/identity"
	"souk/script"
)

// Commands of banks, and what the exchange posts for them (Y-80 to Y-84). Amounts
// of a bank's asset come into being and end here alone.

// banksBegin tells the banks at the beginning of an active block who the members are (Y-82).
func (w *blockWork) banksBegin() {
	if w.s.banks != nil {
		w.s.banks.SetMembers(attestors(w.s.roster))
	}
}

// attestors are the members who may attest: all but the barred ones (Y-10).
func attestors(r *roster.State) (m custody.Members) {
	for member := range r.Members {
		m.Count++
		if !member.Barred {
			m.Present = append(m.Present, custody.Member(member.ID))
		}
	}
	return m
}

// banksStep lets the banks count, credit, settle and pay, and posts what comes of it.
func (w *blockWork) banksStep() {
	b := w.s.banks
	if b == nil {
		return
	}
	turn := custody.Turn{Time: w.now, Seed: w.seed}
	for i := range b.Banks() {
		a, _ := w.s.ledger.Asset(b.Asset(custody.Bank(i + 1)))
		turn.Reserves = append(turn.Reserves, a.Reserve)
	}
	events := b.Step(turn)
	for i := range events {
		w.postBank(&events[i])
	}
	w.unkeep(events)
	if w.s.checkBooks() == nil {
		return
	}
	if b.HaltAll(custody.Books) {
		w.halted(Event{Number: uint64(custody.Books)})
	} else { // it is no news, but nobody lifts what is wrong again
		w.s.roster.Void(roster.KindLiftBank)
	}
}

// postBank posts one event (Y-80).
func (w *blockWork) postBank(e *custody.Event) {
	l, n := w.s.ledger, ledger.Number(e.Owner)
	switch e.Kind {
	case custody.Credited:
		w.s.bring(n, e.Asset, e.Amount)
		w.bankEvent(EventDeposited, e, e.Amount)
	case custody.ReserveUp:
		w.s.bring(0, e.Asset, e.Amount)
		l.CreditHouse(e.Asset, ledger.Reserve, e.Amount)
		w.event(Event{Kind: EventReserveUp, Asset: e.Asset, Amount: e.Amount})
	case custody.ReserveDown:
		if !l.DebitHouse(e.Asset, ledger.Reserve, e.Amount, 0) {
			panic("exchange: a reserve that was there is gone") //nolint:forbidigo // the step was told what there is
		}
		l.Retire(e.Asset, e.Amount)
		w.event(Event{Kind: EventReserveDown, Asset: e.Asset, Amount: e.Amount})
	case custody.Recorded:
		l.SpendHeld(n, e.Asset, e.Amount+e.Fee)
		l.Retire(e.Asset, e.Amount+e.Fee)
		w.bankEvent(EventWithdrawalSent, e, e.Amount+e.Fee)
	case custody.Restored:
		w.s.bring(n, e.Asset, e.Amount+e.Fee)
		if !l.Hold(n, e.Asset, e.Amount+e.Fee) {
			panic("exchange: what was given back is gone") //nolint:forbidigo // it was credited a line above
		}
		w.bankEvent(EventWithdrawalBack, e, e.Amount+e.Fee)
	case custody.Paid:
		l.Release(n, e.Asset, e.Back)
		w.bankEvent(EventWithdrawn, e, e.Amount+e.Fee)
	case custody.Sent:
		w.event(Event{Kind: EventBatch, Asset: e.Asset, Number: e.Batch})
	case custody.Reorganised:
		w.event(Event{Kind: EventReorganised, Asset: e.Asset, Number: uint64(e.Height)})
	case custody.Stopped:
		w.halted(Event{Asset: e.Asset, Number: uint64(e.Reason)})
	}
}

// halted tells that there is a reason to halt all banks, be they halted already or not. Who
// approved of lifting a halt before has not seen it (Y-77).
func (w *blockWork) halted(e Event) {
	w.s.roster.Void(roster.KindLiftBank)
	e.Kind = EventBanksHalted
	w.event(e)
}

// bankEvent reports what became of a deposit or withdrawal of an account.
func (w *blockWork) bankEvent(kind EventKind, e *custody.Event, amount asset.Amount) {
	w.event(Event{
		Kind: kind, Account: w.s.ledger.Address(ledger.Number(e.Owner)), Asset: e.Asset, Amount: amount, Number: uint64(e.Withdrawal),
	})
}

// bring makes units of a bank's asset for an account, or for the caller to place.
func (s *State) bring(n ledger.Number, id asset.ID, amount asset.Amount) {
	if code := s.ledger.Mint(identity.Address{}, id, amount, n); code != ledger.OK {
		panic(fmt.Sprintf("exchange: a bank cannot bring %d of asset %d: %d", amount, id, code)) //nolint:forbidigo // custody holds sums to what can exist
	}
}

// unkeep ends the places of accounts whose last withdrawal was paid and that have no address.
func (w *blockWork) unkeep(events []custody.Event) {
	type place struct {
		owner custody.Owner
		bank  custody.Bank
	}
	done := map[place]bool{}
	for i := range events {
		e := &events[i]
		at := place{e.Owner, e.Bank}
		if e.Kind == custody.Paid && !done[at] && !w.s.banks.Keeps(e.Owner, e.Bank) {
			done[at] = true
			w.s.ledger.Settle(ledger.Number(e.Owner), e.Asset)
		}
	}
}

// keeping does something to an account's business with a bank, and keeps or ends
// the place for the bank's asset with it (Y-30).
func (w *blockWork) keeping(n ledger.Number, id custody.Bank, do func() custody.Code) custody.Code {
	b, owner := w.s.banks, custody.Owner(n)
	before := b.Keeps(owner, id)
	code := do()
	switch after := b.Keeps(owner, id); {
	case after && !before:
		w.s.ledger.Promise(n, b.Asset(id))
	case before && !after:
		w.s.ledger.Settle(n, b.Asset(id))
	}
	return code
}

// server is the member whose server signed a command.
func (w *blockWork) server(t *task) (custody.Member, Code) {
	if code := w.may(t, ledger.Server, 0); code != OK {
		return 0, code
	}
	id, ok := w.s.roster.ByServer(t.cmd.Key)
	if !ok {
		return 0, NotMember
	}
	if m, _ := w.s.roster.Member(id); m.Barred {
		return 0, MemberBarred
	}
	return custody.Member(id), OK
}

// said reads the body of a command that only a member's server may send, and answers
// which member that is: BadBody before what is wrong with the key.
func said[T any](w *blockWork, t *task, body *T, read func(*T, *cryptobyte.String) bool) (custody.Member, Code) {
	if !whole(body, read, t.cmd.Body) {
		return 0, BadBody
	}
	return w.server(t)
}

func (w *blockWork) attest(t *task) Code {
	var b Attest
	by, code := said(w, t, &b, (*Attest).read)
	if code != OK {
		return code
	}
	return custodyCodes[w.s.banks.Attest(by, &b.Attestation)]
}

func (w *blockWork) sign(t *task) Code {
	var b Sign
	by, code := said(w, t, &b, (*Sign).read)
	if code != OK {
		return code
	}
	signed := w.s.banks.Sign(by, &b.Signature)
	if signed == custody.OK {
		t.number = b.Batch
		w.event(Event{Kind: EventSigned, Asset: w.s.banks.Asset(b.Bank), Number: b.Batch})
	}
	if signed == custody.Unknown {
		return UnknownBatch
	}
	return custodyCodes[signed]
}

func (w *blockWork) announceKey(t *task) Code {
	var b AnnounceKey
	by, code := said(w, t, &b, (*AnnounceKey).read)
	if code != OK {
		return code
	}
	bank, ok := w.s.banks.Bank(b.Bank)
	if !ok {
		return UnknownBank
	}
	claim, _ := w.s.Claim(roster.ID(by), bank.Network)
	switch err := b.Key.CheckPossession(claim, &b.Possession); {
	case errors.Is(err, script.ErrKey):
		return BadKey
	case err != nil:
		return BadPossession
	}
	return custodyCodes[w.s.banks.AnnounceKey(by, b.Bank, b.Key, w.now)]
}

func (w *blockWork) setWithdrawals(t *task) Code {
	var b SetWithdrawals
	if code := asked(w, t, &b, (*SetWithdrawals).read, ledger.Owner); code != OK {
		return code
	}
	from, code := w.s.banks.SetAccount(custody.Owner(t.account), b.Settings, b.Salt, w.now)
	if code == custody.OK {
		t.number = from
		w.event(Event{Kind: EventWithdrawalsSet, Account: t.cmd.Account, Number: from})
	}
	return custodyCodes[code]
}

func (w *blockWork) cancelWithdrawal(t *task) Code {
	var b CancelWithdrawal
	if code := asked(w, t, &b, (*CancelWithdrawal).read, ledger.Withdraw); code != OK {
		return code
	}
	is, ok := w.s.banks.Withdrawal(b.Withdrawal)
	if !ok {
		return UnknownPayout
	}
	code := w.keeping(t.account, is.Bank, func() custody.Code {
		x, code := w.s.banks.Cancel(b.Withdrawal, custody.Owner(t.account))
		if code == custody.OK {
			w.s.ledger.Release(t.account, w.s.banks.Asset(x.Bank), x.Amount+x.MaxFee)
		}
		return code
	})
	if code == custody.OK {
		t.number = uint64(is.ID)
		w.event(Event{
			Kind: EventWithdrawalCancelled, Account: t.cmd.Account, Asset: w.s.banks.Asset(is.Bank), Amount: is.Amount + is.MaxFee, Number: uint64(is.ID),
			Withdrawal: &is,
		})
	}
	return custodyCodes[code]
}

func (w *blockWork) admitAccount(t *task) Code {
	var b Admit
	if !whole(&b, (*Admit).read, t.cmd.Body) || b.Account.IsZero() {
		return BadBody
	}
	by, code := w.server(t)
	if code != OK {
		return code
	}
	if _, ok := w.s.ledger.Find(b.Account); ok {
		return AccountExists
	}
	if code := w.s.banks.Admit(by, b.Bank, w.now); code != custody.OK {
		return custodyCodes[code]
	}
	n := w.s.ledger.Open(b.Account)
	return w.allot(t, n, b.Account, b.Bank, b.Salt)
}

func (w *blockWork) newAddress(t *task) Code {
	var b NewAddress
	if code := asked(w, t, &b, (*NewAddress).read, ledger.Transfer); code != OK {
		return code
	}
	id := w.s.banks.Asset(b.Bank)
	if id == 0 {
		return UnknownBank
	}
	if !w.s.ledger.OwnRoom(t.account, id) {
		return TooManyBalances
	}
	return w.allot(t, t.account, t.cmd.Account, b.Bank, b.Salt)
}

// allot gives an account a deposit address.
func (w *blockWork) allot(t *task, n ledger.Number, account identity.Address, bank custody.Bank, salt custody.Salt) Code {
	var a custody.Address
	code := w.keeping(n, bank, func() (code custody.Code) {
		a, code = w.s.banks.NewAddress(custody.Owner(n), bank, salt)
		return code
	})
	if code == custody.OK {
		t.number = uint64(a.Series)<<32 | uint64(a.Index)
		w.event(Event{Kind: EventNewAddress, Account: account, Asset: w.s.banks.Asset(bank), Number: t.number})
	}
	return custodyCodes[code]
}

func (w *blockWork) withdraw(t *task) Code {
	var b Withdraw
	if code := asked(w, t, &b, (*Withdraw).read, ledger.Withdraw); code != OK {
		return code
	}
	owner := custody.Owner(t.account)
	if code := w.s.banks.CheckWithdraw(owner, &b.Request, w.now); code != custody.OK {
		return custodyCodes[code]
	}
	id, amount := w.s.banks.Asset(b.Bank), b.Amount+b.MaxFee
	if !w.s.ledger.Hold(t.account, id, amount) {
		return Insufficient
	}
	w.keeping(t.account, b.Bank, func() custody.Code {
		number, code := w.s.banks.Withdraw(owner, &b.Request, w.now)
		if code != custody.OK {
			panic("exchange: a withdrawal that was possible is refused") //nolint:forbidigo // it was checked above
		}
		t.number = uint64(number)
		return code
	})
	w.event(Event{Kind: EventWithdrawalAsked, Account: t.cmd.Account, Asset: id, Amount: amount, Number: t.number})
	return OK
}

func (w *blockWork) donate(t *task) Code {
	var b Donate
	if code := asked(w, t, &b, (*Donate).read, ledger.Transfer); code != OK {
		return code
	}
	id := w.s.banks.Asset(b.Bank)
	switch {
	case id == 0:
		return UnknownBank
	case b.Amount == 0:
		return BadAmount
	case w.s.ledger.Available(t.account, id) < b.Amount:
		return Insufficient
	}
	burn, reserve, code := w.s.banks.Donate(b.Bank, b.Amount)
	if code != custody.OK {
		return custodyCodes[code]
	}
	if !w.s.ledger.Debit(t.account, id, b.Amount) {
		panic("exchange: what is donated is not there") //nolint:forbidigo // it was looked at above
	}
	w.s.ledger.Retire(id, burn)
	w.s.ledger.CreditHouse(id, ledger.Reserve, reserve)
	w.event(Event{Kind: EventDonated, Account: t.cmd.Account, Asset: id, Amount: b.Amount, Number: uint64(burn)})
	return OK
}

// mayLeave tells whether the banks can do without a member (Y-25). Who is a member is asked
// of the roster, for others may have left in this same block.
func (w *blockWork) mayLeave(action roster.Action) bool {
	a, ok := action.(roster.RemoveMember)
	return !ok || w.s.banks == nil || w.s.banks.CheckLeave(attestors(w.s.roster), custody.Member(a.Member)) == custody.OK
}

// possibleBank tells whether a vote on banks could be carried out now.
func (w *blockWork) possibleBank(action roster.Action) bool {
	b := w.s.banks
	if b == nil {
		return false
	}
	switch a := action.(type) {
	case roster.OpenSeries:
		return b.CheckSeries(custody.Bank(a.Bank), seriesMembers(a.Members), w.now) == custody.OK
	case roster.SetLimits:
		l, ok := parseLimits(a.Limits)
		return ok && b.CheckLimits(custody.Bank(a.Bank), l) == custody.OK
	case roster.HaltBanks:
		return b.Running()
	case roster.LiftBank:
		return b.CheckLift(custody.Bank(a.Bank), a.Reasons) == custody.OK && w.s.checkBooks() == nil
	}
	return false
}

// carryOutBank does what passed; possibleBank said that it can be done.
func (w *blockWork) carryOutBank(action roster.Action) {
	b, code := w.s.banks, custody.OK
	switch a := action.(type) {
	case roster.OpenSeries:
		code = b.OpenSeries(custody.Bank(a.Bank), seriesMembers(a.Members), w.now)
	case roster.SetLimits:
		l, _ := parseLimits(a.Limits)
		code = b.SetLimits(custody.Bank(a.Bank), l, w.now)
	case roster.HaltBanks:
		b.HaltAll(custody.Vote)
		w.halted(Event{Number: uint64(custody.Vote)})
	case roster.LiftBank:
		code = b.Lift(custody.Bank(a.Bank), a.Reasons)
		w.event(Event{Kind: EventBankLifted, Asset: b.Asset(custody.Bank(a.Bank))})
	}
	if code != custody.OK {
		panic("exchange: a vote on banks that was possible cannot be carried out") //nolint:forbidigo // possibleBank checked it
	}
}

func seriesMembers(ids []roster.ID) []custody.Member {
	all := make([]custody.Member, len(ids))
	for i, id := range ids {
		all[i] = custody.Member(id)
	}
	return all
}

// checkBooks compares what the banks say they owe with what exists (Y-73).
func (s *State) checkBooks() error {
	if s.banks == nil {
		return nil
	}
	for i := range s.banks.Banks() {
		id := custody.Bank(i + 1)
		sums, _ := s.banks.Solvency(id)
		if a, _ := s.ledger.Asset(s.banks.Asset(id)); a.Supply != sums.Books {
			return fmt.Errorf("bank %d owes %d, there are %d of %s", id, sums.Books, a.Supply, a.Symbol)
		}
	}
	return nil
}

// checkBanks counts everything of the banks anew.
func (s *State) checkBanks() error {
	if s.banks == nil {
		return nil
	}
	for i := range s.banks.Banks() {
		id := s.banks.Asset(custody.Bank(i + 1))
		if a, ok := s.ledger.Asset(id); !ok || !a.Issuer.IsZero() {
			return fmt.Errorf("bank %d has no asset of its own", i+1)
		}
	}
	return errors.Join(s.banks.Verify(), s.checkBooks())
}
