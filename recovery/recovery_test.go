package recovery_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"souk/asset"
	"souk/chain"
	"souk/internal/bulk"
	"souk/recovery"
	"souk/script"
	"souk/threshold"
)

const rate asset.Amount = 2000

// TestMain makes fewer histories under the race detector: each derives all addresses of a bank.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", strconv.Itoa(bulk.Count(100))); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// Whatever was paid wherever, by whichever of its series, all that is open arrives less
// the fees, with any two of three holders; and what is not open is named with its block
//
func TestRecover(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := [][]string{four, {"alice", "bob", "carol", "erin"}, {"bob", "alice", "carol", "dave"}} // the last one has the scripts of the first
		w := newWorld(t, "bitcoin-regtest", all[:rapid.IntRange(1, 3).Draw(t, "series")]...)
		paid := map[script.Outpoint]uint32{} // height
		amounts := map[script.Outpoint]asset.Amount{}
		for range rapid.IntRange(1, 12).Draw(t, "payments") {
			branch := rapid.SampledFrom([]uint32{script.Deposits, script.Change}).Draw(t, "branch")
			index := rapid.Uint32Range(0, 9).Draw(t, "index")
			if branch == script.Change {
				index, _ = script.ChangeIndex(rapid.Uint8Range(0, 1).Draw(t, "wallet"), index%5)
			}
			amount := asset.Amount(rapid.Uint64Range(20_000, 5e8).Draw(t, "amount"))
			at := w.pay(rapid.IntRange(0, len(w.bank.Series)-1).Draw(t, "of"), branch, index, amount)
			paid[at], amounts[at] = w.chain.Tip().Height, amount
		}
		w.chain.Mine(rapid.IntRange(0, 2*lock).Draw(t, "more"))

		found, err := recovery.Find(t.Context(), w.config())
		if err != nil {
			t.Fatal(err)
		}
		if len(found.Coins) != len(paid) {
			t.Fatalf("found %d coins, there are %d", len(found.Coins), len(paid))
		}
		var open asset.Amount
		opens := 0
		for i := range found.Coins {
			c := &found.Coins[i]
			if c.Amount != amounts[c.At] || c.Height != paid[c.At] || c.Opens != c.Height+lock || c.Open != (c.Opens <= w.chain.Tip().Height+1) {
				t.Fatalf("coin %+v; it was paid %d in block %d", c, amounts[c.At], paid[c.At])
			}
			if c.Open {
				open, opens = open+c.Amount, opens+1
			}
		}
		file, left, err := recovery.Plan(found, recovery.Order{To: w.to, Rate: rate})
		if opens == 0 {
			if first := fmt.Sprintf("block %d", firstOf(found)); !errors.Is(err, recovery.ErrLocked) || !strings.Contains(err.Error(), first) {
				t.Fatalf("nothing is open before %s: %v", first, err)
			}
			return
		}
		if err != nil || len(left) != len(paid)-opens {
			t.Fatalf("%d are left: %v", len(left), err)
		}
		file = w.again(file)
		who := rapid.Permutation([]int{0, 1, 2}).Draw(t, "holders")
		w.sign(file, who[0])
		if _, err := file.Combine(0); !errors.Is(err, recovery.ErrUnsigned) {
			t.Fatalf("with one signature: %v", err)
		}
		file = w.again(file)
		w.sign(file, who[1])
		file = w.again(file)
		var fees asset.Amount
		for i := range file.Transactions {
			s, err := file.Sums(i)
			if err != nil || s.Rate > rate+10 || s.Rate < rate {
				t.Fatalf("%+v, %v", s, err)
			}
			fees += s.Fee
		}
		sent, err := recovery.Send(t.Context(), file, w.node)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sent {
			if s.Err != nil {
				t.Fatal(s.Err)
			}
		}
		w.chain.Mine(1)
		if got := w.chain.Balance(w.to); got != open-fees {
			t.Fatalf("%d have arrived of %d, fees %d", got, open, fees)
		}
		watch, err := recovery.NewWatch(file, w.node)
		if err != nil {
			t.Fatal(err)
		}
		fates, err := watch.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fates {
			if f.Height != w.chain.Tip().Height {
				t.Fatalf("%+v", f)
			}
		}
	})
}

func firstOf(f *recovery.Findings) uint32 {
	first := f.Coins[0].Opens
	for i := range f.Coins {
		first = min(first, f.Coins[i].Opens)
	}
	return first
}

