package custody_test

import (
	"slices"
	"testing"

	"souk/asset"
	"souk/exchange/custody"
	"souk/script"
)

// replacedChange is a world in which batch 1 has settled as its first version, and batch 2
// pays withdrawal id with its change and with another coin, if it is that much. A deep
// reorganisation has taken batch 1 out, what lacked was given, and the halt is over. Both
// versions of batch 1 are signed.
func replacedChange(t *testing.T, amount asset.Amount, inputs int) (w *world, id custody.ID) {
	w = newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(1, 0, 6*coin)
	w.turn(0, 4)
	first, _ := w.withdraw(1, 0, "alice", 3*coin, 1_000_000)
	w.step()
	w.sign(0, w.members...)
	w.rates[0] = 3000
	w.turn(0, 3)
	w.sign(0, w.members...)
	w.rates[0] = 1000
	c := w.chains[0]
	before := len(c.blocks)
	w.send(0, 1, 1)
	w.turn(0, 3)
	if e, ok := w.paid[first]; !ok || e.Version != 1 {
		t.Fatalf("%+v", e)
	}
	w.deposit(1, 0, 4*coin)
	other := c.pool[len(c.pool)-1]
	w.turn(0, 4)
	id, _ = w.withdraw(1, 0, "bob", amount, 1_000_000)
	w.step()
	w.sign(0, w.members...)
	if b, ok := w.s.Batch(1, 2); !ok || len(b.Inputs) != inputs {
		t.Fatalf("%+v", b)
	}
	c.back(len(c.blocks) - before)
	c.pool = []*tx{other}
	w.turn(0, 12)
	w.gift(0, 8*coin)
	w.gift(0, 9*coin)
	w.turn(0, 4)
	lift(w)
	w.turn(0, 3)
	return w, id
}

// makeGood gives what a bank lacks, and ends the halt.
func (w *world) makeGood() {
	w.t.Helper()
	for range 3 {
		if d := deficit(w); d > 0 {
			w.gift(0, d+coin)
			w.turn(0, 8)
		}
	}
	if w.s.Halted().Reason != custody.Running {
		lift(w)
	}
}

// onlyCoins checks that the free coins are what is on the chain.
func (w *world) onlyCoins() {
	w.t.Helper()
	sums, _ := w.s.Solvency(1)
	onChain := asset.Amount(0)
	for _, amount := range w.chains[0].unspent() {
		onChain += amount
	}
	if sums.Free != onChain || sums.Change != 0 || sums.Lost != 0 || sums.Deficit != 0 {
		w.t.Fatalf("%d on the chain, %+v", onChain, sums)
	}
}

// Y-72: another version than the settled one is mined after a deep reorganisation. The
// batch that was to spend the former one's change has a version without it by then: it
// stays, and nothing else pays its withdrawal. The other version's change is a coin at once.
func TestReplacedChange(t *testing.T) {
	w, id := replacedChange(t, 6*coin+coin/2, 2)
	b, _ := w.s.Batch(1, 2)
	if len(b.Versions) != 2 || len(b.Spends(2)) != 2 {
		t.Fatalf("%+v", b)
	}
	w.twin = again(t, w.s)
	w.sign(0, w.members...)
	v2 := w.transaction(0, 2, 2)
	before, _ := w.s.Solvency(1)
	w.send(0, 1, 2)
	w.turn(0, 3)
	if x, ok := w.s.Withdrawal(id); !ok || x.Batch != 2 || len(x.GivenUp) != 0 {
		t.Fatalf("%+v", x)
	}
	first, _ := w.s.Batch(1, 1)
	after, _ := w.s.Solvency(1)
	if after.Free-before.Free != first.Versions[1].Change || first.Settled != 2 {
		t.Fatalf("%+v, then %+v; %+v", before, after, first)
	}
	w.reload()
	w.chains[0].pool = append(w.chains[0].pool, v2)
	w.turn(0, 6)
	if e, ok := w.paid[id]; !ok || e.Batch != 2 || e.Version != 2 {
		t.Fatalf("%+v", w.paid)
	}
	w.onlyCoins()
	w.reload()
	w.work(0, 6)
	w.onlyCoins()
}

