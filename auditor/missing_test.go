package auditor_test

import (
	"context"
	"testing"

	"souk/asset"
	"souk/chain"
	"souk/exchange"
	"souk/exchange/custody"
	. "souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/identity"
	"souk/script"
)

// lieOf lets all members say something else of the payments of the next blocks than what they see.
func (w *world) lieOf(change func(p *custody.Payment)) {
	w.t.Helper()
	w.watch()
	var err error
	if w.locator, err = chain.Walk(context.Background(), w.node, w.locator, w.filter, w); err != nil {
		w.t.Fatalf("%v", err)
	}
	for _, a := range w.bodies {
		for i := range a.Payments {
			change(&a.Payments[i])
		}
	}
	w.attest()
}

// members who agree on more than was paid, or on another address than was paid to, are
// found out, to the unit.
func TestInventedInPart(t *testing.T) {
	for what, c := range map[string]struct {
		lie     func(p *custody.Payment)
		missing asset.Amount
	}{
		"the truth":       {func(*custody.Payment) {}, 0},
		"a larger amount": {func(p *custody.Payment) { p.Amount += 6 * Coin }, 6 * Coin},
		"another address": {func(p *custody.Payment) { p.Index = 0 }, Coin},
	} {
		w := newWorld(t, nil)
		w.must(w.Command("alice", &exchange.NewAddress{Bank: Bank}))
		at := w.must(w.Command("bob", &exchange.NewAddress{Bank: Bank})).Receipts[0].Number
		paid := w.pay(0, script.Deposits, uint32(at), Coin)
		w.chain.Mine(1)
		w.lieOf(c.lie)
		w.turn(4)
		if w.Available("alice", TBC)+w.Available("bob", TBC) < Coin {
			t.Fatalf("%s: nothing was credited", what)
		}
		r := w.audit()
		if r.Deficit != c.missing || r.Lost != c.missing || (c.missing != 0) != (len(r.Missing) == 1) {
			t.Errorf("%s: %+v", what, r)
		}
		if c.missing != 0 && (r.Missing[0].At != paid || r.Missing[0].Amount != c.missing) {
			t.Errorf("%s: missing are %+v", what, r.Missing)
		}
	}
}

// what is owed is what exists, whatever the books of the bank say.
func TestMoreThanBooks(t *testing.T) {
	w := newWorld(t, nil)
	w.deposit("alice", Coin)
	w.turn(4)
	w.agrees(w.audit())
	l := w.State.Ledger()
	n, _ := l.Find(Address("alice"))
	if code := l.Mint(identity.Address{}, TBC, 5, n); code != ledger.OK {
		t.Fatal(code)
	}
	w.must()
	if r := w.audit(); r.Deficit != 5 || r.Owed != Coin+5 {
		t.Errorf("%+v", r)
	}
}

// what has been spent is not listed among what a bank has.
func TestSpentIsNotListed(t *testing.T) {
	w := newWorld(t, nil)
	w.deposit("alice", 3*Coin)
	w.turn(4)
	w.withdraw("alice", Coin)
	w.must()
	w.turn(4)
	r := w.audit()
	w.agrees(r)
	if r.Coins != 1 || r.OnChain != r.Free || r.OnChain >= 2*Coin || r.Waiting != 0 || len(r.Unknown) != 0 {
		t.Errorf("after 1 of 3 coins was withdrawn: %+v", r)
	}
}
