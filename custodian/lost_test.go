package custodian_test

import (
	"os"
	"path/filepath"
	"testing"

	"souk/custodian/custodiantest"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/exchange/roster"
	"souk/script"
)

// decide has the members vote on something.
func decide(f *custodiantest.Federation, a roster.Action) {
	for i := range 3 {
		f.Ask(f.Members[i].Name, &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, a, 0)})
	}
	f.Block()
}

// A reorganisation takes one of the deposits away that a payout spends, before that is
// mined. Once others have made good for it, and the halt is lifted, a version without it is
// signed, passed on and mined (Y-71).
func TestLostInput(t *testing.T) {
	f := federation(t, custodiantest.Config{Verify: true, Found: func(f *exchange.Founding) { f.Banks[0].Wallets = 1 }})
	deposit(t, f, "alice", 4*coin)
	book := custodiantest.NewBook(f)
	_, out := f.Address("alice")
	lost := f.Chain.Pay(out, 9*coin)
	f.Mine(6)
	id := withdraw(t, f, "alice", "shop", 11*coin, 1e6)
	f.Calm()
	f.Chain.Disconnect(6)
	f.Chain.Evict(lost.Tx)
	f.Chain.MineEmpty(7)
	f.Calm()
	f.Mine(3)
	if h := f.Banks().Halted(); h.Reason != custody.Reorganisation {
		t.Fatalf("%+v", h)
	}
	f.Chain.Pay(f.Output(0, script.Change, 1), 10*coin)
	f.Mine(6)
	decide(f, exchangetest.Lift(f.State()))
	f.Calm()
	if w, _ := f.Banks().Withdrawal(id); book.Versions(id) != 2 || len(f.Chain.Pool()) != 1 {
		t.Fatalf("%d versions, %v, %+v", book.Versions(id), f.Chain.Pool(), w)
	}
	f.Mine(6)
	if err := book.Settled(); err != nil {
		t.Error(err)
	}
	if err := book.Conflicts(); err != nil {
		t.Error(err)
	}
	if s := f.State().Solvency()[0]; s.Deficit != 0 {
		t.Errorf("%+v", s)
	}
}

// A reorganisation past the depth takes a settled payout out of the chain, and nodes have
// dropped it. Custodians have kept it, also over a restart, and pass it on again, though all is
// halted (W-34).
func TestUndonePayout(t *testing.T) {
	for name, settle := range map[string]func(*testing.T, *custodiantest.Federation){
		"running": func(_ *testing.T, f *custodiantest.Federation) { f.Mine(8) },
		"started again": func(t *testing.T, f *custodiantest.Federation) {
			f.Mine(8)
			restart(t, f.Members...)
		},
		"settled while it was away": func(t *testing.T, f *custodiantest.Federation) {
			f.Members[3].Kill()
			f.Mine(8)
			restart(t, f.Members[3])
			for _, m := range f.Members[:3] { // it is the only one that had the transaction
				forget(t, m)
			}
			restart(t, f.Members[:3]...)
		},
		"started again during a halt": func(t *testing.T, f *custodiantest.Federation) {
			decide(f, roster.HaltBanks{})
			for _, m := range f.Members { // signatures are in the ledger
				forget(t, m)
			}
			restart(t, f.Members...)
			f.Mine(8)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := federation(t, custodiantest.Config{Verify: true})
			deposit(t, f, "alice", 4*coin, 9*coin)
			book := custodiantest.NewBook(f)
			id := withdraw(t, f, "alice", "shop", 11*coin, 1e6)
			f.Calm()
			settle(t, f)
			f.Calm()
			paid, ok := f.Banks().Settled(id)
			if !ok {
				t.Fatal("not settled")
			}
			f.Chain.Disconnect(8)
			f.Chain.Evict(paid.At.Tx)
			f.Chain.MineEmpty(9)
			f.Calm()
			if h := f.Banks().Halted(); h.Reason == custody.Running {
				t.Fatalf("%+v", h)
			}
			f.Mine(8)
			if err := book.Settled(); err != nil {
				t.Error(err)
			}
			if s := f.State().Solvency()[0]; s.Deficit != 0 {
				t.Errorf("%+v", s)
			}
			decide(f, exchangetest.Lift(f.State()))
			f.Calm()
			if h := f.Banks().Halted(); h.Reason != custody.Running {
				t.Errorf("%+v", h)
			}
		})
	}
}

// restart starts processes again, of which some may be over already.
func restart(t *testing.T, members ...*custodiantest.Member) {
	t.Helper()
	for _, m := range members {
		m.Kill()
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
	}
}

// forget takes away the transactions that a custodian has on disk.
func forget(t *testing.T, m *custodiantest.Member) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(m.Dir(), "*", "kept"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
}
