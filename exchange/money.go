package exchange

import (
	"crypto/sha256"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange/escrow"
	"souk/exchange/ledger"
	"souk/identity"
)

// credit is money that reaches an account when the block is over (K-2).
type credit struct {
	account ledger.Number
	asset   asset.ID
	amount  asset.Amount
}

func (w *blockWork) transfer(t *task) Code {
	var b Transfer
	s := cryptobyte.String(t.cmd.Body)
	if !b.read(&s) || len(s) != 0 {
		return BadBody
	}
	if code := w.may(t, ledger.Transfer, 0); code != OK {
		return code
	}
	if b.To == t.cmd.Account {
		return SelfTransfer
	}
	if code := w.checkPay(t, b.To, b.Asset, b.Amount); code != OK {
		return code
	}
	if !w.s.ledger.Debit(t.account, b.Asset, b.Amount) {
		return Insufficient
	}
	w.later(w.s.ledger.Open(b.To), b.Asset, b.Amount)
	w.event(Event{Kind: EventTransfer, Account: t.cmd.Account, Other: b.To, Asset: b.Asset, Amount: b.Amount, Memo: b.Memo})
	return OK
}

// checkPay tells why an amount of an asset cannot go to an address, funds apart.
func (w *blockWork) checkPay(_ *task, to identity.Address, id asset.ID, amount asset.Amount) Code {
	if _, ok := w.s.ledger.Asset(id); !ok {
		return UnknownAsset
	}
	if amount == 0 || amount > asset.MaxSupply {
		return BadAmount
	}
	if n, ok := w.s.ledger.Find(to); ok && !w.s.ledger.Room(n, id) {
		return TooManyBalances
	}
	return OK
}

// later credits an account when the block is over, and keeps a place for it until then.
func (w *blockWork) later(n ledger.Number, id asset.ID, amount asset.Amount) {
	w.s.ledger.Promise(n, id)
	w.credits = append(w.credits, credit{n, id, amount})
}

// post is phase 7.
func (w *blockWork) post() {
	for _, c := range w.credits {
		w.s.ledger.Credit(c.account, c.asset, c.amount)
		w.s.ledger.Settle(c.account, c.asset)
	}
}

func (w *blockWork) issue(t *task) Code {
	var b Issue
	if code := asked(w, t, &b, (*Issue).read, ledger.Owner); code != OK {
		return code
	}
	id, code := w.s.ledger.Issue(ledger.Terms{
		Symbol: b.Symbol, Decimals: b.Decimals, Issuer: t.cmd.Account, MaxSupply: b.MaxSupply, Contract: sha256.Sum256([]byte(b.Contract)),
	})
	if code != ledger.OK {
		return ledgerCodes[code]
	}
	t.number = uint64(id)
	w.event(Event{Kind: EventIssued, Account: t.cmd.Account, Asset: id, Amount: b.MaxSupply, Memo: b.Symbol})
	return OK
}

func (w *blockWork) mint(t *task) Code {
	var b Mint
	if code := asked(w, t, &b, (*Mint).read, ledger.Owner); code != OK {
		return code
	}
	if code := w.checkPay(t, b.To, b.Asset, b.Amount); code != OK {
		return code
	}
	if code := w.s.ledger.Mint(t.cmd.Account, b.Asset, b.Amount, 0); code != ledger.OK {
		return ledgerCodes[code]
	}
	w.later(w.s.ledger.Open(b.To), b.Asset, b.Amount)
	w.event(Event{Kind: EventMinted, Account: t.cmd.Account, Other: b.To, Asset: b.Asset, Amount: b.Amount})
	return OK
}

func (w *blockWork) burn(t *task) Code {
	var b Burn
	if code := asked(w, t, &b, (*Burn).read, ledger.Owner); code != OK {
		return code
	}
	if code := w.s.ledger.Burn(t.account, b.Asset, b.Amount); code != ledger.OK {
		return ledgerCodes[code]
	}
	w.event(Event{Kind: EventBurned, Account: t.cmd.Account, Asset: b.Asset, Amount: b.Amount})
	return OK
}