// Used addresses near the end of those that are looked for make more be looked for, in
// blocks that were read already too; addresses known to be given out count as used.
func TestGap(t *testing.T) {
	w := newWorld(t, "bitcoin-regtest", four)
	w.pay(0, script.Deposits, 25, 4e8) // before what leads to it
	w.pay(0, script.Deposits, 17, 2e8)
	w.pay(0, script.Deposits, 8, 1e8)
	change, _ := script.ChangeIndex(1, 4)
	w.pay(0, script.Change, change, 3e8)
	change, _ = script.ChangeIndex(1, 9)
	w.pay(0, script.Change, change, 5e8)
	w.pay(0, script.Deposits, 60, 6e8)
	found := mustFind(t, w)
	if sum, n := found.Sum(func(*recovery.Coin) bool { return true }); sum != 15e8 || n != 5 {
		t.Errorf("%d in %d coins", sum, n)
	}
	w.bank.Series[0].Allotted = 51
	found = mustFind(t, w)
	if sum, n := found.Sum(func(*recovery.Coin) bool { return true }); sum != 21e8 || n != 6 {
		t.Errorf("%d in %d coins", sum, n)
	}
}

// What the members have spent is not there any more, and comes back if the block goes.
func TestSpent(t *testing.T) {
	w := newWorld(t, "bitcoin-regtest", four)
	w.pay(0, script.Deposits, 0, 1e8)
	w.pay(0, script.Deposits, 1, 2e8)
	found := mustFind(t, w)
	w.spend(found.Coins[0].Coin)
	found = mustFind(t, w)
	if len(found.Coins) != 1 || found.Coins[0].Amount != 1e8 {
		t.Fatalf("%+v", found.Coins)
	}
	w.chain.Disconnect(1)
	if found = mustFind(t, w); len(found.Coins) != 2 {
		t.Errorf("%+v", found.Coins)
	}
}

// What is signed early is refused by Send, with the block, and by the node; in time it
// is taken.
func TestEarly(t *testing.T) {
	w := newWorld(t, "bitcoin-regtest", four)
	w.pay(0, script.Deposits, 0, 1e8)
	opens := w.chain.Tip().Height + lock
	found := mustFind(t, w)
	if _, left, err := recovery.Plan(found, recovery.Order{To: w.to, Rate: rate}); !errors.Is(err, recovery.ErrLocked) ||
		!strings.Contains(err.Error(), fmt.Sprint(opens)) || len(left) != 1 || left[0].Why != recovery.Locked {
		t.Fatalf("%+v, %v", left, err)
	}
	file, _, err := recovery.Plan(found, recovery.Order{To: w.to, Rate: rate, Early: true})
	if err != nil {
		t.Fatal(err)
	}
	w.sign(file, 0)
	w.sign(file, 2)
	for w.chain.Tip().Height+1 < opens {
		sent, err := recovery.Send(t.Context(), file, w.node)
		if err != nil || !errors.Is(sent[0].Err, recovery.ErrEarly) || !strings.Contains(sent[0].Err.Error(), fmt.Sprint(opens)) {
			t.Fatal(sent, err)
		}
		raw, err := file.Combine(0)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.node.Broadcast(t.Context(), raw); !errors.Is(err, chain.ErrImmature) {
			t.Fatalf("the node: %v", err)
		}
		w.chain.Mine(1)
	}
	if sent, err := recovery.Send(t.Context(), file, w.node); err != nil || sent[0].Err != nil {
		t.Fatal(sent, err)
	}
	// The members are not gone after all.
	watch, err := recovery.NewWatch(file, w.node)
	if err != nil {
		t.Fatal(err)
	}
	if fates, err := watch.Look(t.Context()); err != nil || fates[0].Height != 0 {
		t.Fatal(fates, err)
	}
	w.chain.Evict(file.Transactions[0].Plan.TxID())
	w.spend(file.Transactions[0].Plan.Inputs...)
	if _, err := watch.Look(t.Context()); !errors.Is(err, recovery.ErrTaken) {
		t.Fatal(err)
	}
	if found = mustFind(t, w); len(found.Coins) != 0 {
		t.Fatal(found.Coins)
	}
	if _, _, err := recovery.Plan(found, recovery.Order{To: w.to, Rate: rate}); !errors.Is(err, recovery.ErrEmpty) {
		t.Fatal(err)
	}
}

