package exchange_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/asset"
	"souk/exchange"
	. "souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/internal/bulk"
	"souk/merkle"
)

func limit(side market.Side, price asset.Price, quantity asset.Amount, client string) *exchange.Place {
	return &exchange.Place{
		Market: BTCEUR, Side: side, Order: market.LimitOrder, TIF: market.GTC, Price: price, Quantity: quantity, Client: client,
	}
}

// TestTrade follows the money of one trade (L-1, M-30, K-2, K-10).
func TestTrade(t *testing.T) {
	w := New(1)
	w.Fund(EUR, 100_000*Coin, "alice")
	w.Fund(BTC, 2*Coin, "bob")
	r := w.Block(w.Command("bob", limit(market.Sell, 50_000e8, Coin, "s")))
	if got := r.Receipts[0]; got.Code != exchange.OK || got.Status != market.Resting || got.Number == 0 {
		t.Fatalf("sell: %+v", got)
	}
	r = w.Block(w.Command("alice", limit(market.Buy, 50_001e8, Coin, "b")))
	got := r.Receipts[0]
	if got.Code != exchange.OK || got.Filled != Coin || got.Cost != 50_000*Coin || got.Fee != Coin*2/1000 || got.Status != market.Gone {
		t.Fatalf("buy: %+v", got)
	}
	if a := w.Available("alice", EUR); a != 50_000*Coin {
		t.Errorf("alice has %d EUR left", a)
	}
	if a := w.Available("alice", BTC); a != Coin-Coin*2/1000 {
		t.Errorf("alice got %d BTC", a)
	}
	if a := w.Available("bob", EUR); a != 50_000*Coin-50*Coin {
		t.Errorf("bob got %d EUR", a)
	}
	if held := w.Held("alice", EUR) + w.Held("bob", BTC); held != 0 {
		t.Errorf("%d still held", held)
	}
	if err := w.State.Check(); err != nil {
		t.Error(err)
	}
	for _, a := range w.State.Audit() {
		if !a.Balanced {
			t.Errorf("not balanced: %+v", a)
		}
	}
}

// TestExampleK2 is the worked example of K-2.
func TestExampleK2(t *testing.T) {
	w := New(1)
	w.Fund(EUR, 100_000*Coin, "alice")
	w.Fund(BTC, Coin, "bob")
	if code := w.Do("alice", limit(market.Buy, 45_000e8, 2*Coin, "x")); code != exchange.OK {
		t.Fatal(code)
	}
	cancel := w.Command("alice", &exchange.Cancel{Target: exchange.Target{Client: "x"}})
	pay := w.Command("alice", &exchange.Transfer{To: Address("bob"), Asset: EUR, Amount: 95_000 * Coin})
	buy := w.Command("bob", limit(market.Buy, 40_000e8, Coin, ""))
	r := w.Block(buy, pay, cancel)
	want := []exchange.Code{exchange.Insufficient, exchange.OK, exchange.OK}
	for i, code := range want {
		if r.Receipts[i].Code != code {
			t.Errorf("command %d: %s, want %s", i, r.Receipts[i].Code, code)
		}
	}
	if got := w.Available("bob", EUR); got != 95_000*Coin {
		t.Errorf("bob has %d", got)
	}
}

// TestOrderDoesNotMatter runs blocks of mixed commands in many orders (K-1).
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(bulk.Count(4)) {
		one := New(4)
		r := NewRandom(one, 12, seed)
		if seed%2 == 1 {
			one = From(BankFounding(4))
			r = NewBankRandom(one, 12, seed)
		}
		one.Block(r.Block(300)...)
		rng := rand.New(rand.NewPCG(seed, 2))
		for range 3 {
			commands := r.Block(200)
			commands = append(commands, commands[3], commands[17]) // repeated: still one command each
			var first *exchange.Result
			receipts := map[exchange.CommandID]exchange.Receipt{}
			for trial := range 50 {
				shuffled := slices.Clone(commands)
				if trial > 0 {
					rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
				}
				s := clone(t, one.State)
				res := s.Apply(block(one, shuffled))
				if first == nil {
					first = res
					for _, rc := range res.Receipts {
						receipts[rc.ID] = rc
					}
					continue
				}
				if res.Root != first.Root {
					t.Fatalf("seed %d, order %d: root differs", seed, trial)
				}
				if d := cmp.Diff(first.Results, res.Results); d != "" {
					t.Fatalf("seed %d, order %d: results differ: %s", seed, trial, d)
				}
				for _, rc := range res.Receipts {
					if rc != receipts[rc.ID] {
						t.Fatalf("seed %d, order %d: %+v, was %+v", seed, trial, rc, receipts[rc.ID])
					}
				}
			}
			one.Block(commands...)
		}
	}
}

