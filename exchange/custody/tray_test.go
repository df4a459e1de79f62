package custody_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"souk/asset"
	"souk/exchange/custody"
)

// exacts are withdrawals whose bounds pay for a transaction without change and for none with it, of amounts for which no
// coin fits: they could be paid any time, and never are.
func (w *world) exacts(n int) {
	w.t.Helper()
	for i := range n {
		r := &custody.Request{Bank: 1, Script: output(fmt.Sprint("exact ", i)), Amount: asset.Amount(30_000 + i), MaxFee: 900}
		owner := custody.Owner(100 + i/custody.MaxOwn)
		if _, code := w.s.Withdraw(owner, r, w.now); code != custody.OK {
			w.t.Fatalf("%d", code)
		}
		w.held[owner] += r.Amount + r.MaxFee
	}
}

// Y-54, Y-55: a thousand withdrawals that can be paid only without change, for which no coin fits, do not divide the looks
// into some in which others take what a large one waits for, however many wallets they are tried on.
func TestExactKeepNobody(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", custody.MaxWallets))
	w.unchecked = true
	w.rates[0] = 5000
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposits(2, 3, 10*coin)
	w.deposits(1, 1, 10*coin)
	for _, name := range []string{"first", "second"} { // each takes a coin
		w.withdraw(1, 0, name, coin/10, coin/100)
		w.step()
	}
	large, code := w.withdraw(2, 0, "large", 29*coin, coin/100)
	if code != custody.OK {
		t.Fatal(code)
	}
	w.exacts(5000)
	w.withdraw(1, 0, "carol", coin/10, coin/100)
	w.step()
	if len(w.versions) != 3 {
		t.Errorf("who is behind a thousand is not looked at: %d transactions", len(w.versions))
	}
	for i := range 24 {
		for range 3 {
			w.withdraw(1, 0, fmt.Sprint("small ", i), coin/25, coin/100)
			w.step()
		}
		w.now += 10 * minute
		w.work(0, 1)
	}
	if _, ok := w.paid[large]; !ok {
		t.Fatal("not paid in four hours")
	}
}

// Y-57: the inputs that are found are those that trying one choice after another finds.
func TestChoiceIsWhatTryingFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := custody.Trial{
			Network: rapid.SampledFrom([]string{"bitcoin-regtest", "litecoin-regtest", "namecoin-regtest"}).Draw(t, "network"),
			Rate:    rapid.SampledFrom([]uint64{1000, 5000, 200_000, 1_000_000}).Draw(t, "rate"),
			Reserve: asset.Amount(rapid.IntRange(0, 3000).Draw(t, "reserve")),
			Seats:   rapid.SliceOfN(rapid.SampledFrom([]int{1, 4, 7, 15}), 1, 4).Draw(t, "series"),
		}
		scale := rapid.SampledFrom([]uint64{2000, 20_000, 1_000_000}).Draw(t, "scale")
		n := rapid.SampledFrom([]int{0, 1, 3, 20, 260}).Draw(t, "coins")
		for i := range n {
			c := custody.TrialCoin{
				Amount: asset.Amount(1 + rapid.Uint64Range(0, scale).Draw(t, "amount")), Series: uint32(rapid.IntRange(0, len(x.Seats)-1).Draw(t, "of")),
				Kept: rapid.IntRange(0, 9).Draw(t, "kept") == 0, Coming: i > n/2 && rapid.IntRange(0, 3).Draw(t, "coming") == 0,
			}
			if i > 0 && rapid.IntRange(0, 4).Draw(t, "same") == 0 {
				c.Amount = x.Coins[i-1].Amount
			}
			x.Coins = append(x.Coins, c)
		}
		for range rapid.IntRange(1, 12).Draw(t, "questions") {
			var q custody.Question
			for range rapid.SampledFrom([]int{1, 1, 1, 2, 30}).Draw(t, "payees") {
				q.Scripts = append(q.Scripts, trialScripts[rapid.IntRange(0, len(trialScripts)-1).Draw(t, "script")])
			}
			var sum asset.Amount
			for _, i := range rapid.SliceOfN(rapid.IntRange(0, max(n-1, 0)), 0, 4).Draw(t, "about") {
				if n > 0 {
					sum += x.Coins[i].Amount
				}
			}
			off := asset.Amount(rapid.Uint64Range(0, 3*scale/2).Draw(t, "off"))
			if rapid.Bool().Draw(t, "exact") { // near what a transaction without change takes
				off = asset.Amount(x.Rate) * asset.Amount(rapid.IntRange(100, 400).Draw(t, "size")) / 1000
			}
			q.Sum = max(sum-min(sum, off), asset.Amount(len(q.Scripts)))
			x.Questions = append(x.Questions, q)
		}
		for i, a := range x.Run() {
			if a.Found != a.Tried {
				t.Fatalf("question %d: %s is found, trying gives %s", i, a.Found, a.Tried)
			}
		}
	})
}

