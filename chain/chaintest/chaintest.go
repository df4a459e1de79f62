// Package chaintest is the suite that every adapter of the chain port passes. It
// owns the tests of what the port promises about blocks, payments, spends and
// broadcasts, through reorganisations and restarts; a Miner makes the chain do
// what a test needs. What is particular to a network (peg-outs, names, merged
// mining) is left to the adapters' own tests. Floor 2.
package chaintest

import (
	"bytes"
	"context"
	"errors"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"souk/asset"
	"souk/chain"
	"souk/script"
)

// Miner makes a chain of a test move. Its methods fail the test if they cannot.
type Miner interface {
	// Script returns a new script that Spend can sign for.
	Script() []byte
	// Reward returns the script that block rewards go to.
	Reward() []byte
	// Pay makes a payment out of the miner's own coins wait for a block.
	Pay(t testing.TB, out []byte, amount asset.Amount) script.Outpoint
	// Spend signs a transaction that spends coins at scripts of Script, and that
	// allows to be replaced. What the outputs leave is its fee.
	Spend(t testing.TB, coins []chain.Payment, outputs ...script.Output) []byte
	// Mine makes n blocks, the first with all that waits.
	Mine(t testing.TB, n int)
	// Reorganise puts n blocks in the place of the last depth ones. The transactions
	// of instead, which pay more than what they conflict with, are in them; what
	// else the old blocks held is in them too or waits.
	Reorganise(t testing.TB, depth, n int, instead ...[]byte)
	// Tip is the end of the chain.
	Tip(t testing.TB) chain.Point
	// Waiting tells whether a transaction waits for a block.
	Waiting(t testing.TB, id script.Hash) bool
}

// Rig is a backend under test and who moves its chain. The chain has rewards that
// the miner can spend.
type Rig struct {
	Miner   Miner
	Backend chain.Backend
	// Reopen opens the backend again after it was closed, as after a restart.
	Reopen func(t *testing.T) chain.Backend
	// Light is set if the backend does not see what waits for a block.
	Light bool
	// Pending is set if the backend sees what spends a coin before a block does.
	Pending bool
	// Free is set if the node relays a small transaction without a fee.
	Free bool
	// Unsure says that the backend may be without an estimate of the fee rate: always, or
	// on a chain that has hardly any transactions.
	Unsure bool
	// Steps is how long the random history is; 0 stands for 40.
	Steps int
}

// fee is what the suite's transactions pay unless they try something.
const fee = 20_000

// patience is how long the suite waits for a backend to see what has happened.
const patience = 60 * time.Second

// Run checks that a backend keeps the promises of the port. All tests use one
// chain, one after the other, each with scripts of its own.
func Run(t *testing.T, open func(*testing.T) *Rig) {
	rig := open(t)
	s := &suite{Rig: rig}
	for _, c := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"Network", testNetwork},
		{"Follow", testFollow},
		{"Forked", testForked},
		{"Payments", testPayments},
		{"Reward", testReward},
		{"SpendInSameBlock", testSpendInSameBlock},
		{"Coin", testCoin},
		{"Reorganise", testReorganise},
		{"DoubleSpend", testDoubleSpend},
		{"LateScript", testLateScript},
		{"Broadcast", testBroadcast},
		{"BroadcastRefused", testBroadcastRefused},
		{"Replace", testReplace},
		{"FeeRate", testFeeRate},
		{"History", testHistory},
		{"Cancel", testCancel},
		{"Close", testClose},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.run(t, s) }) && t.Context().Err() != nil {
			return
		}
	}
}

type suite struct{ *Rig }

// sync waits until the backend has seen the miner's last block.
func (s *suite) sync(t *testing.T) chain.Block {
	t.Helper()
	want := s.Miner.Tip(t)
	var tip chain.Block
	s.await(t, "the tip", func() bool {
		var err error
		if tip, err = s.Backend.Tip(t.Context()); err != nil && !errors.Is(err, chain.ErrUnavailable) {
			t.Fatal(err)
		}
		return err == nil && tip.Point == want
	})
	return tip
}

