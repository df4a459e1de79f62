package custody_test

import (
	"fmt"
	"testing"

	"souk/asset"
	"souk/exchange/custody"
)

const hours = 60 * 60 * 1000

// delayed is a bank with a delay of a day above a tenth of a coin, and an account
// that has coins in it.
func delayed(t *testing.T) (w *world, from func(to string, amount asset.Amount) uint64) {
	t.Helper()
	d := definition("bitcoin-regtest", 4)
	d.DelayAbove, d.Delay = coin/10, 24*hours
	w = newWorld(t, 4, d)
	w.turn(0, 2)
	w.gift(0, coin)
	for range 4 {
		w.deposit(1, 0, 20*coin)
	}
	w.turn(0, 4)
	w.twin = again(t, w.s)
	return w, func(to string, amount asset.Amount) uint64 {
		t.Helper()
		id, code := w.withdraw(1, 0, to, amount, 1_000_000)
		if code != custody.OK {
			t.Fatal(code)
		}
		x, _ := w.s.Withdrawal(id)
		return x.From - x.Asked
	}
}

// Y-61: a small withdrawal does not make its output known at once, for larger ones to
// follow; only when the delay has gone by since it was first paid.
func TestKnownAfterDelay(t *testing.T) {
	w, from := delayed(t)
	if ms := from("thief", 20_000); ms != 0 {
		t.Fatalf("small: %d", ms)
	}
	w.step()
	w.work(0, 3)
	if len(w.paid) != 1 {
		t.Fatal("not paid")
	}
	if ms := from("thief", 40*coin); ms != 24*hours {
		t.Fatalf("just paid: %d", ms)
	}
	w.now += 23 * hours
	w.step()
	if ms := from("thief", coin); ms != 24*hours {
		t.Fatalf("paid 23 hours ago: %d", ms)
	}
	w.now += hours
	w.step()
	if ms := from("thief", coin); ms != 0 {
		t.Fatalf("paid a day ago: %d", ms)
	}
}

// Y-61: many small withdrawals count together; what needs no delay comes back evenly.
// Cancelling gives nothing back.
func TestSmallOnesCount(t *testing.T) {
	w, from := delayed(t)
	for i := range 10 {
		if ms := from(fmt.Sprint(i), coin/100); ms != 0 {
			t.Fatalf("withdrawal %d: %d", i, ms)
		}
	}
	if ms := from("eleventh", 20_000); ms != 24*hours {
		t.Fatalf("more than the bound together: %d", ms)
	}
	for _, x := range w.s.Withdrawals(1) {
		w.cancel(x.ID, 1)
	}
	w.step()
	if ms := from("again", coin/100); ms != 24*hours {
		t.Fatalf("after cancelling: %d", ms)
	}
	w.now += 12 * hours
	w.step()
	if ms := from("later", coin/20); ms != 0 {
		t.Fatalf("half a day later: %d", ms)
	}
	if ms := from("more", 20_000); ms != 24*hours {
		t.Fatalf("and more: %d", ms)
	}
	w.now += 12 * hours
	w.work(0, 8)
	w.now += 24 * hours
	w.work(0, 1)
	if ms := from("again", coin); ms != 0 {
		t.Fatalf("known: %d", ms)
	}
	if ms := from("other", coin/10); ms != 0 {
		t.Fatalf("all of it is back: %d", ms)
	}
	w.step()
}

// Y-60: those who take many places for what cannot be paid leave half of them, and of
// these a fair share, for others.
func TestPlaces(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 4))
	w.unchecked = true
	w.turn(0, 2)
	w.rates[0] = 5000
	w.turn(0, 1)
	take := func(first custody.Owner, delay uint64, bound asset.Amount, most int) (n int, code custody.Code) {
		for owner := first; n < most; owner++ {
			if delay > 0 {
				if _, code := w.s.SetAccount(owner, custody.Settings{Delay: delay}, saltOf("settings"), w.now); code != custody.OK {
					t.Fatal(code)
				}
			}
			had := n
			for n < most {
				r := &custody.Request{Bank: 1, Script: output("x"), Amount: 20_000, MaxFee: bound}
				if _, code = w.s.Withdraw(owner, r, w.now); code != custody.OK {
					break
				}
				n++
			}
			if n == had {
				return n, code
			}
		}
		return n, code
	}
	const quarter = custody.MaxPending / 4
	if n, _ := take(1000, custody.MaxDelay, 200, custody.MaxPending); n != 2*quarter {
		t.Fatalf("%d with a delay", n)
	}
	// 256 accounts took all they may of the first quarter, four times as many the second.
	if got := len(w.s.Withdrawals(1255)); got != custody.MaxOwn {
		t.Fatalf("%d of one account", got)
	}
	if got := len(w.s.Withdrawals(1256)); got != custody.MaxOwn/4 {
		t.Fatalf("%d of one account", got)
	}
	if n, code := take(5000, 0, 500, 1); n != 0 || code != custody.FeeTooLow {
		t.Fatalf("with a low bound: %d, code %d", n, code)
	}
	if n, code := take(5000, 0, 1000, 1); n != 0 || code != custody.FeeTooLow { // 865 without change, 1,080 with it
		t.Fatalf("with a bound that pays for no change: %d, code %d", n, code)
	}
	if n, code := take(4999, 0, 1080, 1); n != 1 {
		t.Fatalf("with one that does: %d, code %d", n, code)
	}
	if n, _ := take(5000, 0, 10_000, quarter); n != quarter || len(w.s.Withdrawals(5000)) != 4 {
		t.Fatalf("%d, %d of one account", n, len(w.s.Withdrawals(5000)))
	}
	if n, _ := take(20_000, 0, 10_000, quarter-1); n != quarter-1 || len(w.s.Withdrawals(20_000)) != 1 {
		t.Fatalf("%d, %d of one account", n, len(w.s.Withdrawals(20_000)))
	}
	if n, code := take(60_000, 0, 10_000, 1); n != 0 || code != custody.TooMany {
		t.Fatalf("%d, code %d", n, code)
	}
}