// Many coins become several transactions, each below the weight that nodes relay; what
// is worth less than its fee, or may be a token, stays.
func TestMany(t *testing.T) {
	w := newWorld(t, "bitcoin-regtest", four)
	coins, least := 750, 2 // transactions
	if !bulk.Whole() {
		coins, least = 40, 1
	}
	for i := range coins {
		out, err := w.bank.Series[0].Output(script.Deposits, uint32(i%10))
		if err != nil {
			t.Fatal(err)
		}
		w.chain.Pay(out, 100_000+asset.Amount(i))
		if i%50 == 0 { // long pools are slow
			w.chain.Mine(1)
		}
	}
	w.pay(0, script.Deposits, 0, 600) // a token, perhaps
	w.pay(0, script.Deposits, 0, 700) // less than the fee
	w.chain.Mine(lock)
	found := mustFind(t, w)
	file, left, err := recovery.Plan(found, recovery.Order{To: w.to, Rate: 5000})
	if err != nil || len(left) != 2 || left[0].Why != recovery.Small || left[1].Why != recovery.Token {
		t.Fatalf("%+v, %v", left, err)
	}
	w.sign(file, 1)
	w.sign(file, 2)
	file = w.again(file)
	sent, err := recovery.Send(t.Context(), file, w.node)
	if err != nil {
		t.Fatal(err)
	}
	var paid asset.Amount
	for i := range sent {
		raw, err := file.Combine(i)
		if err != nil || sent[i].Err != nil || len(raw) > chain.MaxTransaction {
			t.Errorf("%d: %d bytes, %v, %v", i, len(raw), err, sent[i].Err)
		}
		s, err := file.Sums(i)
		if err != nil {
			t.Fatal(err)
		}
		paid += s.Paid
	}
	w.chain.Mine(1)
	if got := w.chain.Balance(w.to); len(sent) < least || got != paid {
		t.Errorf("%d transactions brought %d of %d", len(sent), got, paid)
	}
}

// A lock of time opens by the median of the last eleven blocks' times.
func TestTime(t *testing.T) {
	w := newWorld(t, "litecoin-regtest", four)
	w.bank.Series[0].Recovery.Blocks, w.bank.Series[0].Recovery.Intervals = 0, 2
	w.chain.Mine(20)
	w.pay(0, script.Deposits, 0, 1e8)
	paid := w.chain.Tip()
	open := false
	for range 40 {
		found := mustFind(t, w)
		c := &found.Coins[0]
		// Blocks of a chain in memory are as far apart as those of its network, so that
		// medians are too.
		age := w.chain.Tip().Height - (paid.Height - 1)
		want := age*w.network.BlockSeconds >= 2*script.IntervalSeconds
		if c.Open != want || c.Until == 0 || want != (c.Opens <= found.Tip.Height+1) {
			t.Fatalf("%d blocks later: %+v", age, c)
		}
		open = open || c.Open
		w.chain.Mine(1)
	}
	if !open {
		t.Error("it never opens")
	}
}

