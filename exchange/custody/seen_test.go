package custody_test

import (
	"testing"

	"souk/asset"
	"souk/exchange/custody"
)

// credited lets the chain grow until an account has an amount, and answers by how many blocks.
func (w *world) credited(owner custody.Owner, amount asset.Amount) int {
	w.t.Helper()
	for n := 1; n < 30; n++ {
		if w.turn(0, 1); w.available[owner] == amount {
			return n
		}
	}
	w.t.Fatalf("account %d has %d of %d", owner, w.available[owner], amount)
	return 0
}

// Y-10: more than two thirds carry a statement, not two thirds.
func TestTwoThirds(t *testing.T) {
	for _, c := range []struct{ members, carry int }{{4, 3}, {6, 5}, {9, 7}, {10, 7}} {
		w := newWorld(t, c.members, definition("bitcoin-regtest", 1))
		w.chains[0].mine(anything)
		for i, m := range w.members {
			w.attest(0, m)
			w.step()
			if info, _ := w.s.Bank(1); (info.Tip.Height == 501) != (i+1 >= c.carry) {
				t.Errorf("%d of %d: the tip is %d", i+1, c.members, info.Tip.Height)
			}
		}
	}
}

// Y-10: what somebody said who may not attest any more does not count.
func TestSaidBeforeBarred(t *testing.T) {
	w := regtest(t)
	w.turn(0, 2)
	w.chains[0].mine(anything)
	w.attest(0, 1, 2)
	w.members = []custody.Member{2, 3, 4} // and the first one barred: of four still
	w.step()
	w.attest(0, 3)
	w.step()
	if info, _ := w.s.Bank(1); info.Tip.Height != 502 {
		t.Fatalf("two of four agree on %d", info.Tip.Height)
	}
	w.attest(0, 4)
	w.step()
	if info, _ := w.s.Bank(1); info.Tip.Height != 503 {
		t.Errorf("three of four agree on %d", info.Tip.Height)
	}
}

// Y-14: how deep a payment must be goes by the sum of all that its block pays to the bank;
// peg-outs wait until they can be spent.
func TestDepthOfSums(t *testing.T) {
	for _, c := range []struct {
		network  string
		payments int
		peg      bool
		blocks   uint32
	}{{"bitcoin-regtest", 1, false, 2}, {"bitcoin-regtest", 10, false, 2}, {"bitcoin-regtest", 11, false, 3}, {"litecoin-regtest", 1, true, 2}} {
		w := newWorld(t, 4, definition(c.network, 1))
		w.turn(0, 2)
		for i := range c.payments {
			x := w.deposit(custody.Owner(i+1), 0, coin)
			x.pays[0].PegOut = c.peg
		}
		if c.peg {
			c.blocks += w.net(0).PegOutExtra
		}
		if n := w.credited(1, coin); n != int(c.blocks) {
			t.Errorf("%+v: after %d blocks", c, n)
		}
	}
}

// Y-13: what is smaller than the least is not taken.
func TestLeastDeposit(t *testing.T) {
	w := regtest(t)
	w.turn(0, 2)
	w.deposit(1, 0, 19_999)
	w.deposit(2, 0, 20_000)
	w.turn(0, 6)
	if w.available[1] != 0 || w.available[2] != 20_000 {
		t.Errorf("credited are %d and %d", w.available[1], w.available[2])
	}
}

// Y-90: a payment that was spent since is not credited again, whoever says it anew.
func TestSaidAgain(t *testing.T) {
	w := regtest(t)
	w.turn(0, 2)
	x := w.deposit(1, 0, 3*coin)
	w.turn(0, 6)
	if _, code := w.withdraw(1, 0, "out", coin, 1_000_000); code != custody.OK {
		t.Fatal(code)
	}
	w.step()
	w.work(0, 6)
	has := w.available[1]
	if w.held[1] != 0 || has < 199_000_000 || has >= 2*coin {
		t.Fatalf("not settled: %d, and %d on hold", has, w.held[1])
	}
	p := x.pays[0]
	p.Height = 503
	for _, m := range w.members {
		if w.s.WantsPayment(1, m, &p, w.chains[0].blocks[3].hash) {
			t.Errorf("member %d is to say it again", m)
		}
		if code := w.s.Attest(m, &custody.Attestation{Bank: 1, Payments: []custody.Payment{p}}); code != custody.OK {
			t.Fatal(code)
		}
	}
	w.turn(0, 6)
	if w.available[1] != has {
		t.Errorf("he had %d and has %d", has, w.available[1])
	}
}

// Y-16: a settled payout without change that a reorganisation undoes halts all banks, though no
// coin of the bank stood in the block.
func TestUndoneWithoutChange(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.deposit(1, 0, coin)
	w.turn(0, 3)
	if _, code := w.withdraw(1, 0, "out", coin-700, 700); code != custody.OK {
		t.Fatal(code)
	}
	w.step()
	if b, _ := w.s.Batch(1, 1); len(b.Versions) != 1 || b.Versions[0].Change != 0 {
		t.Fatalf("%+v", b)
	}
	w.work(0, 2)
	if len(w.paid) != 1 || w.s.Halted().Reason != custody.Running {
		t.Fatalf("%d paid, halted %+v", len(w.paid), w.s.Halted())
	}
	w.chains[0].back(2)
	w.chains[0].pool = nil
	for range 3 {
		w.chains[0].mine(anything)
	}
	w.attest(0, w.members...)
	w.step()
	if h := w.s.Halted(); h.Reason != custody.Reorganisation || h.Bank != 1 {
		t.Errorf("halted: %+v", h)
	}
}
