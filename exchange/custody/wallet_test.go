package custody_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"souk/asset"
	"souk/exchange/custody"
	"souk/internal/bulk"
	"souk/merkle"
	"souk/script"
)

// spread is by how much the wallets of the bank differ, and by how much they may:
// a twentieth of the fullest, or the largest coin.
func spread(w *world) (differ, may asset.Amount) {
	info, _ := w.s.Bank(1)
	least, most, largest := info.Wallets[0].Total, asset.Amount(0), asset.Amount(0)
	for _, x := range info.Wallets {
		least, most = min(least, x.Total), max(most, x.Total)
	}
	for c := range func(yield func(custody.Coin) bool) { w.s.Coins(1, yield) } {
		largest = max(largest, c.Amount)
	}
	return most - least, max(largest, most/20)
}

// Y-41, Y-42: after a thousand random deposits and withdrawals the wallets differ by
// a twentieth at most, or by the largest coin.
func TestEvenness(t *testing.T) {
	for seed := range uint64(bulk.Count(4)) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, 4, definition("bitcoin-regtest", 4))
		w.unchecked = true
		w.turn(0, 2)
		for n := 0; n < 1000; {
			for range 1 + r.IntN(20) {
				owner := custody.Owner(1 + r.IntN(50))
				if has := w.available[owner]; has > coin/10 && r.IntN(2) == 0 {
					w.withdraw(owner, 0, fmt.Sprint(r.IntN(1000)), coin/100+asset.Amount(r.Int64N(int64(has-coin/20))), coin/1000)
				} else {
					w.deposit(owner, 0, coin/10+asset.Amount(r.Int64N(5*coin)))
				}
				n++
			}
			w.work(0, 1)
		}
		w.work(0, 20)
		w.unchecked = false
		w.check()
		if info, _ := w.s.Bank(1); info.Pending != 0 || len(info.Live) != 0 {
			t.Fatalf("%+v", info)
		}
		if differ, may := spread(w); differ > may {
			info, _ := w.s.Bank(1)
			t.Errorf("seed %d: wallets differ by %d, %d are allowed: %v", seed, differ, may, info.Wallets)
		}
	}
}

// Y-41: whatever comes in, wallets never differ by more than the largest coin or a
// twentieth, if they did not before.
func TestDeal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		totals := make([]asset.Amount, rapid.IntRange(1, 16).Draw(t, "wallets"))
		largest := asset.Amount(0)
		for i := range 40 {
			amount := asset.Amount(rapid.Uint64Range(1, 1<<40).Draw(t, "amount"))
			largest = max(largest, amount)
			may := max(largest, slices.Max(totals)/20)
			n := custody.Deal(merkle.Hash(hashOf("seed", i)), script.Outpoint{Tx: hashOf("coin", i)}, amount, totals, may)
			totals[n] += amount
			if differ := slices.Max(totals) - slices.Min(totals); differ > max(may, slices.Max(totals)/20) {
				t.Fatalf("%v differ by %d, allowed are %d", totals, differ, may)
			}
		}
	})
}

// Y-41: the example of docs/spec/14-custody.md.
func TestDealExample(t *testing.T) {
	var n [3]int
	for i := range 3200 {
		n[custody.Deal(merkle.Hash{}, script.Outpoint{Tx: hashOf(i)}, 3*coin, []asset.Amount{10 * coin, 4 * coin, 6 * coin}, 5*coin)]++
	}
	if n[0] != 0 || n[1] < 1700 || n[1] > 1900 { // 9 to 7: 1800 to 1400
		t.Error(n)
	}
}

// chiSquare is how far a table of accounts and wallets is from one in which they have
// nothing to do with each other, in thousandths.
func chiSquare(table [][]int) (thousandths int) {
	total := 0
	rows, columns := make([]int, len(table)), make([]int, len(table[0]))
	for i := range table {
		for j, n := range table[i] {
			rows[i] += n
			columns[j] += n
			total += n
		}
	}
	for i := range table {
		for j, n := range table[i] {
			expected := rows[i] * columns[j] * 1000 / total
			if expected > 0 {
				thousandths += (n*1000 - expected) * (n*1000 - expected) / expected
			}
		}
	}
	return thousandths
}