func block(w *World, commands []exchange.Command) *exchange.Block {
	return &exchange.Block{
		Height: w.Height + 1, Time: w.Time + 10, Commands: commands, Proposer: Key(MemberName(0) + "/consensus").Public(),
	}
}

// clone loads a state from its leaves.
func clone(t testing.TB, s *exchange.State) *exchange.State {
	t.Helper()
	c, err := exchange.Load(s.Founding(), s.Leaves)
	if err != nil {
		t.Fatal(err)
	}
	if c.Root() != s.Root() {
		t.Fatal("root changed by loading")
	}
	return c
}

// TestRandomHistories: whatever happens, the books balance, a reloaded state
// goes on exactly as the old one, and changes are what differs.
func TestRandomHistories(t *testing.T) {
	codes, events := map[exchange.Code]int{}, map[exchange.EventKind]int{}
	for seed := range uint64(bulk.Count(40)) {
		w := New(4)
		r := NewRandom(w, 8, seed+1000)
		if seed%2 == 1 {
			w = From(BankFounding(4))
			r = NewBankRandom(w, 8, seed+1000)
		}
		leaves := map[merkle.Key]string{}
		for k, v := range w.State.Leaves {
			leaves[k] = string(v)
		}
		for b := range 25 {
			commands := r.Block(1 + b*7%90)
			var twin *exchange.State
			if b%5 == 0 {
				twin = clone(t, w.State)
			}
			in := block(w, commands)
			res := w.Block(commands...)
			for _, rc := range res.Receipts {
				codes[rc.Code]++
			}
			for i := range res.Events {
				events[res.Events[i].Kind]++
			}
			if err := w.State.Check(); err != nil {
				t.Fatalf("seed %d block %d: %v", seed, b, err)
			}
			if twin != nil {
				if got := twin.Apply(in); got.Root != res.Root {
					t.Fatalf("seed %d block %d: a reloaded state goes another way", seed, b)
				}
			}
			follow(t, leaves, res, w.State)
		}
	}
	for _, c := range []exchange.Code{exchange.OK, exchange.Insufficient, exchange.UnknownOrder, exchange.Withdrawn, exchange.DuplicateClient} {
		if codes[c] == 0 {
			t.Errorf("no command ended with %q: the histories are too tame", c)
		}
	}
	t.Log(codes, events)
	for e := exchange.EventNewAddress; e <= exchange.EventSigned && bulk.Whole(); e++ {
		if events[e] == 0 && e != exchange.EventWithdrawalBack { // that takes a theft
			t.Errorf("no event %d: the histories of banks are too tame", e)
		}
	}
}

// follow applies a result's changes to a copy of the leaves and compares.
func follow(t *testing.T, leaves map[merkle.Key]string, res *exchange.Result, s *exchange.State) {
	t.Helper()
	for _, c := range res.Changes {
		if c.Value == nil {
			delete(leaves, c.Key)
		} else {
			leaves[c.Key] = string(c.Value)
		}
	}
	n := 0
	last := merkle.Key{}
	for k, v := range s.Leaves {
		if leaves[k] != string(v) {
			t.Fatalf("leaf %s is not what the changes say", k)
		}
		if n > 0 && last.Compare(k) >= 0 {
			t.Fatalf("leaves are not in order at %s", k)
		}
		last = k
		n++
	}
	if n != len(leaves) {
		t.Fatalf("%d leaves, %d by changes", n, len(leaves))
	}
}

