package custodian_test

import (
	"testing"

	"souk/custodian/custodiantest"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/exchange/roster"
)

// A transaction that was whole before a halt is not passed on again as long as the halt
// lasts, though nodes have dropped it, and is afterwards (W-33).
func TestHaltedWhole(t *testing.T) {
	f := federation(t, custodiantest.Config{})
	deposit(t, f, "alice", 3*coin)
	id := withdraw(t, f, "alice", "shop", coin, 1e6)
	f.Calm()
	pool := f.Chain.Pool()
	if len(pool) != 1 {
		t.Fatalf("%d transactions wait", len(pool))
	}
	vote := func(a roster.Action) {
		for i := range 3 {
			f.Ask(f.Members[i].Name, &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, a, 0)})
		}
		f.Block()
	}
	vote(roster.HaltBanks{})
	if f.Banks().Halted().Reason != custody.Vote {
		t.Fatal("not halted")
	}
	f.Chain.Evict(pool[0])
	for range 5 {
		f.Mine(1)
		for range 100 {
			f.Round()
		}
		if n := len(f.Chain.Pool()); n != 0 {
			t.Fatalf("%d transactions are passed on", n)
		}
	}
	if _, ok := f.Banks().Settled(id); ok {
		t.Fatal("settled during the halt")
	}
	vote(exchangetest.Lift(f.State()))
	for range 300 {
		f.Round()
	}
	f.Mine(3)
	if _, ok := f.Banks().Settled(id); !ok {
		t.Errorf("not settled: %+v", f.Members[0].Custodian.Status())
	}
}
