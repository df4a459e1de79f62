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

// fee is the command fee of withFee.
const fee = 5

// withFee is a world in which commands cost something, where people have so much EUR.
func withFee(t *testing.T, amount asset.Amount, names ...string) *World {
	t.Helper()
	w := New(1)
	w.Fund(EUR, amount, names...)
	w.Fund(EUR, Coin, "issuer")
	setParams(t, w, func(p *exchange.Params) { p.FeeAsset, p.Fee = EUR, fee })
	return w
}

// TestTimerFee: cancel-all-after is no cancel, and pays the command fee (B-8).
func TestTimerFee(t *testing.T) {
	w := withFee(t, 7, "alice")
	if code := w.Do("alice", &exchange.CancelAllAfter{Delay: 60_000}); code != exchange.OK || w.Available("alice", EUR) != 2 {
		t.Errorf("%s, and %d are left of 7", code, w.Available("alice", EUR))
	}
	if code := w.Do("alice", &exchange.CancelAllAfter{}); code != exchange.FeeUnpaid {
		t.Errorf("without the fee: %s", code)
	}
}

// TestFeeUnpaid: who lacks the fee is refused without a trace, and can send the same
// command again when he has it (B-8).
func TestFeeUnpaid(t *testing.T) {
	w := withFee(t, fee-1, "alice")
	w.Fund(BTC, Coin, "alice")
	order := w.Command("alice", limit(market.Sell, 50_000e8, Coin, "x"))
	nonsense := w.Command("alice", &exchange.Transfer{Memo: string(make([]byte, 200))})
	cancel := w.Command("alice", &exchange.Cancel{Target: exchange.Target{Client: "x"}})
	all := w.Command("alice", &exchange.CancelAll{})
	for _, c := range []exchange.Command{order, nonsense, cancel, all} {
		if code := w.State.Precheck(&c, w.Time); code != exchange.FeeUnpaid {
			t.Errorf("%s asked before: %s", c.Kind, code)
		}
	}
	r := w.Block(order, nonsense, cancel, all)
	for i, rc := range r.Receipts {
		if rc.Code != exchange.FeeUnpaid || rc.Code.Burns() {
			t.Errorf("command %d: %s", i, rc.Code)
		}
	}
	if len(r.Changes) != 1 {
		t.Errorf("%d leaves changed, want the clock's", len(r.Changes))
	}
	w.Fund(EUR, 1, "alice")
	if code := w.Block(order).Receipts[0].Code; code != exchange.OK || w.Available("alice", EUR) != 0 {
		t.Errorf("with the fee: %s", code)
	}
	// The order is paid for, and so is its cancel.
	if code := w.State.Precheck(&cancel, w.Time); code != exchange.OK {
		t.Errorf("the cancel asked before: %s", code)
	}
	if code := w.Block(cancel).Receipts[0].Code; code != exchange.OK {
		t.Errorf("the cancel: %s", code)
	}
}