// TestReplay: a command counts once, however often and wherever it comes, and until
// it expires (B-5, B-6, B-7).
func TestReplay(t *testing.T) {
	w := New(1)
	w.Fund(EUR, 100*Coin, "alice")
	pay := w.Command("alice", &exchange.Transfer{To: Address("bob"), Asset: EUR, Amount: Coin})
	if r := w.Block(pay, pay); r.Receipts[0] != r.Receipts[1] || r.Receipts[0].Code != exchange.OK {
		t.Fatalf("twice in a block: %+v", r.Receipts)
	}
	if r := w.Block(pay); r.Receipts[0].Code != exchange.NonceUsed {
		t.Fatalf("again: %s", r.Receipts[0].Code)
	}
	if got := w.Available("bob", EUR); got != Coin {
		t.Errorf("bob has %d", got)
	}
	other := pay
	other.Nonce += 70_000
	if err := other.Sign(w.State.ID(), Key("alice")); err != nil {
		t.Fatal(err)
	}
	if r := w.Block(other); r.Receipts[0].Code != exchange.NonceTooFar {
		t.Errorf("far nonce: %s", r.Receipts[0].Code)
	}
	// B-6: up to its expiry, and not in the block of that time.
	for _, c := range []struct {
		expiry uint64 // from the time of the block
		code   exchange.Code
	}{{0, exchange.Expired}, {1, exchange.OK}, {600_000, exchange.OK}, {600_001, exchange.ExpiryTooFar}} {
		edge := w.Command("alice", &exchange.Transfer{To: Address("bob"), Asset: EUR, Amount: Coin})
		edge.Expiry = w.Time + 10 + c.expiry
		if err := edge.Sign(w.State.ID(), Key("alice")); err != nil {
			t.Fatal(err)
		}
		if code := w.State.Precheck(&edge, w.Time+10); code != c.code {
			t.Errorf("expiry %d after the block, asked before: %s", c.expiry, code)
		}
		if r := w.Block(edge); r.Receipts[0].Code != c.code {
			t.Errorf("expiry %d after the block: %s", c.expiry, r.Receipts[0].Code)
		}
	}
	w.Time += 100_000
	late := w.Command("alice", &exchange.Transfer{To: Address("bob"), Asset: EUR, Amount: Coin})
	late.Expiry = w.Time
	if r := w.Block(late); r.Receipts[0].Code != exchange.Expired {
		t.Errorf("late: %s", r.Receipts[0].Code)
	}
	late.Expiry = w.Time + 700_000
	if r := w.Block(late); r.Receipts[0].Code != exchange.ExpiryTooFar {
		t.Errorf("far expiry: %s", r.Receipts[0].Code)
	}
}

