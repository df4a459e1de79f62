package custody_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"souk/asset"
	"souk/exchange/custody"
)

const minute = 60 * 1000

// Y-54: whoever asks for a little more than there is, while the change of a batch that
// nobody mines is to come, keeps nobody waiting: neither while that may be mined any
// time, nor afterwards.
func TestMoreThanThereIs(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.turn(0, 2)
	w.gift(0, coin)
	w.deposit(1, 0, 60*coin)
	w.turn(0, 6)
	w.deposit(2, 0, 11*coin)
	w.deposit(1, 0, 2*coin)
	w.turn(0, 6)
	w.twin = again(t, w.s)
	w.withdraw(1, 0, "pinned", 20*coin, 1_000_000)
	w.step()
	if b, ok := w.s.Batch(1, 1); !ok || len(b.Inputs) != 1 || b.Versions[0].Change < 39*coin {
		t.Fatalf("%+v", b)
	}
	large, code := w.withdraw(2, 0, "large", 10*coin+coin/2, 1_000_000)
	if code != custody.OK {
		t.Fatal(code)
	}
	w.withdraw(1, 0, "takes the coin of 11", 4*coin, 1_000_000)
	w.step()
	for i := range 3 * custody.SlowBlocks {
		w.now += 20 * minute
		var small custody.ID
		if i%10 == 0 {
			if small, code = w.withdraw(1, 0, fmt.Sprint("small ", i), coin/20, 100_000); code != custody.OK {
				t.Fatal(code)
			}
		}
		w.step()
		if x, _ := w.s.Withdrawal(small); small != 0 && x.Batch == 0 {
			t.Fatalf("block %d: %+v waits", i, x)
		}
		w.sign(0, w.members...)
		w.sendAll(0)
		c := w.chains[0]
		pinned := w.transaction(0, 1, 1)
		c.mine(func(x *tx) bool { return x.spends[0] != pinned.spends[0] })
		w.attest(0, w.members...)
		w.step()
	}
	w.work(0, 10)
	if _, ok := w.paid[large]; !ok {
		t.Fatal("the large one is not paid")
	}
}

// Y-54: however many others take what they can, a withdrawal of most of what there is gets
// it: what they take from the moment on when it has waited for an hour is not what it needs.
func TestLargeIsPaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, 4, definition("bitcoin-regtest", uint8(rapid.IntRange(1, 3).Draw(t, "wallets"))))
		w.turn(0, 2)
		w.gift(0, coin/20)
		n := rapid.IntRange(2, 3).Draw(t, "coins")
		for range n {
			w.deposit(2, 0, 10*coin)
		}
		w.deposit(1, 0, 10*coin)
		w.turn(0, 8)
		if rapid.IntRange(0, 3).Draw(t, "twin") == 0 {
			w.twin = again(t, w.s)
		}
		// Others go on for ever, each in a batch of his own.
		others, size := rapid.IntRange(1, 2).Draw(t, "others"), asset.Amount(rapid.IntRange(6, 20).Draw(t, "size"))*coin/100
		var large custody.ID
		for i := range 24 {
			if i == 6 {
				part := asset.Amount(rapid.IntRange(80, 99).Draw(t, "part"))
				large, _ = w.withdraw(2, 0, "large", w.available[2]*part/100, coin/100)
			}
			for range others {
				w.withdraw(1, 0, "small", size, coin/100)
				w.step()
			}
			w.now += 10 * minute
			w.work(0, 1)
		}
		if _, ok := w.paid[large]; !ok {
			info, _ := w.s.Bank(1)
			t.Fatalf("not paid: %+v", info)
		}
	})
}

// Y-51: batches that are not mined for long take none of the places of others, up to a
// number of them that is large.
func TestPlacesOfPinned(t *testing.T) {
	w := newWorld(t, 4, definition("bitcoin-regtest", 1))
	w.rates[0] = 3000 // at which coins are not put together
	w.turn(0, 2)
	w.gift(0, coin)
	for range 80 {
		w.deposit(1, 0, coin)
	}
	w.deposit(2, 0, coin)
	w.turn(0, 8)
	w.twin = again(t, w.s)
	for i := range custody.MaxLive {
		w.withdraw(1, 0, fmt.Sprint("pinned ", i), 30_000, 1_000_000)
		w.step()
	}
	live := func(n int, waits custody.Wait) {
		t.Helper()
		if info, _ := w.s.Bank(1); len(info.Live) != n || info.Waits&custody.WaitsToMine != waits {
			t.Fatalf("%d live, want %d; waits %d", len(info.Live), n, info.Waits)
		}
	}
	live(custody.MaxLive, 0)
	id, _ := w.withdraw(1, 0, "carol", coin/2, 1_000_000)
	for range custody.SlowBlocks - 1 {
		w.chains[0].mine(func(*tx) bool { return false })
	}
	w.attest(0, w.members...)
	w.step()
	live(custody.MaxLive, custody.WaitsToMine)
	w.turn(0, 1)
	w.step()
	if x, _ := w.s.Withdrawal(id); x.Batch == 0 {
		t.Fatalf("%+v waits", x)
	}
	for range 4 {
		for i := range custody.MaxLive {
			w.withdraw(1, 0, fmt.Sprint("more ", i), 30_000, 1_000_000)
			w.step()
		}
		w.turn(0, custody.SlowBlocks)
		w.step()
	}
	w.withdraw(2, 0, "dave", coin/2, 1_000_000)
	w.step()
	live(custody.MaxUnmined, custody.WaitsToMine)
	w.reload()
	w.work(0, 20)
	live(0, 0)
}