// TestFeeOfCancels: cancels that name an order are free, each order once; so are a
// few that come too late, for who could pay them (B-8).
func TestFeeOfCancels(t *testing.T) {
	w := withFee(t, 1000*Coin, "alice")
	paid := func(commands ...exchange.Command) asset.Amount {
		before := w.Available("alice", EUR) + w.Held("alice", EUR)
		w.Block(commands...)
		return (before - w.Available("alice", EUR) - w.Held("alice", EUR)) / fee
	}
	cancel := func(client string) exchange.Command {
		return w.Command("alice", &exchange.Cancel{Target: exchange.Target{Client: client}})
	}
	repeat := func(n int, make func() exchange.Command) (all []exchange.Command) {
		for range n {
			all = append(all, make())
		}
		return all
	}
	place := func(clients ...string) (all []exchange.Command) {
		for _, client := range clients {
			all = append(all, w.Command("alice", limit(market.Buy, 1e8, Coin, client)))
		}
		return all
	}
	for _, c := range []struct {
		what     string
		before   []string // orders
		commands func() []exchange.Command
		want     asset.Amount
	}{
		{"each order's cancel", []string{"a", "b", "c"}, func() []exchange.Command {
			return []exchange.Command{cancel("a"), cancel("b"), cancel("c")}
		}, 0},
		{"orders that were filled a block ago", nil, func() []exchange.Command { return repeat(8, func() exchange.Command { return cancel("gone") }) }, 0},
		{"more of them", nil, func() []exchange.Command { return repeat(11, func() exchange.Command { return cancel("gone") }) }, 3},
		{"one order again and again", []string{"a"}, func() []exchange.Command { return repeat(11, func() exchange.Command { return cancel("a") }) }, 2},
		{"cancel-alls", []string{"a", "b"}, func() []exchange.Command {
			return repeat(11, func() exchange.Command { return w.Command("alice", &exchange.CancelAll{}) })
		}, 2},
		{"cancel-alls without orders", nil, func() []exchange.Command {
			return repeat(11, func() exchange.Command { return w.Command("alice", &exchange.CancelAll{Market: LTCBTC}) })
		}, 3},
		{"nonsense", []string{"a"}, func() []exchange.Command {
			return repeat(11, func() exchange.Command {
				c := cancel("a")
				c.Body = append(c.Body, 0)
				if err := c.Sign(w.State.ID(), Key("alice")); err != nil {
					t.Fatal(err)
				}
				return c
			})
		}, 3},
		{"an amend is an order", []string{"b"}, func() []exchange.Command {
			return []exchange.Command{w.Command("alice", &exchange.Amend{Target: exchange.Target{Client: "b"}, Quantity: Coin / 2})}
		}, 1},
		{"an amend of nothing", nil, func() []exchange.Command {
			return []exchange.Command{w.Command("alice", &exchange.Amend{Target: exchange.Target{Client: "gone"}, Quantity: Coin / 2})}
		}, 1},
	} {
		if got := paid(place(c.before...)...); got != asset.Amount(len(c.before)) {
			t.Errorf("%s: %d fees for %d orders", c.what, got, len(c.before))
		}
		if got := paid(c.commands()...); got != c.want {
			t.Errorf("%s: %d fees, want %d", c.what, got, c.want)
		}
	}
	if err := w.State.Check(); err != nil {
		t.Error(err)
	}
}

// TestVotesInABlock: what members send for nothing is bounded (B-9), by the operator
// and by his server apart.
func TestVotesInABlock(t *testing.T) {
	w := New(1)
	var commands []exchange.Command
	for i := range 80 {
		action := roster.AppendAction(nil, roster.PauseMarket{Market: 99}, uint32(i))
		commands = append(commands, w.Command(MemberName(0), &exchange.Vote{Approve: true, Action: action}))
	}
	commands = append(commands, w.CommandBy(Address(MemberName(0)), Key(MemberName(0)+"/server"), exchange.Return{}))
	commands = append(commands, w.Command(MemberName(0), &exchange.AddDelegate{Key: Key("bot").Public(), Scopes: ledger.Read}))
	codes := tally(w, commands)
	if codes[exchange.BadAction] != 64 || codes[exchange.AccountBusy] != 16 || codes[exchange.NotDemoted] != 1 || codes[exchange.OK] != 1 {
		t.Error(codes)
	}
}

// TestCancelElsewhere: a delegate's cancel of an order in a market that is not its
// own leaves no trace (B-13).
func TestCancelElsewhere(t *testing.T) {
	w := withFee(t, 1000*Coin, "alice")
	bot := Key("bot")
	if code := w.Do("alice", &exchange.AddDelegate{Key: bot.Public(), Scopes: ledger.Trade, Markets: []uint32{uint32(LTCBTC)}}); code != exchange.OK {
		t.Fatal(code)
	}
	order := w.Block(w.Command("alice", limit(market.Buy, 100e8, Coin, "x"))).Receipts[0].Number
	for _, body := range []exchange.Body{
		&exchange.Cancel{Target: exchange.Target{Order: market.OrderID(order)}},
		&exchange.Cancel{Target: exchange.Target{Client: "x"}},
		&exchange.Amend{Target: exchange.Target{Client: "x"}, Quantity: Coin / 2},
	} {
		if code := w.Block(w.CommandBy(Address("alice"), bot, body)).Receipts[0].Code; code != exchange.NotEntitled {
			t.Errorf("%s: %s", body.Kind(), code)
		}
	}
	if code := w.Block(w.CommandBy(Address("alice"), bot, &exchange.Cancel{Target: exchange.Target{Client: "y"}})).Receipts[0].Code; code != exchange.UnknownOrder {
		t.Errorf("an order that may have been its own: %s", code)
	}
}
