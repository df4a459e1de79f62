package exchange_test

import (
	"testing"

	"souk/asset"
	"souk/exchange"
	. "souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
)

// setParams puts parameters in force by the vote of a federation of one.
func setParams(t *testing.T, w *World, change func(*exchange.Params)) {
	t.Helper()
	p := w.State.Params()
	change(&p)
	action := roster.AppendAction(nil, roster.SetParams{Params: p.Append(nil)}, uint32(w.Height))
	if code := w.Do(MemberName(0), &exchange.Vote{Approve: true, Action: action}); code != exchange.OK {
		t.Fatal(code)
	}
}

// TestNotEntitled: what a key can never do costs the account neither fee nor nonce (B-13).
func TestNotEntitled(t *testing.T) {
	w := New(1)
	w.Fund(EUR, 1000*Coin, "alice")
	reader, trader, late := Key("reader"), Key("trader"), Key("late")
	for _, d := range []exchange.AddDelegate{
		{Key: reader.Public(), Scopes: ledger.Read},
		{Key: trader.Public(), Scopes: ledger.Trade, Markets: []uint32{uint32(LTCBTC)}},
		{Key: late.Public(), Scopes: ledger.Trade | ledger.Transfer, Expiry: w.Time + 1_000},
	} {
		if code := w.Do("alice", &d); code != exchange.OK {
			t.Fatal(code)
		}
	}
	o := w.Block(w.Command("alice", limit(market.Buy, 100e8, Coin, "x"))).Receipts[0].Number
	setParams(t, w, func(p *exchange.Params) { p.FeeAsset, p.Fee = EUR, 5 })
	w.Time += 1_000 // late's power is over
	pay := &exchange.Transfer{To: Address("bob"), Asset: EUR, Amount: 1}
	server, member := Key(MemberName(0)+"/server"), Address(MemberName(0))
	for _, c := range []struct {
		what    string
		command exchange.Command
	}{
		{"a reader pays", w.CommandBy(Address("alice"), reader, pay)},
		{"a reader places", w.CommandBy(Address("alice"), reader, limit(market.Buy, 100e8, Coin, ""))},
		{"a reader cancels", w.CommandBy(Address("alice"), reader, &exchange.Cancel{Target: exchange.Target{Order: market.OrderID(o)}})},
		{"a reader adds a key", w.CommandBy(Address("alice"), reader, &exchange.AddDelegate{Key: Key("more").Public(), Scopes: ledger.Trade})},
		{"a reader removes itself by version 1", w.CommandBy(Address("alice"), reader, &exchange.RemoveDelegate{Key: reader.Public()})},
		{"a reader sends nonsense", w.CommandBy(Address("alice"), reader, &exchange.Transfer{Memo: string(make([]byte, 200))})},
		{"a trader pays", w.CommandBy(Address("alice"), trader, pay)},
		{"a trader places elsewhere", w.CommandBy(Address("alice"), trader, limit(market.Buy, 100e8, Coin, ""))},
		{"a trader cancels everywhere", w.CommandBy(Address("alice"), trader, &exchange.CancelAll{})},
		{"a trader cancels elsewhere", w.CommandBy(Address("alice"), trader, &exchange.CancelAll{Market: BTCEUR})},
		{"a trader sets the timer", w.CommandBy(Address("alice"), trader, &exchange.CancelAllAfter{Delay: 5_000})},
		{"an expired key pays", w.CommandBy(Address("alice"), late, pay)},
		{"an expired key cancels", w.CommandBy(Address("alice"), late, &exchange.Cancel{Target: exchange.Target{Client: "x"}})},
		{"no member votes", w.Command("alice", &exchange.Vote{Approve: true, Action: []byte{1}})},
		{"no member returns", w.Command("alice", exchange.Return{})},
		{"a server pays", w.CommandBy(member, server, pay)},
		{"a server removes itself", w.CommandBy(member, server, &exchange.RemoveDelegate{Key: server.Public()})},
		{"an operator returns", w.Command(MemberName(0), exchange.Return{})},
	} {
		if code := w.State.Precheck(&c.command, w.Time); code != exchange.NotEntitled {
			t.Errorf("%s, asked before: %s", c.what, code)
		}
		before := w.State.Root()
		r := w.Block(c.command)
		if code := r.Receipts[0].Code; code != exchange.NotEntitled || code.Burns() {
			t.Errorf("%s: %s", c.what, code)
		}
		leaf, _ := w.State.Leaf(exchange.ClockKey())
		if len(r.Changes) != 1 || string(r.Changes[0].Value) != string(leaf) || r.Root == before {
			t.Errorf("%s left a trace: %d leaves changed", c.what, len(r.Changes))
		}
	}
	if got := w.Available("alice", EUR); got != 900*Coin {
		t.Errorf("alice has paid %d of fees", 900*Coin-got)
	}
	// What the key may do, it still does, and pays for.
	if code := w.Block(w.CommandBy(Address("alice"), trader, &exchange.CancelAll{Market: LTCBTC})).Receipts[0].Code; code != exchange.OK {
		t.Errorf("a trader in its market: %s", code)
	}
}

// TestDelegateRemovesItself: from protocol version 2 on any delegate gives its own
// power up, expired or not (B-13).
func TestDelegateRemovesItself(t *testing.T) {
	f := Founding(1)
	f.Protocol = 2
	w := From(f)
	w.Fund(EUR, asset.Amount(10), "alice")
	for _, life := range []uint64{0, 100} {
		bot, expiry := Key("bot"), uint64(0)
		if life > 0 {
			expiry = w.Time + life
		}
		if code := w.Do("alice", &exchange.AddDelegate{Key: bot.Public(), Scopes: ledger.Read, Expiry: expiry}); code != exchange.OK {
			t.Fatal(code)
		}
		w.Time += 1_000
		if code := w.Block(w.CommandBy(Address("alice"), bot, &exchange.RemoveDelegate{Key: Key("other").Public()})).Receipts[0].Code; code != exchange.NotEntitled {
			t.Errorf("removing another key: %s", code)
		}
		if code := w.Block(w.CommandBy(Address("alice"), bot, &exchange.RemoveDelegate{Key: bot.Public()})).Receipts[0].Code; code != exchange.OK {
			t.Errorf("removing itself, expiry %d: %s", expiry, code)
		}
	}
}