// deals credits coins of several accounts in random order and counts who got into
// which wallet. With grind, the draw is biased: the seed is known beforehand and
// account 0 chooses its outpoints so that it gets into wallet 0 when it can.
func deals(seed uint64, grind bool) [][]int {
	const accounts, wallets, coins = 8, 4, 4000
	r := rand.New(rand.NewPCG(seed, 7))
	table := make([][]int, accounts)
	for i := range table {
		table[i] = make([]int, wallets)
	}
	totals := make([]asset.Amount, wallets)
	for i := range coins {
		account := r.IntN(accounts)
		amount := asset.Amount(1 + r.Int64N(5*coin))
		var block merkle.Hash
		if !grind {
			block = sha256.Sum256(binary.BigEndian.AppendUint64(nil, r.Uint64()))
		}
		at := script.Outpoint{Tx: hashOf("coin", seed, i)}
		may := max(5*coin, slices.Max(totals)/20)
		n := custody.Deal(block, at, amount, totals, may)
		for try := 0; grind && account == 0 && n != 0 && try < 3; try++ {
			at.Index++
			n = custody.Deal(block, at, amount, totals, may)
		}
		totals[n] += amount
		table[account][n]++
	}
	return table
}

// Y-40: nothing relates accounts and wallets, and the test would see it if something
// did. With 21 degrees of freedom, chance exceeds 46.8 once in a thousand times.
func TestNoRelation(t *testing.T) {
	const limit = 46_800
	above := 0
	for seed := range uint64(20) {
		if chiSquare(deals(seed, false)) > limit {
			above++
		}
		if got := chiSquare(deals(seed, true)); got < 2*limit {
			t.Errorf("seed %d: a biased draw is not noticed: %d", seed, got)
		}
	}
	if above > 1 {
		t.Errorf("accounts and wallets are related in %d of 20 runs", above)
	}
}

// credited lets accounts be paid a thousand times and counts in which wallets the bank
// put their coins. With grind, account 1 knows what the seed of the crediting block
// will be, and makes up payments until one falls into wallet 0.
func credited(t *testing.T, seed uint64, grind bool) [][]int {
	const accounts, wallets, coins = 8, 4, 1000
	r := rand.New(rand.NewPCG(seed, 9))
	w := newWorld(t, 4, definition("bitcoin-regtest", wallets))
	w.unchecked = true
	w.turn(0, 2)
	table := make([][]int, accounts)
	for i := range table {
		table[i] = make([]int, wallets)
	}
	largest := asset.Amount(0)
	for i := range coins {
		owner := custody.Owner(1 + r.IntN(accounts))
		amount := asset.Amount(1e6 + r.Int64N(5*coin))
		paid := w.deposit(owner, 0, amount)
		at := &paid.pays[0].At
		info, _ := w.s.Bank(1)
		totals := make([]asset.Amount, wallets)
		for n := range totals {
			totals[n] = info.Wallets[n].Total
		}
		largest = max(largest, amount)
		next := w.seedAt(w.height + 2) // it is credited two blocks from now
		may := max(largest, slices.Max(totals)/20)
		for try := 0; grind && owner == 1 && try < 12 && custody.Deal(next, *at, amount, totals, may) != 0; try++ {
			at.Index++
		}
		w.turn(0, 2)
		key := custody.CoinKey(1, *at)
		value, _ := w.s.Leaf(key)
		c, err := custody.ParseCoin(key, value)
		if err != nil || c.State != custody.CoinFree {
			t.Fatalf("coin %d: %+v, %v", i, c, err)
		}
		table[owner-1][c.Wallet]++
	}
	return table
}

// Y-40, Y-93: the same of a bank as a whole, from the payment to the coin's leaf: whose a
// coin is cannot be told from its wallet, unless somebody knows the seeds beforehand,
// which the test would find out.
func TestNoRelationInBank(t *testing.T) {
	const limit = 46_800
	above, runs := 0, bulk.Count(3)
	for seed := range uint64(runs) {
		if chiSquare(credited(t, seed, false)) > limit {
			above++
		}
	}
	if above > 0 {
		t.Errorf("accounts and wallets are related in %d of %d runs", above, runs)
	}
	if got := chiSquare(credited(t, 0, true)); got < 2*limit {
		t.Errorf("a biased draw is not noticed: %d", got)
	}
}

// Y-93: no leaf but that of the address names both an account and where its coins
// are; a coin's leaf is the same whoever it is of.
func TestNothingLinks(t *testing.T) {
	coins := func(owner custody.Owner) map[merkle.Key]string {
		w := regtest(t)
		w.turn(0, 2)
		a, _ := w.s.NewAddress(owner, 1, custody.Salt{})
		w.pay(0, 0, script.Deposits, a.Index, 3*coin)
		w.turn(0, 3)
		if w.available[owner] != 3*coin {
			t.Fatal("not credited")
		}
		list := map[merkle.Key]string{}
		for key, value := range w.tree {
			if key[0] != custody.LeafAddress {
				list[key] = string(value)
			}
		}
		return list
	}
	one, other := coins(7), coins(0x01020304)
	if len(one) != len(other) {
		t.Fatalf("%d leaves, %d", len(one), len(other))
	}
	for key, value := range one {
		if other[key] != value {
			t.Errorf("leaf %s depends on the account", key)
		}
	}
}
