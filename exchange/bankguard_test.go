package exchange_test

import (
	"slices"
	"testing"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	. "souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/roster"
	"souk/identity"
)

// barred bars a member who has signed two things for one turn.
func barred(t *testing.T, w *World, member string) {
	t.Helper()
	w.Applied = func(b *exchange.Block) *exchange.Result {
		b.Evidence = []identity.PublicKey{Key(member + "/consensus").Public()}
		return w.State.Apply(b)
	}
	res := bankBlock(t, w)
	w.Applied = nil
	if !slices.Contains(kinds(res), exchange.EventMemberBarred) {
		t.Fatalf("not barred: %v", kinds(res))
	}
}

// TestBankBarred: what a member who signed twice says of a chain counts no more, also what
// was said before, and nothing more is taken (Y-10).
func TestBankBarred(t *testing.T) {
	w, c := bankWorld(t)
	number := bankBlock(t, w, w.Command("alice", &exchange.NewAddress{Bank: Bank})).Receipts[0].Number
	c.Pay(uint32(number>>32), uint32(number), Coin)
	c.Mine(6)
	said := c.Attest()
	bankBlock(t, w, said[:2]...)
	barred(t, w, MemberName(0))
	bankBlock(t, w, said[2])
	info, _ := w.State.Banks().Bank(Bank)
	if info.Tip.Height != BankStart || w.Available("alice", TBC) != 0 {
		t.Fatalf("two of four carry block %d, Alice has %d", info.Tip.Height, w.Available("alice", TBC))
	}
	for _, body := range []exchange.Body{
		c.Attestation(c.Tip),
		&exchange.Sign{Signature: custody.Signature{Bank: Bank, Batch: 1, Version: 1, Signatures: [][]byte{{1}}}},
		&exchange.Admit{Bank: Bank, Account: Address("newcomer")},
		w.Announce(MemberName(0), MemberKey(MemberName(0)+"/2")),
	} {
		if got := w.Block(w.ByServer(MemberName(0), body)).Receipts[0].Code; got != exchange.MemberBarred {
			t.Errorf("%s: %s", body.Kind(), got)
		}
	}
	res := bankBlock(t, w, said[3])
	if !slices.Contains(kinds(res), exchange.EventDeposited) || w.Available("alice", TBC) != Coin {
		t.Errorf("three of four do not carry a payment: %v", kinds(res))
	}
}

// TestBankDelegates: what takes money out of a bank takes the scope for it, and the
// account's own guard against thieves is its owner's alone (B-11, Y-62, Y-81).
func TestBankDelegates(t *testing.T) {
	w, c := bankWorld(t)
	deposited(t, w, c, 10*Coin)
	out := func(amount asset.Amount) *exchange.Withdraw {
		return &exchange.Withdraw{Request: custody.Request{Bank: Bank, Script: Output("shop"), Amount: amount, MaxFee: 1e6}}
	}
	waits := bankBlock(t, w, w.Command("alice", out(6*Coin))).Receipts[0].Number // above what needs no delay
	cancel := &exchange.CancelWithdrawal{Withdrawal: custody.ID(waits)}
	scopes := map[string]ledger.Scope{"reader": ledger.Read, "trader": ledger.Trade, "payer": ledger.Transfer, "cashier": ledger.Withdraw}
	for name, scope := range scopes {
		bankBlock(t, w, w.Command("alice", &exchange.AddDelegate{Key: Key(name).Public(), Scopes: scope}))
	}
	for _, test := range []struct {
		by   string
		body exchange.Body
		want exchange.Code
	}{
		{"reader", &exchange.NewAddress{Bank: Bank}, exchange.NotEntitled},
		{"trader", &exchange.NewAddress{Bank: Bank}, exchange.NotEntitled},
		{"payer", &exchange.NewAddress{Bank: Bank}, exchange.OK},
		{"reader", &exchange.Donate{Bank: Bank, Amount: 1}, exchange.NotEntitled},
		{"trader", &exchange.Donate{Bank: Bank, Amount: 1}, exchange.NotEntitled},
		{"payer", &exchange.Donate{Bank: Bank, Amount: 1}, exchange.OK},
		{"reader", out(Coin), exchange.NotEntitled},
		{"trader", out(Coin), exchange.NotEntitled},
		{"payer", out(Coin), exchange.NotEntitled},
		{"cashier", out(Coin), exchange.OK},
		{"trader", cancel, exchange.NotEntitled},
		{"payer", cancel, exchange.NotEntitled},
		{"cashier", cancel, exchange.OK},
		{"payer", &exchange.SetWithdrawals{}, exchange.NotEntitled},
		{"cashier", &exchange.SetWithdrawals{}, exchange.NotEntitled},
		{"cashier", &exchange.Admit{Bank: Bank, Account: Address("friend")}, exchange.NotEntitled},
	} {
		got := w.Block(w.CommandBy(Address("alice"), Key(test.by), test.body)).Receipts[0].Code
		if got != test.want {
			t.Errorf("a %s sends %s: %s, want %s", test.by, test.body.Kind(), got, test.want)
		}
		checked(t, w)
	}
}

// TestBankBooks: a ledger that has other sums than a bank says halts everything, and no
// vote lifts that as long as it is so (Y-73, Y-75).
func TestBankBooks(t *testing.T) {
	w, c := bankWorld(t)
	deposited(t, w, c, Coin)
	l := w.State.Ledger()
	n, _ := l.Find(Address("alice"))
	if code := l.Mint(identity.Address{}, TBC, 5, n); code != ledger.OK {
		t.Fatal(code)
	}
	res := w.Block()
	if h := w.State.Banks().Halted(); h.Reason != custody.Books || !slices.Contains(kinds(res), exchange.EventBanksHalted) {
		t.Fatalf("halted: %+v, %v", h, kinds(res))
	}
	lift := &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, Lift(w.State), 0)}
	if code := w.Do(MemberName(0), lift); code != exchange.BadAction {
		t.Errorf("a lift over wrong books: %s", code)
	}
	if !l.Debit(n, TBC, 5) {
		t.Fatal("what was made up is gone")
	}
	l.Retire(TBC, 5)
	bankBlock(t, w, w.Command(MemberName(0), lift), w.Command(MemberName(1), lift), w.Command(MemberName(2), lift))
	if h := w.State.Banks().Halted(); h.Reason != custody.Running {
		t.Errorf("still halted: %+v", h)
	}
}