// TestInBlockNaming covers K-4 and K-5.
func TestInBlockNaming(t *testing.T) {
	code := func(r *exchange.Result, i int) exchange.Code { return r.Receipts[i].Code }
	world := func() *World {
		w := New(1)
		w.Fund(EUR, 1_000_000*Coin, "alice")
		return w
	}
	t.Run("cancel", func(t *testing.T) {
		w := world()
		cancel := w.Command("alice", &exchange.Cancel{Target: exchange.Target{Client: "x"}})
		r := w.Block(cancel, w.Command("alice", limit(market.Buy, 100e8, Coin, "x")))
		if code(r, 0) != exchange.OK || code(r, 1) != exchange.Withdrawn || w.State.Markets().Len() != 0 {
			t.Error(code(r, 0), code(r, 1))
		}
	})
	t.Run("amend", func(t *testing.T) {
		w := world()
		amend := w.Command("alice", &exchange.Amend{Target: exchange.Target{Client: "x"}, Price: 90e8, Quantity: 2 * Coin})
		r := w.Block(amend, w.Command("alice", limit(market.Buy, 100e8, Coin, "x")))
		if code(r, 0) != exchange.OK || code(r, 1) != exchange.Withdrawn {
			t.Fatal(code(r, 0), code(r, 1))
		}
		o, _ := w.State.Markets().Order(market.OrderID(r.Receipts[0].Number))
		if o.Price != 90e8 || o.Quantity != 2*Coin || o.Client != "x" {
			t.Errorf("%+v", o)
		}
	})
	t.Run("refused amend leaves the place", func(t *testing.T) {
		w := world()
		amend := w.Command("alice", &exchange.Amend{Target: exchange.Target{Client: "x"}, Price: 7, Quantity: Coin})
		r := w.Block(amend, w.Command("alice", limit(market.Buy, 100e8, Coin, "x")))
		if code(r, 0) != exchange.BadTick || code(r, 1) != exchange.OK {
			t.Error(code(r, 0), code(r, 1))
		}
	})
	t.Run("two amends and a cancel", func(t *testing.T) {
		w := world()
		a1 := w.Command("alice", &exchange.Amend{Target: exchange.Target{Client: "x"}, Price: 90e8, Quantity: Coin})
		a2 := w.Command("alice", &exchange.Amend{Target: exchange.Target{Client: "x"}, Price: 80e8, Quantity: Coin})
		place := w.Command("alice", limit(market.Buy, 100e8, Coin, "x"))
		r := w.Block(place, a1, a2)
		if code(r, 0) != exchange.Withdrawn || code(r, 1) != exchange.Withdrawn || code(r, 2) != exchange.OK {
			t.Error(code(r, 0), code(r, 1), code(r, 2))
		}
		place = w.Command("alice", limit(market.Buy, 100e8, Coin, "y"))
		a1 = w.Command("alice", &exchange.Amend{Target: exchange.Target{Client: "y"}, Price: 90e8, Quantity: Coin})
		c := w.Command("alice", &exchange.Cancel{Target: exchange.Target{Client: "y"}})
		r = w.Block(c, place, a1)
		if code(r, 0) != exchange.OK || code(r, 1) != exchange.Withdrawn || code(r, 2) != exchange.Withdrawn {
			t.Error(code(r, 0), code(r, 1), code(r, 2))
		}
	})
	t.Run("a cancel without power has no say", func(t *testing.T) {
		w := world()
		bot := Key("bot")
		w.Do("alice", &exchange.AddDelegate{Key: bot.Public(), Scopes: ledger.Trade, Markets: []uint32{2}})
		place := w.Command("alice", limit(market.Buy, 100e8, Coin, "x"))
		amend := w.Command("alice", &exchange.Amend{Target: exchange.Target{Client: "x"}, Price: 90e8, Quantity: Coin})
		cancel := w.CommandBy(Address("alice"), bot, &exchange.Cancel{Target: exchange.Target{Client: "x"}})
		r := w.Block(cancel, place, amend)
		if code(r, 0) != exchange.OutOfScope || code(r, 1) != exchange.Withdrawn || code(r, 2) != exchange.OK {
			t.Error(code(r, 0), code(r, 1), code(r, 2))
		}
	})
	t.Run("two cancels", func(t *testing.T) {
		w := world()
		target := exchange.Target{Client: "x"}
		first, second := w.Command("alice", &exchange.Cancel{Target: target}), w.Command("alice", &exchange.Cancel{Target: target})
		place := w.Command("alice", limit(market.Buy, 100e8, Coin, "x"))
		r := w.Block(second, place, first)
		if code(r, 0) != exchange.OK || code(r, 1) != exchange.Withdrawn || code(r, 2) != exchange.OK {
			t.Error(code(r, 0), code(r, 1), code(r, 2))
		}
		// Of an order that rests, one cancel finds it and the other does not.
		w.Do("alice", limit(market.Buy, 100e8, Coin, "y"))
		target.Client = "y"
		first, second = w.Command("alice", &exchange.Cancel{Target: target}), w.Command("alice", &exchange.Cancel{Target: target})
		r = w.Block(second, first)
		if code(r, 0) != exchange.UnknownOrder || code(r, 1) != exchange.OK {
			t.Error(code(r, 0), code(r, 1))
		}
	})
	t.Run("cancel-all", func(t *testing.T) {
		w := world()
		before := w.Command("alice", limit(market.Buy, 100e8, Coin, ""))
		all := w.Command("alice", &exchange.CancelAll{})
		after := w.Command("alice", limit(market.Buy, 100e8, Coin, ""))
		r := w.Block(after, all, before)
		if code(r, 0) != exchange.OK || code(r, 1) != exchange.OK || code(r, 2) != exchange.Withdrawn {
			t.Error(code(r, 0), code(r, 1), code(r, 2))
		}
	})
}

