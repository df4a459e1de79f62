package recovery_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"souk/asset"
	"souk/recovery"
	"souk/script"
)

// readings counts how often the chain is read while coins are looked for.
func readings(t failer, c recovery.Config) (found *recovery.Findings, n int) {
	t.Helper()
	c.Progress = func(height uint32) {
		if height == c.Bank.Start.Height+1 {
			n++
		}
	}
	found, err := recovery.Find(context.Background(), c)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return found, n
}

func all(*recovery.Coin) bool { return true }

// a stranger pays next to nothing to the last address that is looked for, and to the
// last one of the next gap, and so on. The chain is not read anew for each; if what members
// credit is known, it is not for any.
func TestGapOfStranger(t *testing.T) {
	w := newWorld(t, "bitcoin-regtest", four)
	w.pay(0, script.Deposits, 0, 1e8)
	const n = 50
	for i := range uint32(n) {
		w.pay(0, script.Deposits, 10*(i+1), 601)
	}
	found, times := readings(t, w.config())
	if _, coins := found.Sum(all); times != 8 || coins != 1+n {
		t.Errorf("%d payments of 601 had the chain read %d times, %d coins", n, times, coins)
	}
	w.bank.MinDeposit = 10_000
	found, times = readings(t, w.config())
	if sum, _ := found.Sum(func(c *recovery.Coin) bool { return c.Amount > 601 }); times != 2 || sum != 1e8 {
		t.Errorf("%d payments of 601, less than members credit, had the chain read %d times, %d found", n, times, sum)
	}
	// To change addresses they are the same to him.
	for i := range uint32(n) {
		index, _ := script.ChangeIndex(0, 5*i+4)
		w.pay(0, script.Change, index, 601)
	}
	if _, times = readings(t, w.config()); times != 2 {
		t.Errorf("%d payments of 601 to change addresses had the chain read %d times", n, times)
	}
}

// change counts, however small, if it comes out of the bank.
func TestGapOfChange(t *testing.T) {
	w := newWorld(t, "bitcoin-regtest", four)
	w.bank.MinDeposit = 10_000
	w.pay(0, script.Deposits, 0, 1e8)
	index, _ := script.ChangeIndex(1, 7) // beyond the gap of 5
	w.pay(0, script.Change, index, 3e7)
	index, _ = script.ChangeIndex(1, 4)
	out, err := w.bank.Series[0].Output(script.Change, index)
	if err != nil {
		t.Fatal(err)
	}
	w.spendTo(script.Output{Script: out, Amount: 700}, mustFind(t, w).Coins[0].Coin)
	if sum, n := mustFind(t, w).Sum(all); n != 2 || sum != 3e7+700 {
		t.Errorf("%d in %d coins", sum, n)
	}
}

// Q-3, Y-52: a wallet goes on counting its change addresses when a series begins.
func TestGapOfNextSeries(t *testing.T) {
	w := newWorld(t, "bitcoin-regtest", four, []string{"alice", "bob", "carol", "erin"})
	for _, number := range []uint32{4, 9} {
		index, _ := script.ChangeIndex(1, number)
		w.pay(0, script.Change, index, 1e8)
	}
	index, _ := script.ChangeIndex(1, 13)
	w.pay(1, script.Change, index, 2e8)
	if sum, n := mustFind(t, w).Sum(all); n != 3 || sum != 4e8 {
		t.Errorf("%d in %d coins", sum, n)
	}
}

// whatever reorganisations come while the chain is read again, what is found is what
// somebody finds who looks afterwards.
func TestGapReorganised(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, "bitcoin-regtest", four)
		w.chain.Mine(4)
		for range rapid.IntRange(1, 8).Draw(t, "payments") {
			amount := asset.Amount(rapid.Uint64Range(1e6, 5e8).Draw(t, "amount"))
			w.pay(0, script.Deposits, rapid.Uint32Range(0, 60).Draw(t, "index"), amount)
		}
		if first := mustFindBy(t, w.config()); len(first.Coins) > 0 && rapid.Bool().Draw(t, "spent") {
			w.spend(first.Coins[0].Coin)
		}
		when, depth := rapid.IntRange(1, 40).Draw(t, "when"), rapid.IntRange(1, 4).Draw(t, "depth")
		length := rapid.IntRange(depth, depth+2).Draw(t, "length")
		c, blocks := w.config(), 0
		c.Progress = func(uint32) {
			if blocks++; blocks == when {
				if err := w.chain.Reorganise(depth, length); err != nil {
					t.Fatalf("%v", err)
				}
			}
		}
		got, want := mustFindBy(t, c), mustFindBy(t, w.config())
		if diff := cmp.Diff(want.Coins, got.Coins); diff != "" || got.Tip != want.Tip {
			t.Fatalf("%s, ends at %v, not %v", diff, got.Tip, want.Tip)
		}
	})
}

func mustFindBy(t failer, c recovery.Config) *recovery.Findings {
	t.Helper()
	f, err := recovery.Find(context.Background(), c)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return f
}
