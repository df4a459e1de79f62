package replica_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/identity"
	"souk/merkle"
	"souk/replica"
)

// verify checks a result's proof as a light client does, who has the root after a block.
func verify(t *testing.T, p replica.ResultProof, root merkle.Hash) {
	t.Helper()
	if p.Clock.Root != root || !p.Clock.Proof.Present(root, exchange.ClockKey(), p.Clock.Value) {
		t.Fatal("the clock leaf does not stand under the root")
	}
	clock, err := exchange.ParseClock(p.Clock.Value)
	if err != nil || clock.Height != p.Clock.Height {
		t.Fatalf("clock %+v, %v", clock, err)
	}
	if !p.List.Present(clock.Results, p.Entry) {
		t.Fatal("the entry does not stand under the results root")
	}
}

// TestProofs is S-30 to S-32: leaves, receipts and trades, whether they are in
// memory or in the store.
func TestProofs(t *testing.T) {
	for _, inline := range []bool{false, true} {
		c := newChain(t, 1, replica.Config{Inline: inline, Persist: replica.Persist{Blocks: 8, Every: time.Hour}})
		random := c.random(20, 5)
		n := c.nodes[0]
		results := map[uint64]*exchange.Result{}
		for range 30 {
			c.commands(0, 200, random.Block(200))
			results[c.result.Height] = c.result
			if len(results)%5 == 0 {
				c.decide(0, nil)
			}
		}
		trades := 0
		for h, res := range results {
			for i, entry := range res.Results {
				if entry[0] == 1 && i%17 > 0 {
					continue
				}
				p, err := n.ProveResult(h, uint32(i))
				if err != nil || !slices.Equal(p.Entry, entry) {
					t.Fatalf("entry %d of block %d: %x, %v", i, h, p.Entry, err)
				}
				verify(t, p, c.roots[h-1])
				if entry[0] == 2 {
					trades++
				}
			}
			rc := res.Receipts[0]
			p, err := n.ProveReceipt(rc.ID)
			if err != nil {
				t.Fatal(err)
			}
			verify(t, p, c.roots[p.Clock.Height-1])
			if got, err := exchange.ParseReceipt(p.Entry); err != nil || got.ID != rc.ID {
				t.Errorf("receipt %+v, %v", got, err)
			}
			if _, err := n.ProveResult(h, uint32(len(res.Results))); !errors.Is(err, replica.ErrPruned) {
				t.Errorf("entry too far: %v", err)
			}
		}
		if trades == 0 {
			t.Error("no trades")
		}
		for _, h := range []uint64{0, 9, 1000} {
			if _, known := results[h]; known {
				continue
			}
			if _, err := n.ProveResult(h, 0); !errors.Is(err, replica.ErrPruned) {
				t.Errorf("block %d: %v", h, err)
			}
		}
		if _, err := n.ProveReceipt(exchange.CommandID{1}); !errors.Is(err, replica.ErrPruned) {
			t.Errorf("unknown receipt: %v", err)
		}
		for _, key := range []merkle.Key{exchange.AccountKey(exchangetest.Address("a1")), exchange.MarketKey(1), exchange.ClockKey()} {
			p, err := n.ProveLeaf(key)
			if err != nil || !p.Proof.Present(c.roots[p.Height-1], key, p.Value) || p.Root != c.roots[p.Height-1] {
				t.Errorf("leaf %s: %+v, %v", key, p, err)
			}
			if p.Height == uint64(len(c.blocks)) {
				t.Errorf("the last block changed nothing, and the proof waits for the header after it")
			}
		}
		p, err := n.ProveLeaf(exchange.AccountKey(exchangetest.Address("nobody")))
		if err != nil || p.Value != nil || !p.Proof.Absent(c.roots[p.Height-1], p.Key) {
			t.Errorf("absence: %+v, %v", p, err)
		}
	}
}

