package custody_test

import (
	"fmt"
	"testing"

	"souk/asset"
	"souk/exchange/custody"
	"souk/script"
)

// Y-58: what one member gives may be no signature. While not all have signed, a
// transaction that may be nobody's to pass on pays more only after four times as many
// blocks, and never more than the rate of now before sixteen times as many.
func TestNotAllSigned(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(1, 0, 10*coin)
	w.turn(0, 4)
	w.twin = again(t, w.s)
	w.withdraw(1, 0, "alice", coin, 1_000_000)
	w.step()
	reserve := w.reserves[0]
	versions := func() int {
		b, _ := w.s.Batch(1, 1)
		return len(b.Versions)
	}
	turns := func(n int) {
		for range n {
			w.sign(0, 2, 3, 4) // member 1 is away
			w.turn(0, 1)
		}
	}
	turns(31)
	if versions() != 1 || w.reserves[0] != reserve {
		t.Fatalf("%d versions, reserve %d of %d", versions(), w.reserves[0], reserve)
	}
	w.rates[0] = 2000
	w.turn(0, 1)
	if versions() != 2 {
		t.Fatalf("%d versions at a higher rate", versions())
	}
	turns(7)
	w.rates[0] = 3000
	if versions() != 2 {
		t.Fatal("too early")
	}
	turns(1)
	if versions() != 3 {
		t.Fatal("too late")
	}
	w.sign(0, w.members...)
	w.turn(0, 7)
	if versions() != 3 {
		t.Fatal("too early when all have signed")
	}
	w.turn(0, 1)
	if b, _ := w.s.Batch(1, 1); len(b.Versions) != 4 || b.Versions[3].Rate != 3751 {
		t.Fatalf("%+v", b.Versions)
	}
}

// Y-51, Y-58: sixteen transactions that nobody mines have children all the same, and
// as soon as they are mined others can be made.
func TestChildrenOfAll(t *testing.T) {
	w := newWorld(t, 4, definition("litecoin-regtest", 4))
	w.turn(0, 2)
	w.gift(0, coin)
	for range 24 {
		w.deposit(1, 0, 10*coin)
	}
	w.turn(0, 9)
	w.twin = again(t, w.s)
	for i := range 24 {
		if _, code := w.withdraw(1, 0, fmt.Sprint(i), 200_000, 1_000_000); code != custody.OK {
			t.Fatal(code)
		}
		w.step()
	}
	info, _ := w.s.Bank(1)
	if len(info.Live) != custody.MaxLive || info.Pending != 24-custody.MaxLive || info.Waits != custody.WaitsToMine {
		t.Fatalf("%d live, %d wait, %d", len(info.Live), info.Pending, info.Waits)
	}
	w.rates[0] = 5000 // what pays less is not mined any more
	for i := range 40 {
		w.sign(0, w.members...)
		w.turn(0, 1)
		if i < 5 {
			continue
		}
		if info, _ = w.s.Bank(1); len(info.Live) < 2*custody.MaxLive {
			t.Fatalf("%d live", len(info.Live))
		}
	}
	w.rates[0] = 90_000
	for range 60 {
		w.sign(0, w.members...)
		w.turn(0, 1)
	}
	chains := map[uint64]int{}
	by := map[script.Hash]uint64{}
	info, _ = w.s.Bank(1)
	for _, n := range info.Live {
		b, _ := w.s.Batch(1, n)
		root := b.Number
		if b.Kind == custody.Child {
			root = by[b.Inputs[0].At.Tx]
		}
		by[b.Versions[0].Tx] = root
		chains[root]++
	}
	for root, n := range chains {
		if n > custody.MaxChildren+1 {
			t.Fatalf("batch %d and %d children", root, n-1)
		}
	}
	w.sign(0, w.members...)
	w.sendAll(0)
	w.turn(0, 1)
	w.step()
	if info, _ = w.s.Bank(1); info.Pending != 0 || info.Waits != 0 {
		t.Fatalf("%d wait, %d", info.Pending, info.Waits)
	}
	w.rates[0] = 1000
	w.work(0, 60)
	if info, _ = w.s.Bank(1); len(info.Live) != 0 || len(w.paid) != 24 {
		t.Fatalf("%d live, %d paid", len(info.Live), len(w.paid))
	}
}

// Y-24, Y-57: coins of an older series that are worth little for the rate wait for a
// lower one, are counted, and keep nobody waiting; the large ones move first.
func TestDustWaits(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.gift(0, coin/1000)
	w.deposit(1, 0, 30*coin)
	for range 40 {
		w.deposit(1, 0, 20_000)
	}
	w.turn(0, 5)
	w.twin = again(t, w.s)
	w.rates[0] = 100_000 // an input costs 13,100
	m := w.join()
	w.step()
	w.both(func(s *custody.State) any { return s.OpenSeries(1, []custody.Member{1, 2, 3, m}, w.now) })
	w.work(0, 5)
	reserve := w.reserves[0]
	coins, small, sum, smallSum := w.s.Waiting(1)
	if coins != 40 || small != 40 || sum != 800_000 || smallSum != sum {
		t.Fatalf("%d of %d wait, %d of %d", small, coins, smallSum, sum)
	}
	if info, _ := w.s.Bank(1); info.Waits != custody.WaitsForRate {
		t.Fatalf("waits %d", info.Waits)
	}
	if _, code := w.withdraw(1, 0, "alice", 20*coin, 100_000); code != custody.OK {
		t.Fatal(code)
	}
	w.work(0, 20)
	if w.reserves[0] != reserve || len(w.paid) != 1 {
		t.Fatalf("reserve %d of %d, %d paid", w.reserves[0], reserve, len(w.paid))
	}
	w.rates[0] = 2000
	w.work(0, 6)
	if info, _ := w.s.Bank(1); info.Waits != 0 || info.Sums.Deficit != 0 {
		t.Fatalf("%+v", info)
	}
	if coins, _, _, _ := w.s.Waiting(1); coins != 0 {
		t.Fatalf("%d are left", coins)
	}
}

// Y-24: a reserve that cannot move all coins moves as many as it can, the largest first.
func TestSweepInParts(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	for i := range 64 {
		w.deposit(1, 0, asset.Amount(i+1)*coin/10)
	}
	w.turn(0, 4)
	w.gift(0, 20_000) // 64 inputs cost 85,000 at this rate
	w.rates[0] = 10_000
	w.turn(0, 4)
	m := w.join()
	w.step()
	if code := w.s.OpenSeries(1, []custody.Member{1, 2, 3, m}, w.now); code != custody.OK {
		t.Fatal(code)
	}
	w.step()
	b, ok := w.s.Batch(1, w.s.LastBatch(1))
	if !ok || b.Kind != custody.Sweep || len(b.Inputs) < 8 || len(b.Inputs) > 16 {
		t.Fatalf("%+v", b)
	}
	for _, in := range b.Inputs {
		if in.Amount < 4*coin {
			t.Errorf("%d is moved before larger ones", in.Amount)
		}
	}
}