// TestNamingWork: a block full of cancels that name its own places takes time in
// proportion to its commands (K-4).
func TestNamingWork(t *testing.T) {
	w := New(1)
	names := make([]string, 4)
	for i := range names {
		names[i] = fmt.Sprintf("n%d", i)
	}
	w.Fund(EUR, 1_000_000*Coin, names...)
	var commands []exchange.Command
	for _, name := range names {
		for i := range 500 {
			client := fmt.Sprintf("x%d", i%250)
			commands = append(commands, w.Command(name, &exchange.Cancel{Target: exchange.Target{Client: client}}),
				w.Command(name, limit(market.Buy, 100e8, Coin, client)))
		}
	}
	r := w.Block(commands...)
	codes := map[exchange.Code]int{}
	for _, rc := range r.Receipts {
		codes[rc.Code]++
	}
	// Of two places of a name both cancels mean the first; the second one stays, up to the limit of live orders.
	if codes[exchange.OK] != 2000+4*200 || codes[exchange.Withdrawn] != 1000 || codes[exchange.TooManyOrders] != 4*50 {
		t.Error(codes)
	}
	if err := w.State.Check(); err != nil {
		t.Error(err)
	}
}

// TestAmend covers K-6.
func TestAmend(t *testing.T) {
	w := New(1)
	w.Fund(EUR, 1000*Coin, "alice")
	place := w.Block(w.Command("alice", limit(market.Buy, 100e8, 4*Coin, "x"))).Receipts[0]
	target := exchange.Target{Client: "x"}
	if code := w.Do("alice", &exchange.Amend{Target: target, Quantity: 3 * Coin}); code != exchange.OK {
		t.Fatal(code)
	}
	if o, ok := w.State.Markets().Order(market.OrderID(place.Number)); !ok || o.Quantity != 3*Coin || w.Held("alice", EUR) != 300*Coin {
		t.Errorf("amended down: %+v", o)
	}
	if code := w.Do("alice", &exchange.Amend{Target: target, Price: 400e8, Quantity: 3 * Coin}); code != exchange.Insufficient {
		t.Error("beyond the funds:", code)
	}
	if _, ok := w.State.Markets().Order(market.OrderID(place.Number)); !ok {
		t.Error("a refused amendment cost the order")
	}
	r := w.Block(w.Command("alice", &exchange.Amend{Target: target, Price: 200e8, Quantity: 5 * Coin})).Receipts[0]
	if r.Code != exchange.OK || r.Number == place.Number || w.Held("alice", EUR) != 1000*Coin {
		t.Errorf("amended up: %+v, held %d", r, w.Held("alice", EUR))
	}
	if code := w.Do("alice", &exchange.Amend{Target: target, Quantity: 5 * Coin}); code != exchange.BadAmend {
		t.Error("nothing to change:", code)
	}
}

// TestAmendAboveLoweredLimit amends although a vote has lowered the number of
// orders below what the account has (K-6, M-12): one order for another.
func TestAmendAboveLoweredLimit(t *testing.T) {
	w := New(1)
	w.Fund(EUR, 100_000*Coin, "alice")
	for _, client := range []string{"x", "y", "z"} {
		if code := w.Do("alice", limit(market.Buy, 100e8, Coin, client)); code != exchange.OK {
			t.Fatal(code)
		}
	}
	params := w.State.Params()
	params.MarketOrders = 1
	vote := &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, roster.SetParams{Params: params.Append(nil)}, 0)}
	if code := w.Do(MemberName(0), vote); code != exchange.OK {
		t.Fatal(code)
	}
	amend := &exchange.Amend{Target: exchange.Target{Client: "x"}, Price: 90e8, Quantity: 2 * Coin}
	if code := w.Do("alice", amend); code != exchange.OK {
		t.Errorf("an amendment: %s", code)
	}
	if code := w.Do("alice", limit(market.Buy, 100e8, Coin, "w")); code != exchange.TooManyOrders {
		t.Errorf("one more order: %s", code)
	}
	if held := w.Held("alice", EUR); held != 380*Coin {
		t.Errorf("%d held", held)
	}
	if err := w.State.Check(); err != nil {
		t.Error(err)
	}
}

