package custody_test

import (
	"slices"
	"testing"

	"souk/asset"
	"souk/exchange/custody"
	"souk/script"
)

// Y-56: who comes first does not pay above his bound for the many inputs that another one of
// the same batch would need.
func TestBoundOfFirst(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.deposit(1, 0, 5*coin)
	for range 10 {
		w.deposit(2, 0, coin)
	}
	w.turn(0, 4)
	const bound = asset.Amount(300)
	low, _ := w.withdraw(1, 0, "low", coin, bound)
	high, _ := w.withdraw(2, 0, "high", 9*coin, 1_000_000)
	if low == 0 || high == 0 {
		t.Fatal("refused")
	}
	w.step()
	x, _ := w.s.Withdrawal(low)
	if x.Batch == 0 {
		t.Fatal("the first waits")
	}
	b, _ := w.s.Batch(1, x.Batch)
	if p := b.Payouts[0]; p.ID != low || p.Fee > bound {
		t.Errorf("the first pays %d of %d: %+v", p.Fee, bound, b)
	}
	w.work(0, 8)
	if len(w.paid) != 2 || w.paid[low].Fee > bound {
		t.Errorf("paid are %+v", w.paid)
	}
}

// Y-53: neither the highest nor the lowest of what members say is paid.
func TestLowerMedian(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.deposit(1, 0, 5*coin)
	w.turn(0, 4)
	for i, rate := range []uint64{900_000, 3000, 1000, 2000} {
		w.rates[0] = rate
		w.attest(0, w.members[i])
	}
	if _, code := w.withdraw(1, 0, "out", coin, coin); code != custody.OK {
		t.Fatal(code)
	}
	w.step()
	if b, ok := w.s.Batch(1, 1); !ok || b.Versions[0].Rate != 2000 {
		t.Errorf("%+v", b)
	}
}

// Y-58: a reserve that has something, but not enough, bumps nothing and keeps what it has.
func TestReserveAlmost(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.deposit(1, 0, 5*coin)
	w.turn(0, 3)
	w.available[1] -= 400
	if _, rest, code := w.s.Donate(1, 400); code != custody.OK || rest != 400 {
		t.Fatal(code)
	}
	w.reserves[0] = 400
	w.withdraw(1, 0, "out", coin, 2000)
	w.step()
	w.sign(0, w.members...)
	w.rates[0] = 20_000
	w.turn(0, 4)
	info, _ := w.s.Bank(1)
	if b, _ := w.s.Batch(1, 1); info.Waits != custody.WaitsToBump || len(b.Versions) != 1 || w.reserves[0] != 400 {
		t.Errorf("%+v, %+v, a reserve of %d", info, b, w.reserves[0])
	}
}

// Y-71: when a second reorganisation takes away what the first two versions of a batch have in
// common, the first one might still be mined, besides whatever the third one would spend. So
// there is none, until the first one counts as dead.
func TestLostCommonInput(t *testing.T) {
	w, id, _ := lostInput(t, "bitcoin-regtest", coin)
	w.twin = nil
	w.gift(0, 9*coin)
	w.gift(0, coin)
	w.turn(0, 4)
	lift(w)
	b, _ := w.s.Batch(1, 1)
	if len(b.Versions) != 2 {
		t.Fatalf("%+v", b)
	}
	first := b.Spends(1)
	c := w.chains[0]
	since := c.tip()
	c.back(30)
	c.pool = slices.DeleteFunc(c.pool, func(x *tx) bool {
		return slices.ContainsFunc(first, func(in custody.Input) bool { return len(x.pays) > 0 && x.pays[0].At == in.At })
	})
	w.gift(0, 30*coin)
	for range 40 {
		c.mine(anything)
	}
	w.attest(0, w.members...)
	w.step()
	if h := w.s.Halted(); h.Reason != custody.Reorganisation || deficit(w) != 0 {
		t.Fatalf("%+v, deficit %d", h, deficit(w))
	}
	lift(w)
	for c.tip() < since+custody.DoubtBlocks-1 {
		for range 50 {
			c.mine(anything)
		}
		for c.tip() >= since+custody.DoubtBlocks {
			c.back(1)
		}
		w.attest(0, w.members...)
		w.step()
		if b, _ := w.s.Batch(1, 1); len(b.Versions) != 2 {
			t.Fatalf("%d blocks later version 1 may still be mined, and there is %+v", c.tip()-since, b)
		}
	}
	w.turn(0, 50)
	if b, _ := w.s.Batch(1, 1); len(b.Versions) != 3 {
		t.Fatalf("what is dead keeps others waiting: %+v", b)
	}
	w.work(0, 8)
	if _, ok := w.paid[id]; !ok {
		t.Errorf("paid are %+v", w.paid)
	}
}

// Y-72: a batch whose only coin was taken is given up when that is as deep as the batch needs
// to settle, not before: until then the theft may be undone, and the batch mined.
func TestTheftNotDeep(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	x := w.deposit(1, 0, 50*coin)
	w.turn(0, 4)
	id, code := w.withdraw(1, 0, "out", coin, 100_000)
	w.step()
	w.sign(0, w.members...)
	if b, ok := w.s.Batch(1, 1); code != custody.OK || !ok || len(b.Inputs) != 1 {
		t.Fatalf("%d, %+v", code, b)
	}
	w.chains[0].pool = []*tx{{id: hashOf("thief"), spends: []script.Outpoint{x.pays[0].At}}}
	for depth := uint32(1); depth <= 3; depth++ {
		w.turn(0, 1)
		_, live := w.s.Batch(1, 1)
		y, _ := w.s.Withdrawal(id)
		if deep := depth >= w.net(0).Depth(50*coin); live == deep || (y.Batch == 0) != deep || live && len(w.s.Dead(1, 1)) != 0 {
			t.Errorf("%d deep: the batch is live: %v; %+v; dead are %v", depth, live, y, w.s.Dead(1, 1))
		}
		if w.s.Halted().Reason != custody.Theft {
			t.Errorf("%d deep: %+v", depth, w.s.Halted())
		}
	}
}
