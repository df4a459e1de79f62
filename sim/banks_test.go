package sim_test

import (
	"testing"

	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/sim/check"
)

// TestBanksAudited: histories with a bank, by seed, keep what the auditor watches:
// conservation, no unit spent twice, and books that fit (I1, I2, I3, I9).
func TestBanksAudited(t *testing.T) {
	for seed := range uint64(3) {
		f := exchangetest.BankFounding(4)
		auditor, err := check.New(f)
		if err != nil {
			t.Fatal(err)
		}
		w := exchangetest.From(f)
		apply := w.State.Apply
		w.Applied = func(b *exchange.Block) *exchange.Result {
			if _, err := auditor.Block(b); err != nil {
				t.Fatalf("seed %d, height %d: %v", seed, b.Height, err)
			}
			return apply(b)
		}
		r := exchangetest.NewBankRandom(w, 8, seed)
		for range 30 {
			w.Block(r.Block(60)...)
			if err := auditor.Full(); err != nil {
				t.Fatalf("seed %d, height %d: %v", seed, w.Height, err)
			}
		}
		if auditor.State().Root() != w.State.Root() {
			t.Errorf("seed %d: the auditor has another root", seed)
		}
		if err := auditor.Reload(); err != nil {
			t.Error(err)
		}
	}
}