// TestDelegates covers B-11 and K-3.
func TestDelegates(t *testing.T) {
	w := New(1)
	w.Fund(EUR, 1000*Coin, "alice")
	bot := Key("bot")
	add := w.Command("alice", &exchange.AddDelegate{Key: bot.Public(), Scopes: ledger.Trade, Markets: []uint32{1}})
	early := w.CommandBy(Address("alice"), bot, limit(market.Buy, 100e8, Coin, ""))
	r := w.Block(add, early)
	if r.Receipts[0].Code != exchange.OK || r.Receipts[1].Code != exchange.UnknownKey {
		t.Fatal(r.Receipts[0].Code, r.Receipts[1].Code)
	}
	do := func(b exchange.Body) exchange.Code {
		return w.Block(w.CommandBy(Address("alice"), bot, b)).Receipts[0].Code
	}
	if c := do(limit(market.Buy, 100e8, Coin, "")); c != exchange.OK {
		t.Error("trade:", c)
	}
	if c := do(&exchange.Transfer{To: Address("bob"), Asset: EUR, Amount: 1}); c != exchange.NotEntitled {
		t.Error("transfer:", c)
	}
	if c := do(&exchange.CancelAll{}); c != exchange.NotEntitled {
		t.Error("all markets:", c)
	}
	if c := do(&exchange.RemoveDelegate{Key: bot.Public()}); c != exchange.NotEntitled {
		t.Error("removing itself under version 1:", c)
	}
	remove := w.Command("alice", &exchange.RemoveDelegate{Key: bot.Public()})
	order := w.CommandBy(Address("alice"), bot, limit(market.Buy, 100e8, Coin, ""))
	if r := w.Block(order, remove); r.Receipts[0].Code != exchange.KeyRevoked || r.Receipts[1].Code != exchange.OK {
		t.Error("revoked in its block:", r.Receipts[0].Code, r.Receipts[1].Code)
	}
	if c := do(limit(market.Buy, 100e8, Coin, "")); c != exchange.UnknownKey {
		t.Error("after removal:", c)
	}
}

// TestProofs: every leaf is proven, and what is not there is proven absent.
func TestProofs(t *testing.T) {
	w := New(4)
	r := NewRandom(w, 5, 7)
	w.Block(r.Block(200)...)
	n := 0
	for key, value := range w.State.Leaves {
		got, p := w.State.Prove(key)
		if string(got) != string(value) || !p.Present(w.State.Root(), key, value) {
			t.Fatalf("leaf %s is not proven", key)
		}
		n++
	}
	if n < 20 {
		t.Errorf("only %d leaves", n)
	}
	key := exchange.AccountKey(Address("nobody"))
	if got, p := w.State.Prove(key); got != nil || !p.Absent(w.State.Root(), key) {
		t.Error("absence is not proven")
	}
}

// TestResultList: receipts and trades are under the root in the clock leaf (K-9).
func TestResultList(t *testing.T) {
	w := New(1)
	r := NewRandom(w, 10, 3)
	for range 10 {
		res := w.Block(r.Block(100)...)
		leaf, _ := w.State.Leaf(exchange.ClockKey())
		c, err := exchange.ParseClock(leaf)
		if err != nil || c.Height != w.Height || c.Time != w.Time || c.Results != merkle.Root(res.Results) {
			t.Fatalf("clock %+v, %v", c, err)
		}
		trades := 0
		for _, leaf := range res.Results {
			if rc, err := exchange.ParseReceipt(leaf); err == nil {
				if string(rc.Append(nil)) != string(leaf) {
					t.Fatal("receipt is not canonical")
				}
				continue
			}
			if a, err := exchange.ParseAuction(leaf); err == nil {
				if string(a.Append(nil)) != string(leaf) {
					t.Fatal("auction is not canonical")
				}
				continue
			}
			tr, err := exchange.ParseTrade(leaf)
			if err != nil || string(tr.Append(nil)) != string(leaf) {
				t.Fatalf("neither receipt nor trade nor auction: %x", leaf)
			}
			trades++
		}
		events := 0
		for _, e := range res.Events {
			if e.Kind == exchange.EventTrade {
				events++
			}
		}
		if trades != events {
			t.Errorf("%d trades, %d events", trades, events)
		}
	}
}

// TestIdleBlock: a block with nothing to do changes nothing (K-8).
func TestIdleBlock(t *testing.T) {
	w := New(4)
	before := w.State.Root()
	for h := range uint64(50) {
		res := w.State.Apply(&exchange.Block{Height: h + 1, Time: w.State.Time(), Proposer: Key(MemberName(int(h%4)) + "/consensus").Public()})
		if res.Root != before || len(res.Changes) != 0 || res.Active {
			t.Fatalf("height %d: %d changes", h+1, len(res.Changes))
		}
	}
}

func ExampleCode_String() {
	fmt.Println(exchange.Insufficient)
	// Output: insufficient funds
}