// Bad signatures are named with their holder, and good ones of another copy of the file
// take their place.
func TestBadSignatures(t *testing.T) {
	w := newWorld(t, "bitcoin-regtest", four)
	w.pay(0, script.Deposits, 0, 1e8)
	w.pay(0, script.Deposits, 1, 2e8)
	w.chain.Mine(lock)
	plan, _, err := recovery.Plan(mustFind(t, w), recovery.Order{To: w.to, Rate: rate})
	if err != nil {
		t.Fatal(err)
	}
	one, two := w.again(plan), w.again(plan)
	w.sign(one, 0)
	w.sign(two, 2)
	broken := w.again(two)
	broken.Transactions[0].Said[1].Signature[10] ^= 1
	if err := one.Merge(broken); err != nil {
		t.Fatal(err)
	}
	s, err := one.Standing(0)
	if err != nil {
		t.Fatal(err)
	}
	h := s.Holders
	if s.Needed != 2 || s.Missing != 1 || !h[0].Signed || h[0].Bad != nil || h[1].Signed || h[1].Bad != nil || h[2].Signed || !errors.Is(h[2].Bad, threshold.ErrPartial) {
		t.Fatalf("%+v", s)
	}
	if _, err := one.Combine(0); !errors.Is(err, recovery.ErrUnsigned) {
		t.Fatal(err)
	}
	if err := one.Merge(two); err != nil {
		t.Fatal(err)
	}
	if s, err := one.Standing(0); err != nil || s.Missing != 0 || s.Holders[2].Bad != nil {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := one.Combine(0); err != nil {
		t.Fatal(err)
	}
	stranger := keyOf(t, "mallory")
	if _, err := one.Sign(stranger); !errors.Is(err, recovery.ErrStranger) {
		t.Fatal(err)
	}
	if _, err := one.Sign(w.members[0]); !errors.Is(err, recovery.ErrStranger) {
		t.Fatal(err)
	}
	dearer, _, err := recovery.Plan(mustFind(t, w), recovery.Order{To: w.to, Rate: rate + 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Merge(dearer); !errors.Is(err, recovery.ErrOther) {
		t.Fatal(err)
	}
}

// A bank without a recovery, or whose series cannot be told apart, is refused.
func TestBank(t *testing.T) {
	for name, spoil := range map[string]func(w *world){
		"no recovery": func(w *world) { w.bank.Series[1].Recovery = nil },
		"twice":       func(w *world) { w.bank.Series[1].Number = 0 },
		"no keys":     func(w *world) { w.bank.Series[1].Series = nil },
		"no series":   func(w *world) { w.bank.Series = nil },
		"far":         func(w *world) { w.bank.Series[1].Number = 1 << 31 },
	} {
		w := newWorld(t, "bitcoin-regtest", four, []string{"erin"})
		spoil(w)
		if _, err := recovery.Find(t.Context(), w.config()); !errors.Is(err, recovery.ErrBank) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Texts beside the plan's bytes are not read, and a plan that nobody should sign is
// refused.
func TestFile(t *testing.T) {
	w := newWorld(t, "bitcoin-regtest", four)
	w.pay(0, script.Deposits, 0, 1e8)
	w.pay(0, script.Deposits, 1, 2e8)
	w.chain.Mine(lock)
	file, _, err := recovery.Plan(mustFind(t, w), recovery.Order{To: w.to, Rate: rate})
	if err != nil {
		t.Fatal(err)
	}
	data, err := file.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s, err := file.Sums(0)
	if err != nil || s.Paid+s.Fee != 3e8 || s.In != 3e8 || s.Coins != 2 || !strings.Contains(string(data), s.Address) {
		t.Fatalf("%+v, %v", s, err)
	}
	lie := strings.ReplaceAll(string(data), s.Address, "bcrt1qmallory")
	if g, err := recovery.Parse([]byte(lie)); err != nil {
		t.Error(err)
	} else if told, err := g.Sums(0); err != nil || told != s {
		t.Errorf("%+v, %v", told, err)
	}
	for name, spoil := range map[string]func(p *recovery.File){
		"two outputs": func(f *recovery.File) {
			p := f.Transactions[0].Plan
			p.Outputs = append(p.Outputs, p.Outputs[0])
			p.Outputs[0].Amount /= 3
			p.Outputs[1].Amount /= 3
		},
		"spent twice":    func(f *recovery.File) { f.Transactions = append(f.Transactions, f.Transactions[0]) },
		"fee":            func(f *recovery.File) { f.Transactions[0].Plan.Outputs[0].Amount = 1000 },
		"no lock":        func(f *recovery.File) { f.Transactions[0].Plan.Sequence = script.SequenceReplace },
		"unknown series": func(f *recovery.File) { f.Transactions[0].Plan.Inputs[0].Series = 9 },
		"no transaction": func(f *recovery.File) { f.Transactions = nil },
	} {
		g := w.again(file)
		spoil(g)
		data, err := g.Encode()
		if err == nil {
			_, err = recovery.Parse(data)
		}
		if err == nil || name != "unknown series" && !errors.Is(err, recovery.ErrFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "{}", "[]", string(data[:len(data)/2]), string(data) + "{}", strings.Replace(string(data), "plan 1", "plan 2", 1)} {
		if _, err := recovery.Parse([]byte(text)); !errors.Is(err, recovery.ErrFile) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	w := newWorld(f, "bitcoin-regtest", four)
	w.pay(0, script.Deposits, 0, 1e8)
	w.chain.Mine(lock)
	found, err := recovery.Find(f.Context(), w.config())
	if err != nil {
		f.Fatal(err)
	}
	file, _, err := recovery.Plan(found, recovery.Order{To: w.to, Rate: rate})
	if err != nil {
		f.Fatal(err)
	}
	data, err := file.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := recovery.Parse(data)
		if err != nil {
			return
		}
		if _, err := file.Encode(); err != nil {
			t.Error(err)
		}
		for i := range file.Transactions {
			if _, err := file.Standing(i); err != nil {
				t.Error(err)
			}
		}
	})
}
