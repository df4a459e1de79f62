package custody_test

import (
	"fmt"
	"testing"
	"time"

	"souk/asset"
	"souk/exchange/custody"
)

// deposits mines deposits of one account, all of one amount, until they are credited.
func (w *world) deposits(owner custody.Owner, n int, amount asset.Amount) {
	w.t.Helper()
	a := w.address(owner, 0)
	for range n {
		w.pay(0, a.Series, 1, a.Index, amount)
	}
	c := w.chains[0]
	for len(c.pool) > 0 {
		m := 0
		c.mine(func(*tx) bool { m++; return m <= 900 })
		w.attest(0, w.members...)
		w.step()
	}
	w.turn(0, 6+n/custody.MaxCredits)
}

// Y-43: a wallet whose sum would do, but of which no 200 coins do, keeps nobody from being
// paid out of several wallets.
func TestMixedThoughSumWouldDo(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 2))
	w.rates[0] = 5000 // at which coins are not put together
	w.turn(0, 2)
	w.gift(0, coin/10)
	w.deposits(2, 1, 10*coin)
	w.deposits(1, 1, 5*coin/2)
	w.deposits(1, 800, coin/50)
	large, code := w.withdraw(1, 0, "large", 1410*coin/100, coin/100)
	if code != custody.OK {
		t.Fatal(code)
	}
	for range 12 {
		w.now += 10 * minute
		w.step()
	}
	if x, _ := w.s.Withdrawal(large); x.Batch == 0 {
		info, _ := w.s.Bank(1)
		t.Errorf("%+v waits, there is %+v", x, info.Wallets)
	}
}

// lows are withdrawals with bounds that pay for nothing.
func (w *world) lows(n int) {
	w.t.Helper()
	for i := range n {
		r := &custody.Request{Bank: 1, Script: output(fmt.Sprint("low ", i)), Amount: 20_000, MaxFee: 130}
		if _, code := w.s.Withdraw(custody.Owner(100+i/custody.MaxOwn), r, w.now); code != custody.OK {
			w.t.Fatalf("%d", code)
		}
	}
}

// Y-55: nobody's place in the hour is taken by others only because many wait who cannot be paid.
func TestHourInTurnOfMany(t *testing.T) {
	d := definition("bitcoin-regtest", 1)
	d.MaxPerHour = 20 * coin
	w := newWorld(t, 4, d)
	w.unchecked = true
	w.rates[0] = 5000
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposits(1, 20, 10*coin)
	w.withdraw(1, 0, "first", coin, 1_000_000)
	w.step()
	large, code := w.withdraw(1, 0, "large", 20*coin, 1_000_000)
	if code != custody.OK {
		t.Fatal(code)
	}
	w.lows(8192)
	for i := range 120 {
		w.now += minute
		if _, code := w.withdraw(1, 0, fmt.Sprint("small ", i), 4*coin/10, 1_000_000); code != custody.OK {
			t.Fatal(code)
		}
		w.step()
		w.work(0, 1)
	}
	if _, ok := w.paid[large]; !ok {
		t.Fatal("not paid in two hours")
	}
}

// Y-54: coins are kept for a large withdrawal however many wait who cannot be paid.
func TestLargeIsPaidOfMany(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.unchecked = true
	w.rates[0] = 5000
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposits(2, 3, 10*coin)
	w.deposits(1, 1, 10*coin)
	w.withdraw(1, 0, "small", coin/10, coin/100)
	w.step()
	large, code := w.withdraw(2, 0, "large", 29*coin, coin/100)
	if code != custody.OK {
		t.Fatal(code)
	}
	w.lows(8192)
	for i := range 60 {
		for range 3 {
			w.withdraw(1, 0, fmt.Sprint("small ", i), coin/25, coin/100)
			w.step()
		}
		w.now += 10 * minute
		w.work(0, 1)
	}
	if _, ok := w.paid[large]; !ok {
		t.Fatal("not paid in ten hours")
	}
}

// Y-57: many coins that all lack a little for many withdrawals cost no time: each pays for one
// coin, and as much as a coin has.
func TestCoinsThatLackALittle(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 4))
	w.unchecked = true
	w.rates[0] = 5000
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposits(1, 5000, 100_000)
	for i := range 4000 {
		r := &custody.Request{Bank: 1, Script: output(fmt.Sprint("lacks ", i)), Amount: 100_000, MaxFee: 1200}
		owner := custody.Owner(100 + i/custody.MaxOwn)
		if _, code := w.s.Withdraw(owner, r, w.now); code != custody.OK {
			t.Fatal(code)
		}
		w.held[owner] += r.Amount + r.MaxFee
	}
	w.step()
	start := time.Now()
	w.step()
	if took := time.Since(start); took > time.Second {
		t.Errorf("a look took %v", took)
	}
}

// Y-54: many withdrawals that have waited long, and for which nothing can be kept, cost no time:
// each has a bound that pays for a transaction without change.
func TestManyThatWaitLong(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 4))
	w.unchecked = true
	w.rates[0] = 5000
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposits(1, 20_000, 100_000)
	for i := range 4000 {
		r := &custody.Request{Bank: 1, Script: output(fmt.Sprint("long ", i)), Amount: 60_000, MaxFee: 900}
		owner := custody.Owner(100 + i/custody.MaxOwn)
		if _, code := w.s.Withdraw(owner, r, w.now); code != custody.OK {
			t.Fatal(code)
		}
		w.held[owner] += r.Amount + r.MaxFee
	}
	w.now += 2 * 60 * minute
	w.turn(0, 1)
	start := time.Now()
	w.step()
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a look took %v", took)
	}
	if info, _ := w.s.Bank(1); info.Pending != 4000 {
		t.Errorf("%+v", info)
	}
}

// Y-55: when the limit of an hour is lowered, what waits and is above it ends no look, and what
// was paid out before counts as no more than an hour of it.
func TestLoweredHour(t *testing.T) {
	d := definition("bitcoin-regtest", 1)
	d.MaxPerHour, d.Delay, d.DelayAbove = 100*coin, 10*minute, 60*coin
	w := newWorld(t, 4, d)
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposits(1, 30, 10*coin)
	w.twin = again(t, w.s)
	before, _ := w.withdraw(1, 0, "before", 55*coin, 1_000_000)
	w.step()
	large, _ := w.withdraw(1, 0, "large", 80*coin, 1_000_000) // has to wait
	w.step()
	low := d.Limits
	low.MaxPerHour = 10 * coin
	w.both(func(s *custody.State) any { return s.SetLimits(1, low, w.now) })
	if _, used := w.s.Hour(1, w.now); used != 10*coin {
		t.Errorf("%d of the hour is used", used)
	}
	w.now += 20 * minute
	small, code := w.withdraw(1, 0, "small", 4*coin, 1_000_000)
	if code != custody.OK {
		t.Fatal(code)
	}
	w.work(0, 1)
	w.now += 45 * minute
	w.work(0, 8)
	if _, ok := w.paid[before]; !ok {
		t.Fatal("not paid")
	}
	if _, ok := w.paid[small]; !ok {
		x, _ := w.s.Withdrawal(small)
		t.Errorf("an hour later %+v waits", x)
	}
	if x, _ := w.s.Withdrawal(large); x.Batch != 0 {
		t.Errorf("above the limit: %+v", x)
	}
	if code := w.cancel(large, 1); code != custody.OK {
		t.Error(code)
	}
}
