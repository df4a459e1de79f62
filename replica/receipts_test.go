package replica_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/merkle"
	"souk/replica"
)

// TestManyReceipts finds each of some thousand receipts of blocks that were written
// together, so that the run has several pages, before and after a restart (S-14).
func TestManyReceipts(t *testing.T) {
	c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 6}})
	c.fund("alice", "bob", "carol", "dave")
	n := c.nodes[0]
	first := map[exchange.CommandID]exchange.Receipt{}
	for range 12 {
		var commands []exchange.Command
		for i := range 800 {
			commands = append(commands, c.pay([]string{"alice", "bob", "carol", "dave"}[i%4], "alice"))
		}
		keep(first, c.commands(0, replica.MaxBatch, commands))
	}
	if len(first) != 12*800 {
		t.Fatalf("%d receipts", len(first))
	}
	n.check(first)
	n.restart()
	n.check(first)
	for range 1000 {
		if a, err := n.Fate(exchange.CommandID{byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32())}); err != nil || a.Fate != replica.FateUnknown {
			t.Fatalf("%+v, %v", a, err)
		}
	}
}

// TestFirstReceiptStays: what later blocks say of a command does not hide how it
// was executed, and of refusals the newest counts (S-14, S-42).
func TestFirstReceiptStays(t *testing.T) {
	for _, blocks := range []int{1, 100} { // in the store, and in memory
		c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: blocks}})
		c.fund("alice", "bob")
		n := c.nodes[0]
		good := c.pay("alice", "bob")
		stranger := c.pay("stranger", "bob")
		c.commands(0, 1, []exchange.Command{good})
		want := c.result.Receipts[0]
		for range 3 {
			c.commands(0, 2, []exchange.Command{good, stranger})
			if code := c.result.Receipts[0].Code; code != exchange.NonceUsed {
				t.Fatal(code)
			}
		}
		refused := c.result.Receipts[1]
		c.commands(0, 1, []exchange.Command{c.pay("bob", "alice")})
		c.commands(0, 1, []exchange.Command{c.pay("bob", "alice")})
		n.check(map[exchange.CommandID]exchange.Receipt{good.ID: want, stranger.ID: refused})
		c.commands(0, 1, []exchange.Command{c.world.Command("issuer", &exchange.Mint{Asset: exchangetest.EUR, Amount: 1e12, To: exchangetest.Address("stranger")})})
		c.commands(0, 1, []exchange.Command{stranger}) // now it has an account
		n.check(map[exchange.CommandID]exchange.Receipt{stranger.ID: c.result.Receipts[0]})
	}
}

// TestFilter: a filter has all that was put in, and little else.
func TestFilter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{1, 2, 100, 30_000} {
		var prefixes []uint64
		for range n {
			prefixes = append(prefixes, rng.Uint64())
		}
		has := replica.FilterOf(prefixes)
		for _, p := range prefixes {
			if !has(p) {
				t.Fatalf("of %d: %x is missing", n, p)
			}
		}
		wrong := 0
		for range 20_000 {
			if has(rng.Uint64()) {
				wrong++
			}
		}
		if wrong > 200 {
			t.Errorf("of %d: %d of 20,000 others are said to be there", n, wrong)
		}
	}
}

// TestMergeChanges compares merging with a map.
func TestMergeChanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		want := map[merkle.Key][]byte{}
		var runs [][]merkle.Change
		for range rng.IntN(9) {
			one := map[merkle.Key][]byte{}
			for range rng.IntN(20) {
				var value []byte
				if rng.IntN(4) > 0 {
					value = []byte{byte(rng.Uint32())}
				}
				one[merkle.Key{byte(rng.IntN(30))}] = value
			}
			var run []merkle.Change
			for k, v := range one {
				run = append(run, merkle.Change{Key: k, Value: v})
				want[k] = v
			}
			slices.SortFunc(run, func(a, b merkle.Change) int { return a.Key.Compare(b.Key) })
			runs = append(runs, run)
		}
		got := replica.MergeChanges(runs)
		if !slices.IsSortedFunc(got, func(a, b merkle.Change) int { return bytes.Compare(a.Key[:], b.Key[:]) }) {
			t.Fatal("out of order")
		}
		merged := map[merkle.Key][]byte{}
		for _, c := range got {
			merged[c.Key] = c.Value
		}
		if len(merged) != len(got) || !cmp.Equal(want, merged) {
			t.Fatalf("%s", cmp.Diff(want, merged))
		}
	}
}

func FuzzParseStored(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 57))
	f.Add(append([]byte{1}, make([]byte, 56)...))
	f.Add(append([]byte{3}, make([]byte, 16)...))
	f.Add(make([]byte, 120))
	f.Fuzz(func(t *testing.T, data []byte) {
		if replica.ParseStored(data) {
			t.Error("a value has two encodings")
		}
	})
}