func (s *suite) await(t *testing.T, what string, seen func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !seen(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

func (s *suite) mine(t *testing.T, n int) chain.Block {
	t.Helper()
	s.Miner.Mine(t, n)
	return s.sync(t)
}

func (s *suite) scan(t *testing.T, at chain.Point, f *chain.Filter) chain.Found {
	t.Helper()
	found, err := s.Backend.Scan(t.Context(), at, f)
	if err != nil {
		t.Fatalf("%v: %v", at, err)
	}
	return found
}

func (s *suite) coin(t *testing.T, p chain.Payment, height uint32) chain.Fate {
	t.Helper()
	fate, err := s.Backend.Coin(t.Context(), chain.Coin{At: p.At, Script: p.Script, Height: height})
	if err != nil {
		t.Fatal(err)
	}
	return fate
}

func (s *suite) broadcast(t *testing.T, raw []byte) {
	t.Helper()
	if err := s.Backend.Broadcast(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	s.await(t, "the transaction to wait", func() bool { return s.Miner.Waiting(t, id(t, raw)) })
}

// pay makes a payment to a new script wait.
func (s *suite) pay(t *testing.T, amount asset.Amount) chain.Payment {
	t.Helper()
	out := s.Miner.Script()
	return chain.Payment{At: s.Miner.Pay(t, out, amount), Script: out, Amount: amount}
}

// here is a locator that stands at the tip, and began one block before.
func (s *suite) here(t *testing.T) chain.Locator {
	t.Helper()
	tip := s.sync(t)
	return chain.Locator{{Height: tip.Height - 1, Hash: tip.Parent}, tip.Point}
}

func testNetwork(t *testing.T, s *suite) {
	n, ok := script.ByName(s.Backend.Network().Name)
	if !ok || n != s.Backend.Network() {
		t.Fatal("network is not a line of the table")
	}
	tip := s.mine(t, 1)
	if tip.Height < 2 || tip.Hash.IsZero() || tip.Parent.IsZero() || tip.Time == 0 {
		t.Errorf("tip is %+v", tip)
	}
}

// T-10, T-12: steps are whole, linked and bounded.
func testFollow(t *testing.T, s *suite) {
	tip := s.mine(t, 3)
	ctx := t.Context()
	step, err := s.Backend.Follow(ctx, nil, 7)
	if err != nil {
		t.Fatal(err)
	}
	genesis := chain.Point{Hash: s.Backend.Network().Genesis}
	if step.Fork != genesis || len(step.Blocks) != 7 || step.Tip != tip.Point {
		t.Fatalf("first step is %+v", step)
	}
	at, parent := chain.Locator(nil), genesis
	for {
		step, err := s.Backend.Follow(ctx, at, 50)
		if err != nil {
			t.Fatal(err)
		}
		if step.Fork != parent {
			t.Fatalf("step forks at %v, not at %v", step.Fork, parent)
		}
		for _, b := range step.Blocks {
			if b.Height != parent.Height+1 || b.Parent != parent.Hash {
				t.Fatalf("block %v after %v has parent %v", b.Point, parent, b.Parent)
			}
			parent = b.Point
		}
		at = at.Apply(step)
		if last, _ := at.Last(); last != parent {
			t.Fatalf("locator ends in %v", last)
		}
		if len(step.Blocks) == 0 {
			break
		}
	}
	if parent != tip.Point {
		t.Errorf("followed to %v, the tip is %v", parent, tip.Point)
	}
}

// T-11: who stands on another chain is told so.
func testForked(t *testing.T, s *suite) {
	s.sync(t)
	stranger := chain.Locator{{Height: 1, Hash: script.Hash{1}}, {Height: 1 << 30, Hash: script.Hash{2}}}
	if _, err := s.Backend.Follow(t.Context(), stranger, 1); !errors.Is(err, chain.ErrForked) {
		t.Errorf("locator of another chain: %v", err)
	}
	for _, p := range stranger {
		if _, err := s.Backend.Scan(t.Context(), p, chain.NewFilter()); !errors.Is(err, chain.ErrUnknownBlock) {
			t.Errorf("scan of %v: %v", p, err)
		}
	}
}

// T-21, T-23: payments are found by exact script, to the unit.
func testPayments(t *testing.T, s *suite) {
	var want []chain.Payment
	filter := chain.NewFilter(s.Miner.Script())
	for _, amount := range []asset.Amount{123_456_789, 100_000_000, 100_000, 2_0000_0001, 29_999_999} {
		p := s.pay(t, amount)
		filter.Watch(p.Script)
		want = append(want, p)
	}
	twice := want[0]
	twice.At, twice.Amount = s.Miner.Pay(t, twice.Script, 77_777), 77_777
	want = append(want, twice)
	s.pay(t, 555_555) // nobody looks for it
	at := s.mine(t, 1)
	if diff := cmp.Diff(sorted(want), sorted(s.scan(t, at.Point, filter).Payments)); diff != "" {
		t.Errorf("payments (-want +got):\n%s", diff)
	}
	if found := s.scan(t, s.mine(t, 1).Point, filter); len(found.Payments)+len(found.Spends) > 0 {
		t.Errorf("next block holds %+v", found)
	}
	if found := s.scan(t, at.Point, chain.NewFilter()); len(found.Payments)+len(found.Spends) > 0 {
		t.Errorf("empty filter finds %+v", found)
	}
}

func testReward(t *testing.T, s *suite) {
	at := s.mine(t, 1)
	found := s.scan(t, at.Point, chain.NewFilter(s.Miner.Reward()))
	if len(found.Payments) != 1 || !found.Payments[0].Coinbase || found.Payments[0].PegOut {
		t.Errorf("block reward is found as %+v", found)
	}
}

// T-22: a payment that its own block spends is found as both.
func testSpendInSameBlock(t *testing.T, s *suite) {
	p := s.pay(t, 5_000_000)
	to := s.Miner.Script()
	raw := s.Miner.Spend(t, []chain.Payment{p}, script.Output{Script: to, Amount: p.Amount - fee})
	s.broadcast(t, raw)
	at := s.mine(t, 1)
	found := s.scan(t, at.Point, chain.NewFilter(p.Script))
	want := chain.Found{Payments: []chain.Payment{p}, Spends: []chain.Spend{{At: p.At, By: id(t, raw)}}}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if fate := s.coin(t, p, at.Height); fate != (chain.Fate{State: chain.Spent, By: id(t, raw), In: at.Point}) {
		t.Errorf("coin is %+v", fate)
	}
}

// T-30: all that can become of a coin.
func testCoin(t *testing.T, s *suite) {
	p := s.pay(t, 3_000_000)
	start := s.sync(t).Height + 1
	if fate := s.coin(t, p, start); fate.State != chain.Missing {
		t.Errorf("before its block the coin is %+v", fate)
	}
	s.mine(t, 3)
	if fate := s.coin(t, p, start); fate != (chain.Fate{State: chain.Unspent}) {
		t.Errorf("in a block the coin is %+v", fate)
	}
	other := p
	other.At.Index += 1000
	if fate := s.coin(t, other, start); fate.State != chain.Missing {
		t.Errorf("an output that does not exist is %+v", fate)
	}
	raw := s.Miner.Spend(t, []chain.Payment{p}, script.Output{Script: s.Miner.Script(), Amount: p.Amount - fee})
	s.broadcast(t, raw)
	want := chain.Fate{State: chain.Unspent}
	if s.Pending {
		want = chain.Fate{State: chain.Pending, By: id(t, raw)}
	}
	if fate := s.coin(t, p, start); fate != want {
		t.Errorf("while its spending waits the coin is %+v", fate)
	}
	filter := chain.NewFilter()
	filter.Expect(p.At, p.Script)
	at := s.mine(t, 1)
	if found := s.scan(t, at.Point, filter); !slices.Equal(found.Spends, []chain.Spend{{At: p.At, By: id(t, raw)}}) || found.Payments != nil {
		t.Errorf("block that spends the coin holds %+v", found)
	}
	s.mine(t, 2)
	if fate := s.coin(t, p, start); fate != (chain.Fate{State: chain.Spent, By: id(t, raw), In: at.Point}) {
		t.Errorf("spent coin is %+v", fate)
	}
}

// T-13: a reorganisation is an answer like any other, also after a restart.
func testReorganise(t *testing.T, s *suite) {
	for _, depth := range []int{1, 2, 6} {
		here := s.here(t)
		base, _ := here.Last()
		p := s.pay(t, 1_000_000)
		old := s.mine(t, 1)
		s.mine(t, depth-1)
		filter := chain.NewFilter(p.Script)
		before := NewBook()
		here, err := chain.Walk(t.Context(), s.Backend, here, filter, before)
		if err != nil {
			t.Fatal(err)
		}
		stored := here.Append(nil)
		if before.Balance() != p.Amount {
			t.Fatalf("depth %d: balance is %d before", depth, before.Balance())
		}
		s.Miner.Reorganise(t, depth, depth+1)
		tip := s.sync(t)
		if depth == 2 { // in the middle of it all
			if err := s.Backend.Close(); err != nil {
				t.Fatal(err)
			}
			s.Backend = s.Reopen(t)
			s.sync(t)
		}
		if here, err = chain.ParseLocator(stored); err != nil {
			t.Fatal(err)
		}
		step, err := s.Backend.Follow(t.Context(), here, chain.MaxStep)
		if err != nil {
			t.Fatal(err)
		}
		if step.Fork != base || len(step.Blocks) != depth+1 || step.Tip != tip.Point {
			t.Errorf("depth %d: step is %+v, fork should be %v", depth, step, base)
		}
		if _, err := s.Backend.Scan(t.Context(), old.Point, filter); !errors.Is(err, chain.ErrUnknownBlock) {
			t.Errorf("depth %d: scan of a stale block: %v", depth, err)
		}
		if !s.Light {
			s.mine(t, 1) // what the old blocks held is in a block by now
		}
		if _, err := chain.Walk(t.Context(), s.Backend, here, filter, before); err != nil {
			t.Fatal(err)
		}
		if before.Balance() != p.Amount || before.rewinds != 1 {
			t.Errorf("depth %d: balance is %d after %d rewinds", depth, before.Balance(), before.rewinds)
		}
	}
}

// T-14: the other of two conflicting transactions may end in the chain.
func testDoubleSpend(t *testing.T, s *suite) {
	p := s.pay(t, 9_000_000)
	start := s.mine(t, 1).Height
	here := s.here(t)
	first, second := s.Miner.Script(), s.Miner.Script()
	one := s.Miner.Spend(t, []chain.Payment{p}, script.Output{Script: first, Amount: p.Amount - fee})
	two := s.Miner.Spend(t, []chain.Payment{p}, script.Output{Script: second, Amount: p.Amount - 20*fee})
	s.broadcast(t, one)
	at := s.mine(t, 1)
	if fate := s.coin(t, p, start); fate != (chain.Fate{State: chain.Spent, By: id(t, one), In: at.Point}) {
		t.Fatalf("coin is %+v", fate)
	}
	filter := chain.NewFilter(first, second)
	filter.Expect(p.At, p.Script)
	b := NewBook()
	here, err := chain.Walk(t.Context(), s.Backend, here, filter, b)
	if err != nil {
		t.Fatal(err)
	}
	if b.Balance() != p.Amount-fee {
		t.Errorf("balance is %d before", b.Balance())
	}
	s.mine(t, 1)
	s.Miner.Reorganise(t, 2, 3, two)
	s.sync(t)
	if _, err := chain.Walk(t.Context(), s.Backend, here, filter, b); err != nil {
		t.Fatal(err)
	}
	if b.Balance() != p.Amount-20*fee || b.rewinds != 1 {
		t.Errorf("balance is %d after %d rewinds", b.Balance(), b.rewinds)
	}
	if fate := s.coin(t, p, start); fate.State != chain.Spent || fate.By != id(t, two) {
		t.Errorf("coin is %+v, spent by %v", fate, id(t, two))
	}
	gone := chain.Payment{At: script.Outpoint{Tx: id(t, one)}, Script: first}
	if fate := s.coin(t, gone, start); fate.State != chain.Missing {
		t.Errorf("output of the transaction that lost is %+v", fate)
	}
	if err := s.Backend.Broadcast(t.Context(), one); !s.Light && !errors.Is(err, chain.ErrMissingInputs) {
		t.Errorf("broadcast of the transaction that lost: %v", err)
	}
}

// T-24: a script may become known after its payment.
func testLateScript(t *testing.T, s *suite) {
	here := s.here(t)
	late := s.pay(t, 4_000_000)
	start := s.mine(t, 1).Height
	raw := s.Miner.Spend(t, []chain.Payment{late}, script.Output{Script: late.Script, Amount: late.Amount - fee})
	s.mine(t, 2)
	s.broadcast(t, raw)
	s.mine(t, 70)
	filter := chain.NewFilter(s.Miner.Script())
	b := NewBook()
	here, err := chain.Walk(t.Context(), s.Backend, here, filter, b)
	if err != nil {
		t.Fatal(err)
	}
	if b.Balance() != 0 {
		t.Fatalf("balance is %d", b.Balance())
	}
	filter.Watch(late.Script)
	b = NewBook()
	if _, err := chain.Walk(t.Context(), s.Backend, here.Below(start), filter, b); err != nil {
		t.Fatal(err)
	}
	if b.Balance() != late.Amount-fee || b.rewinds != 0 {
		t.Errorf("balance is %d after %d rewinds", b.Balance(), b.rewinds)
	}
}

// T-50: broadcasting is idempotent.
func testBroadcast(t *testing.T, s *suite) {
	p := s.pay(t, 2_000_000)
	s.mine(t, 1)
	raw := s.Miner.Spend(t, []chain.Payment{p}, script.Output{Script: s.Miner.Script(), Amount: p.Amount - fee})
	for range 3 {
		s.broadcast(t, raw)
	}
	s.mine(t, 1)
	if s.Miner.Waiting(t, id(t, raw)) {
		t.Error("transaction waits although a block has it")
	}
	for range 2 {
		if err := s.Backend.Broadcast(t.Context(), raw); err != nil {
			t.Errorf("broadcast of what is in a block: %v", err)
		}
		s.mine(t, 1)
	}
}

// T-51: refusals have stable sentinels.
func testBroadcastRefused(t *testing.T, s *suite) {
	p := s.pay(t, 2_000_000)
	s.mine(t, 1)
	to := s.Miner.Script()
	send := func(p chain.Payment, cost asset.Amount) []byte {
		return s.Miner.Spend(t, []chain.Payment{p}, script.Output{Script: to, Amount: p.Amount - cost})
	}
	good := send(p, fee)
	missing := p
	missing.At.Tx[5] ^= 1
	torn := slices.Clone(good)
	torn[len(torn)-50] ^= 1 // in the signature or the key
	cases := []struct {
		name string
		raw  []byte
		want error
		node bool // only a node can tell
	}{
		{"nothing", nil, chain.ErrRefused, false},
		{"text", []byte("no transaction"), chain.ErrRefused, false},
		{"cut short", good[:len(good)-3], chain.ErrRefused, false},
		{"trailing bytes", append(slices.Clone(good), 0), chain.ErrRefused, false},
		{"too long", bytes.Repeat([]byte{1}, chain.MaxTransaction+1), chain.ErrRefused, false},
		{"bad signature", torn, chain.ErrRefused, true},
		{"missing input", send(missing, fee), chain.ErrMissingInputs, true},
		{"no fee", send(p, 0), chain.ErrFeeTooLow, true},
	}
	for _, c := range cases {
		if c.node && s.Light || c.want == chain.ErrFeeTooLow && s.Free { //nolint:errorlint // which case it is
			continue
		}
		err := s.Backend.Broadcast(t.Context(), c.raw)
		if !errors.Is(err, c.want) || !errors.Is(err, chain.ErrRefused) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	s.broadcast(t, good)
	if err := s.Backend.Broadcast(t.Context(), send(p, fee+1)); !s.Light && !errors.Is(err, chain.ErrConflict) {
		t.Errorf("conflict that hardly pays more: %v", err)
	}
	s.mine(t, 1)
}

// T-52: a version that pays more takes the place of one that waits, where the
// network has that.
func testReplace(t *testing.T, s *suite) {
	p := s.pay(t, 2_000_000)
	s.mine(t, 1)
	to := s.Miner.Script()
	one := s.Miner.Spend(t, []chain.Payment{p}, script.Output{Script: to, Amount: p.Amount - fee})
	two := s.Miner.Spend(t, []chain.Payment{p}, script.Output{Script: to, Amount: p.Amount - 5*fee})
	s.broadcast(t, one)
	err := s.Backend.Broadcast(t.Context(), two)
	want := two
	if !s.Backend.Network().Replace {
		want = one
		if !errors.Is(err, chain.ErrConflict) {
			t.Errorf("replacement on a network that has none: %v", err)
		}
	} else {
		if err != nil {
			t.Fatal(err)
		}
		s.await(t, "the second version", func() bool { return s.Miner.Waiting(t, id(t, two)) })
		if err := s.Backend.Broadcast(t.Context(), one); !s.Light && !errors.Is(err, chain.ErrConflict) {
			t.Errorf("broadcast of the version that was replaced: %v", err)
		}
	}
	at := s.mine(t, 1)
	if fate := s.coin(t, p, at.Height-1); fate.By != id(t, want) {
		t.Errorf("coin is %+v, want it spent by %v", fate, id(t, want))
	}
}

// T-40: a rate is between the relay minimum and the ceiling, or, where that may be, there is none.
func testFeeRate(t *testing.T, s *suite) {
	for _, within := range []uint32{1, 6, 144} {
		rate, err := s.Backend.FeeRate(t.Context(), within)
		if s.Unsure && errors.Is(err, chain.ErrNoEstimate) {
			continue
		}
		if err != nil || (rate < s.Backend.Network().MinRelay || rate > chain.MaxRate) {
			t.Errorf("rate within %d blocks is %d, %v", within, rate, err)
		}
	}
}

// T-15: whoever has followed a chain through anything knows what somebody knows
// who reads it for the first time.
func testHistory(t *testing.T, s *suite) {
	random := rand.New(rand.NewSource(7)) //nolint:gosec // the same history every time
	start := s.here(t)
	first, _ := start.Last()
	here, book := start, NewBook()
	filter := chain.NewFilter()
	scripts := make([][]byte, 4)
	for i := range scripts {
		scripts[i] = s.Miner.Script()
		filter.Watch(scripts[i])
	}
	spent := map[script.Outpoint]bool{}
	steps := s.Steps
	if steps == 0 {
		steps = 40
	}
	for range steps {
		height := s.sync(t).Height
		switch random.Intn(5) {
		case 0, 1:
			s.Miner.Pay(t, scripts[random.Intn(len(scripts))], asset.Amount(100_000+random.Intn(1_000_000)))
		case 2:
			s.mine(t, 1+random.Intn(3))
		case 3:
			if room := int(height - first.Height); room > 0 {
				depth := 1 + random.Intn(min(room, 5))
				s.Miner.Reorganise(t, depth, depth+1)
				s.sync(t)
			}
		case 4:
			var err error
			if here, err = chain.Walk(t.Context(), s.Backend, here, filter, book); err != nil {
				t.Fatal(err)
			}
			if p, ok := book.any(random); ok && !spent[p.At] && s.coin(t, p, first.Height).State == chain.Unspent {
				spent[p.At] = true
				s.broadcast(t, s.Miner.Spend(t, []chain.Payment{p}, script.Output{Script: scripts[0], Amount: p.Amount - fee}))
			}
		}
	}
	s.mine(t, 2)
	if _, err := chain.Walk(t.Context(), s.Backend, here, filter, book); err != nil {
		t.Fatal(err)
	}
	fresh := NewBook()
	if _, err := chain.Walk(t.Context(), s.Backend, start[1:], chain.NewFilter(scripts...), fresh); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fresh.Coins(), book.Coins()); diff != "" {
		t.Errorf("coins of who followed (-fresh +followed):\n%s", diff)
	}
	t.Logf("%d coins, %d rewinds", len(fresh.Coins()), book.rewinds)
}

func testCancel(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Backend.Tip(ctx); !errors.Is(err, chain.ErrUnavailable) && !errors.Is(err, context.Canceled) {
		t.Errorf("tip for somebody who has gone: %v", err)
	}
}

// testClose comes last.
func testClose(t *testing.T, s *suite) {
	if err := s.Backend.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backend.Tip(t.Context()); !errors.Is(err, chain.ErrClosed) {
		t.Errorf("tip of a closed backend: %v", err)
	}
	if _, err := s.Backend.Follow(t.Context(), nil, 1); !errors.Is(err, chain.ErrClosed) {
		t.Errorf("follow of a closed backend: %v", err)
	}
	if err := s.Backend.Broadcast(t.Context(), []byte{1}); !errors.Is(err, chain.ErrClosed) {
		t.Errorf("broadcast of a closed backend: %v", err)
	}
}