func (w *blockWork) lock(t *task) Code {
	var b Lock
	if code := asked(w, t, &b, (*Lock).read, ledger.Transfer); code != OK {
		return code
	}
	if code := w.checkPay(t, b.Payee, b.Asset, b.Amount); code != OK {
		return code
	}
	terms := escrow.Terms{
		Payer: escrow.Owner(t.account), Asset: b.Asset, Amount: b.Amount, Hash: b.Hash, Deadline: b.Deadline, Window: b.Window, Memo: b.Memo,
	}
	if code := w.parties(t, &b, &terms); code != OK {
		return code
	}
	if code := w.s.escrows.Check(terms, w.now); code != escrow.OK {
		return escrowCodes[code]
	}
	if !w.s.ledger.Debit(t.account, b.Asset, b.Amount) {
		return Insufficient
	}
	w.s.ledger.Lock(b.Asset, b.Amount)
	w.s.ledger.Promise(ledger.Number(terms.Payee), b.Asset)
	w.s.ledger.Promise(t.account, b.Asset) // it may come back
	id, _ := w.s.escrows.Lock(terms, w.now)
	t.number = uint64(id)
	w.event(Event{
		Kind: EventEscrowLocked, Number: uint64(id), Account: t.cmd.Account, Other: b.Payee, Asset: b.Asset, Amount: b.Amount, Memo: b.Memo,
	})
	return OK
}

// parties finds payee and arbiter, who must have accounts already: an escrow in
// favour of a mistyped address would only come back at its deadline.
func (w *blockWork) parties(_ *task, b *Lock, terms *escrow.Terms) Code {
	payee, ok := w.s.ledger.Find(b.Payee)
	if !ok {
		return BadParties
	}
	terms.Payee = escrow.Owner(payee)
	if !b.Arbiter.IsZero() {
		arbiter, ok := w.s.ledger.Find(b.Arbiter)
		if !ok {
			return BadParties
		}
		terms.Arbiter = escrow.Owner(arbiter)
	}
	return OK
}

func (w *blockWork) claim(t *task) Code {
	var b Claim
	if code := asked(w, t, &b, (*Claim).read, ledger.Transfer); code != OK {
		return code
	}
	p, code := w.s.escrows.Claim(escrow.ID(b.Escrow), b.Preimage, w.now)
	return w.closeEscrow(t, &p, code)
}

func (w *blockWork) refund(t *task) Code {
	var b Refund
	if code := asked(w, t, &b, (*Refund).read, ledger.Transfer); code != OK {
		return code
	}
	p, code := w.s.escrows.Refund(escrow.ID(b.Escrow), escrow.Owner(t.account), w.now)
	return w.closeEscrow(t, &p, code)
}

func (w *blockWork) resolve(t *task) Code {
	var b Resolve
	if code := asked(w, t, &b, (*Resolve).read, ledger.Transfer); code != OK {
		return code
	}
	p, code := w.s.escrows.Resolve(escrow.ID(b.Escrow), escrow.Owner(t.account), b.Pay, w.now)
	return w.closeEscrow(t, &p, code)
}

// closeEscrow pays out what a command closed, when the block is over.
func (w *blockWork) closeEscrow(t *task, p *escrow.Payout, code escrow.Code) Code {
	if code != escrow.OK {
		return escrowCodes[code]
	}
	t.number = uint64(p.ID)
	w.s.ledger.Unlock(p.Asset, p.Amount)
	w.later(ledger.Number(p.To), p.Asset, p.Amount)
	w.settle(p)
	return OK
}

// postPayout returns an escrow that fell due; its payer can spend it in this block.
func (w *blockWork) postPayout(p *escrow.Payout) {
	w.s.ledger.Unlock(p.Asset, p.Amount)
	w.s.ledger.Credit(ledger.Number(p.To), p.Asset, p.Amount)
	w.settle(p)
}

// settle ends what an escrow promised, and reports where its amount went.
func (w *blockWork) settle(p *escrow.Payout) {
	w.s.ledger.Settle(ledger.Number(p.Payee), p.Asset)
	w.s.ledger.Settle(ledger.Number(p.Payer), p.Asset)
	kind := EventEscrowBack
	if p.Paid {
		kind = EventEscrowPaid
	}
	w.event(Event{
		Kind: kind, Number: uint64(p.ID), Account: w.s.ledger.Address(ledger.Number(p.Payer)),
		Other: w.s.ledger.Address(ledger.Number(p.Payee)), Asset: p.Asset, Amount: p.Amount,
	})
}

func (w *blockWork) dispute(t *task) Code {
	var b Dispute
	if code := asked(w, t, &b, (*Dispute).read, ledger.Transfer); code != OK {
		return code
	}
	if code := w.s.escrows.Dispute(escrow.ID(b.Escrow), escrow.Owner(t.account), w.now); code != escrow.OK {
		return escrowCodes[code]
	}
	t.number = b.Escrow
	w.event(Event{Kind: EventEscrowDispute, Number: b.Escrow, Account: t.cmd.Account})
	return OK
}