// TestHistory compares what is answered of past trades with what happened, page by page.
func TestHistory(t *testing.T) {
	c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 7}, Keep: replica.Keep{Days: 3}})
	random := c.random(10, 9)
	n := c.nodes[0]
	trades := map[market.ID][]replica.Trade{}
	fills := map[identity.Address][]replica.Fill{}
	auctions := 0
	for i := range 40 {
		if i%10 == 9 { // a few hours pass
			c.world.Time += 20 * 3600_000
		}
		c.commands(0, 100, random.Block(60))
		for i, entry := range c.result.Results {
			if tr, err := exchange.ParseTrade(entry); err == nil {
				trades[tr.Market] = append(trades[tr.Market], replica.Trade{Trade: tr, Index: uint32(i)})
			}
		}
		at := uint32(0)
		for i, entry := range slices.Backward(c.result.Results) {
			if _, err := exchange.ParseTrade(entry); err == nil {
				at = uint32(i)
			}
			a, err := exchange.ParseAuction(entry)
			if err != nil {
				continue
			}
			got, ok, err := n.Auction(a.Market, a.Height)
			if want := (replica.Auction{Auction: a, Index: uint32(i)}); err != nil || !ok || got != want {
				t.Fatalf("auction %+v, %v, %v; want %+v", got, ok, err, want)
			}
			auctions++
		}
		for _, e := range c.result.Events {
			if e.Kind != exchange.EventTrade {
				continue
			}
			f := replica.Fill{
				Trade: e.Fill.Trade, Market: e.Fill.Market, Inner: e.Fill.Inner, Price: e.Fill.Price, Quantity: e.Fill.Quantity,
				Height: c.result.Height, Time: c.result.Time, Index: at,
			}
			at++
			buy, sell := f, f
			buy.Side, buy.Value, buy.Fee = market.Buy, e.Fill.BuyerPaid, e.Fill.BuyerFee
			sell.Side, sell.Value, sell.Fee = market.Sell, e.Fill.SellerGot, e.Fill.SellerFee
			if e.Fill.TakerSide == market.Buy {
				buy.Order, sell.Order, sell.Maker = e.Fill.Taker, e.Fill.Maker, !e.Fill.Inner
			} else {
				buy.Order, sell.Order, buy.Maker = e.Fill.Maker, e.Fill.Taker, !e.Fill.Inner
			}
			fills[e.Account] = append(fills[e.Account], buy)
			fills[e.Other] = append(fills[e.Other], sell)
		}
	}
	if len(trades[1]) < 20 || len(trades[2]) < 20 || auctions < 20 {
		t.Fatalf("%d and %d trades in %d auctions", len(trades[1]), len(trades[2]), auctions)
	}
	if a, ok, err := n.Auction(99, c.result.Height); ok || err != nil {
		t.Errorf("auction of a market that there is not: %+v, %v", a, err)
	}
	if _, _, err := n.Auction(1, c.result.Height+1); !errors.Is(err, replica.ErrPruned) {
		t.Errorf("auction of a block that there is not: %v", err)
	}
	for id, want := range trades {
		slices.Reverse(want)
		for _, page := range []int{1, 7, 1000} {
			var got []replica.Trade
			for cursor := (replica.Cursor{}); ; cursor = got[len(got)-1].Cursor() {
				before := len(got)
				for tr, err := range n.Trades(id, cursor) {
					if err != nil {
						t.Fatal(err)
					}
					if got = append(got, tr); len(got) == before+page {
						break
					}
				}
				if len(got) == before {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("market %d in pages of %d: %s", id, page, diff)
			}
		}
	}
	for account, want := range fills {
		slices.Reverse(want)
		var got []replica.Fill
		for cursor := (replica.Cursor{}); ; cursor = got[len(got)-1].Cursor() {
			before := len(got)
			for f, err := range n.Fills(account, cursor) {
				if err != nil {
					t.Fatal(err)
				}
				if got = append(got, f); len(got) == before+5 {
					break
				}
			}
			if len(got) == before {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("account %s: %s", account, diff)
		}
	}
	for range n.Trades(99, replica.Cursor{}) {
		t.Error("a market that does not exist has trades")
	}
	c.world.Time += 10 * 24 * 3600_000
	for range 9 {
		c.decide(0, [][]byte{replica.AppendClock(nil, c.world.Time), replica.AppendBatch(nil, &replica.Batch{Commands: []exchange.Command{random.Command()}})})
		c.world.Time += 10
	}
	for tr, err := range n.Trades(1, replica.Cursor{}) {
		if err != nil || tr.Height < uint64(len(c.blocks)-9) {
			t.Fatalf("after ten days: %+v, %v", tr, err)
		}
	}
}

// TestSubscribe follows committed blocks.
func TestSubscribe(t *testing.T) {
	c := newChain(t, 1, replica.Config{})
	c.fund("alice", "bob")
	n := c.nodes[0]
	late, err := n.Subscribe(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	all, err := n.Subscribe(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	for range 100 {
		c.commands(0, 1, []exchange.Command{c.pay("alice", "bob")})
	}
	for h := range uint64(len(c.blocks)) {
		e, err := all.Next(t.Context())
		if err != nil || e.Position.Height != h+1 || e.Position.Root != c.roots[h] || len(e.Batches) != 1 || e.Batches[0].Member != 1 {
			t.Fatalf("block %d: %+v, %v", h+1, e, err)
		}
	}
	if e, err := all.TryNext(); e != nil || err != nil {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := late.Next(t.Context()); !errors.Is(err, replica.ErrSlow) {
		t.Errorf("the slow one gets %v", err)
	}
	if _, err := n.Subscribe(1, 0); !errors.Is(err, replica.ErrGone) {
		t.Errorf("from block 1: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if _, err := all.Next(t.Context()); !errors.Is(err, replica.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := n.Subscribe(0, 0); !errors.Is(err, replica.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// TestSubscribeMemory is S-47: few blocks that did much are as many as may be kept, or wait.
func TestSubscribeMemory(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		memory        []int
		kept, waiting int
	}{
		{[]int{1, 1, 1}, 3, 3},
		{[]int{10 * mib, 10 * mib, 10 * mib}, 3, 3},
		{[]int{10 * mib, 10 * mib, 10 * mib, 10 * mib}, 3, 4},
		{[]int{200 * mib}, 1, 1},
		{[]int{1, 200 * mib}, 1, 0},
		{[]int{200 * mib, 1}, 1, 0},
		{[]int{60 * mib, 60 * mib, 8 * mib}, 1, 3},
		{[]int{60 * mib, 60 * mib, 8 * mib, 1}, 2, 0},
	} {
		kept, waiting := replica.Publish(test.memory...)
		if kept != test.kept || waiting != test.waiting {
			t.Errorf("blocks of %d bytes: %d are kept and %d wait, not %d and %d", test.memory, kept, waiting, test.kept, test.waiting)
		}
	}
}
