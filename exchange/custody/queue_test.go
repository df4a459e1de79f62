package custody_test

import (
	"fmt"
	"testing"

	"souk/asset"
	"souk/exchange/custody"
)

// Y-55: an hourly limit drains also if that is less than a unit from one look to the next.
func TestSmallHourDrains(t *testing.T) {
	d := definition("bitcoin-regtest", 1)
	d.MinWithdrawal, d.MaxPerHour = 3000, 3000 // a look each second
	w := newWorld(t, 4, d)
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(1, 0, coin)
	w.turn(0, 4)
	for _, to := range []string{"first", "second"} {
		if _, code := w.withdraw(1, 0, to, 3000, 1_000_000); code != custody.OK {
			t.Fatal(code)
		}
	}
	w.step()
	if _, used := w.s.Hour(1, w.now); used != 3000 {
		t.Fatalf("%d of the hour is used", used)
	}
	for range 3700 {
		w.step()
	}
	if info, _ := w.s.Bank(1); info.Pending != 0 {
		t.Errorf("%d wait after more than an hour", info.Pending)
	}
}

// Y-55: a withdrawal of the whole hourly limit whose bound is too low for any
// transaction takes nothing of the limit, ends no look and keeps nobody waiting.
func TestHourNotBlocked(t *testing.T) {
	d := definition("bitcoin-regtest", 4)
	d.MaxPerHour = 10 * coin
	w := newWorld(t, 4, d)
	w.turn(0, 2)
	w.gift(0, coin)
	for range 8 {
		w.deposit(1, 0, 10*coin)
		w.deposit(2, 0, 10*coin)
	}
	w.turn(0, 8)
	w.twin = again(t, w.s)
	w.rates[0] = 20_000
	w.turn(0, 1)
	low, code := w.withdraw(1, 0, "low", 10*coin, 700) // its own output costs 620, an input 2,620
	if code != custody.OK {
		t.Fatal(code)
	}
	w.step()
	for i := range 20 {
		if _, code := w.withdraw(2, 0, fmt.Sprint("other ", i), coin/10, 1_000_000); code != custody.OK {
			t.Fatal(code)
		}
	}
	w.step()
	if _, used := w.s.Hour(1, w.now); used != 2*coin {
		t.Errorf("%d of the hour is used", used)
	}
	w.work(0, 4)
	if len(w.paid) != 20 {
		t.Fatalf("%d paid", len(w.paid))
	}
	if code := w.cancel(low, 1); code != custody.OK {
		t.Fatal(code)
	}
}

// Y-55: one that could be paid, but for the limit, ends the look: smaller ones that
// come after it do not use up what it waits for.
func TestHourInTurn(t *testing.T) {
	d := definition("bitcoin-regtest", 1)
	d.MaxPerHour = 10 * coin
	w := newWorld(t, 4, d)
	w.turn(0, 2)
	w.gift(0, coin)
	for range 8 {
		w.deposit(1, 0, 10*coin)
	}
	w.turn(0, 8)
	w.twin = again(t, w.s)
	w.withdraw(1, 0, "first", 5*coin, 100_000)
	w.step()
	large, _ := w.withdraw(1, 0, "large", 9*coin, 100_000)
	small, _ := w.withdraw(1, 0, "small", coin, 100_000)
	w.work(0, 4)
	for _, id := range []custody.ID{large, small} {
		if x, ok := w.s.Withdrawal(id); !ok || x.Batch != 0 {
			t.Fatalf("withdrawal %d: %+v", id, x)
		}
	}
	w.now += 60 * 60 * 1000
	w.work(0, 4)
	if _, ok := w.paid[large]; !ok {
		t.Fatal("the large one is not paid")
	}
}

// Y-56: others whose bounds are too low, between those who pay, cost them neither
// their places in a batch nor their time.
func TestLowBoundsBetween(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 4))
	w.turn(0, 2)
	w.gift(0, coin)
	for range 8 {
		w.deposit(1, 0, 10*coin)
		w.deposit(2, 0, 10*coin)
	}
	w.turn(0, 8)
	w.twin = again(t, w.s)
	w.rates[0] = 20_000
	w.turn(0, 1)
	var good []custody.ID
	for i := range 30 {
		for j, bound := range []asset.Amount{700, 4500} { // for its output; for one input, but it takes several
			if _, code := w.withdraw(1, 0, "low", coin+asset.Amount(j)*20*coin, bound); code != custody.OK && i < 3 {
				t.Fatal(code)
			}
		}
		id, code := w.withdraw(2, 0, fmt.Sprint(i), coin, 1_000_000)
		if code != custody.OK {
			t.Fatal(code)
		}
		good = append(good, id)
	}
	w.step()
	in := map[uint64]int{}
	for _, id := range good {
		x, _ := w.s.Withdrawal(id)
		in[x.Batch]++
	}
	if in[0] != 0 || len(in) > 4 {
		t.Fatalf("by batch: %v", in)
	}
	w.work(0, 3)
	if len(w.paid) < len(good) {
		t.Fatalf("%d paid", len(w.paid))
	}
}