var trialScripts = [][]byte{
	append([]byte{0, 20}, make([]byte, 20)...), append([]byte{0, 32}, make([]byte, 32)...), append([]byte{0x51, 32}, make([]byte, 32)...),
	append(append([]byte{0x76, 0xa9, 20}, make([]byte, 20)...), 0x88, 0xac),
}

// Y-55: whatever waits, and whatever coins there are, a step looks at no more coins and asks no more questions than so many.
func TestWorkIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wallets := rapid.SampledFrom([]uint8{1, 4, custody.MaxWallets}).Draw(t, "wallets")
		w := newWorld(t, 4, definition("bitcoin-regtest", wallets))
		w.unchecked = true
		w.rates[0] = rapid.SampledFrom([]uint64{2000, 5000, 20_000}).Draw(t, "rate")
		w.turn(0, 2)
		w.gift(0, coin)
		coins := 1
		for range rapid.IntRange(1, 3).Draw(t, "deposits") {
			n := rapid.IntRange(1, 200).Draw(t, "coins")
			w.deposits(1, n, asset.Amount(rapid.Uint64Range(20_000, 3_000_000).Draw(t, "amount")))
			coins += n
		}
		pending := 0
		for range rapid.IntRange(1, 6).Draw(t, "kinds") {
			amount, bound := rapid.Uint64Range(20_000, 6_000_000).Draw(t, "asks"), rapid.Uint64Range(500, 20_000).Draw(t, "bound")
			for i := range rapid.IntRange(1, 300).Draw(t, "withdrawals") {
				r := &custody.Request{Bank: 1, Script: output(fmt.Sprint(amount, i)), Amount: asset.Amount(amount), MaxFee: asset.Amount(bound)}
				owner := custody.Owner(100 + pending/custody.MaxOwn)
				if _, code := w.s.Withdraw(owner, r, w.now); code != custody.OK && code != custody.FeeTooLow {
					t.Fatal(code)
				} else if code == custody.OK {
					w.held[owner] += r.Amount + r.MaxFee
					pending++
				}
			}
		}
		for range 6 {
			w.now += uint64(rapid.SampledFrom([]int{1, 30, 90}).Draw(t, "minutes")) * minute
			info, _ := w.s.Bank(1)
			most := custody.MostWork(int(wallets), coins+len(info.Live)+len(w.s.ChangesUsed(1)), info.Pending)
			w.step()
			if got := custody.Work(w.s); got > most {
				t.Fatalf("%d, of at most %d: %d coins, %d wait", got, most, coins, info.Pending)
			}
			w.turn(0, rapid.IntRange(0, 1).Draw(t, "blocks"))
		}
	})
}

// Y-55: as many withdrawals as can wait, none of which can be paid, cost a block no more than one look at each.
func TestFullQueueOfExact(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", custody.MaxWallets))
	w.unchecked = true
	w.rates[0] = 5000
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposits(1, 40, 10*coin)
	w.exacts(custody.MaxPending / 4)
	w.step()
	info, _ := w.s.Bank(1)
	if most := custody.MostWork(custody.MaxWallets, 41, info.Pending); custody.Work(w.s) > most || custody.Work(w.s) < uint64(info.Pending) {
		t.Errorf("%d, of at most %d", custody.Work(w.s), most)
	}
	id, _ := w.withdraw(1, 0, "carol", coin, coin/100)
	w.step()
	if x, _ := w.s.Withdrawal(id); x.Batch == 0 {
		t.Errorf("%+v waits", x)
	}
}
