package custody_test

import (
	"fmt"
	"testing"

	"souk/asset"
	"souk/exchange/custody"
	"souk/script"
)

// crowded is a bank with many coins, and as many withdrawals as accounts may have without a limit of their own, all
// with bounds that pay for their outputs only.
func crowded(t failer, coins int) *world {
	w := newWorld(t, 4, definition("bitcoin-regtest", 4))
	w.unchecked = true
	w.turn(0, 2)
	a := w.address(1, 0)
	for range coins {
		w.pay(0, a.Series, script.Deposits, a.Index, 100_000)
	}
	c := w.chains[0]
	for len(c.pool) > 0 {
		n := 0
		c.mine(func(*tx) bool { n++; return n <= 900 })
		w.attest(0, w.members...)
		w.step()
	}
	w.turn(0, 3)
	for range coins / custody.MaxCredits {
		w.turn(0, 1)
	}
	if info, _ := w.s.Bank(1); w.available[1]/100_000 != asset.Amount(coins) {
		t.Fatalf("%+v", info)
	}
	w.rates[0] = 5000
	w.turn(0, 1)
	for i := range custody.MaxPending / 4 {
		r := &custody.Request{Bank: 1, Script: output(fmt.Sprint(i)), Amount: 90_000, MaxFee: 160}
		if _, code := w.s.Withdraw(custody.Owner(2+i/custody.MaxOwn), r, w.now); code != custody.OK {
			t.Fatalf("%d", code)
		}
	}
	return w
}

// BenchmarkLook is the step that looks at a crowd of withdrawals none of which can
// be paid at the rate.
func BenchmarkLook(b *testing.B) {
	w := crowded(b, 20_000)
	for b.Loop() {
		w.step()
	}
	if info, _ := w.s.Bank(1); info.Pending != custody.MaxPending/4 {
		b.Fatalf("%+v", info)
	}
}
