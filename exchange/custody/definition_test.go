package custody_test

import (
	"testing"

	"souk/exchange/custody"
)

// Y-62: a higher least deposit swallows no payment that is under way; a lower one is in
// force at once.
func TestMinDeposit(t *testing.T) {
	d := definition("bitcoin-regtest", 1)
	d.Delay, d.DelayAbove = 60_000, coin
	w := newWorld(t, 4, d)
	w.turn(0, 2)
	w.deposit(1, 0, coin)
	higher := d.Limits
	higher.MinDeposit = 2 * coin
	if code := w.s.SetLimits(1, higher, w.now); code != custody.OK {
		t.Fatal(code)
	}
	w.step()
	w.reload()
	info, _ := w.s.Bank(1)
	if info.MinDeposit != d.MinDeposit || info.Next.MinDeposit != 2*coin || info.NextAt == 0 {
		t.Errorf("%+v", info)
	}
	value, _ := w.s.Leaf(custody.BankKey(1))
	if b, err := custody.ParseBank(custody.BankKey(1), value); err != nil || b.Next != info.Next || b.NextAt != info.NextAt {
		t.Errorf("the leaf tells of %+v from %d on: %v", b.Next, b.NextAt, err)
	}
	w.turn(0, 6)
	if w.available[1] != coin {
		t.Errorf("%d were credited", w.available[1])
	}
	w.now = info.NextAt
	w.step()
	if info, _ = w.s.Bank(1); info.MinDeposit != 2*coin || info.NextAt != 0 {
		t.Errorf("%+v", info)
	}
	if code := w.s.SetLimits(1, d.Limits, w.now); code != custody.OK {
		t.Fatal(code)
	}
	if info, _ = w.s.Bank(1); info.MinDeposit != d.MinDeposit || info.NextAt != 0 {
		t.Errorf("%+v", info)
	}
}