// Y-71: a batch that had nothing but the change of the former version gets one that spends
// the change of the other, at once, and so can never be mined besides the first, whatever is
// mined in the end. Nothing else pays its withdrawal.
func TestReplacedOnlyInput(t *testing.T) {
	for _, end := range []int{1, 2} {
		w, id := replacedChange(t, 5*coin/2, 1)
		v1 := w.transaction(0, 1, 1)
		first := w.transaction(0, 2, 1)
		before := len(w.chains[0].blocks)
		w.send(0, 1, 2)
		w.turn(0, 6)
		b, _ := w.s.Batch(1, 2)
		parent, _ := w.s.Batch(1, 1)
		at, ok := parent.Change(2)
		if !ok || parent.Settled != 2 || len(b.Versions) != 2 || len(b.Spends(2)) == 0 || b.Spends(2)[0].At != at && b.Spends(2)[len(b.Spends(2))-1].At != at {
			t.Fatalf("%+v, parent %+v", b, parent)
		}
		w.twin = again(t, w.s)
		w.sign(0, w.members...)
		c := w.chains[0]
		if end == 1 {
			c.back(len(c.blocks) - before)
			c.pool = []*tx{v1, first}
		} else {
			c.pool = append(c.pool, w.transaction(0, 2, 2))
		}
		w.turn(0, 30)
		w.makeGood()
		w.work(0, 12)
		if e, ok := w.paid[id]; !ok || e.Batch != 2 || int(e.Version) != end {
			x, _ := w.s.Withdrawal(id)
			t.Fatalf("%d: %+v, %+v", end, w.paid, x)
		}
		w.reload()
		w.onlyCoins()
	}
}

// Y-72: and the first version, mined in the end, brings its own change back.
func TestReplacedChangeComesBack(t *testing.T) {
	w, id := replacedChange(t, 6*coin+coin/2, 2)
	w.twin = again(t, w.s)
	w.sign(0, w.members...)
	v1, v2 := w.transaction(0, 1, 1), w.transaction(0, 1, 2)
	c := w.chains[0]
	before := len(c.blocks)
	for i, x := range []*tx{v2, v1, v2, v1} {
		c.back(len(c.blocks) - before)
		c.pool = slices.DeleteFunc(c.pool, func(y *tx) bool { return len(y.spends) > 0 })
		c.pool = append(c.pool, x)
		w.turn(0, before+20+20*i-len(c.blocks))
		w.makeGood()
		w.reload()
		if b, _ := w.s.Batch(1, 1); b.Versions[b.Settled-1].Tx != x.id {
			t.Fatalf("%d: %+v", i, b)
		}
	}
	w.work(0, 12)
	if _, ok := w.paid[id]; !ok {
		x, _ := w.s.Withdrawal(id)
		t.Fatalf("%+v", x)
	}
	w.onlyCoins()
}

// Y-72: the versions spend different coins. What only the former one spent is a coin
// again, and the change of the one that is mined is one.
func TestReplacedInputs(t *testing.T) {
	w, id, lost := lostInput(t, "bitcoin-regtest", coin)
	w.gift(0, 9*coin)
	w.gift(0, coin)
	w.turn(0, 4)
	lift(w)
	w.sign(0, w.members...)
	c := w.chains[0]
	v1, v2 := w.transaction(0, 1, 1), w.transaction(0, 1, 2)
	c.pool = append(c.pool, lost)
	w.turn(0, 7)
	before := len(c.blocks)
	c.pool = []*tx{v1}
	w.turn(0, 7)
	if e, ok := w.paid[id]; !ok || e.Version != 1 {
		t.Fatalf("%+v", w.paid)
	}
	w.onlyCoins()
	c.back(len(c.blocks) - before)
	c.pool = []*tx{v2}
	w.turn(0, 12)
	if b, _ := w.s.Batch(1, 1); b.Settled != 2 {
		t.Fatalf("%+v", b)
	}
	w.makeGood()
	w.reload()
	w.onlyCoins()
	at := script.Outpoint{Tx: v2.id, Index: v2.pays[0].At.Index}
	if _, ok := c.unspent()[at]; !ok {
		t.Fatal("the change is not there")
	}
}
