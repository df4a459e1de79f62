package exchange_test

import (
	"testing"

	"souk/exchange"
	. "souk/exchange/exchangetest"
	"souk/exchange/market"
)

// refound is a world that goes on from another one, with heights that begin anew.
func refound(t *testing.T, w *World) *World {
	t.Helper()
	f := Founding(4)
	f.Assets, f.Markets, f.Reserved = nil, nil, nil
	f.Origin = &exchange.Origin{Server: w.State.ID(), Height: w.Height, Root: w.State.Root()}
	s, err := exchange.Refound(f, w.State.Leaves)
	if err != nil {
		t.Fatal(err)
	}
	next := *w
	next.State, next.Height = s, 0
	return &next
}

// TestRefoundAge: orders of the origin are older than all that come (M-50), for a
// server that was started anew as well.
func TestRefoundAge(t *testing.T) {
	w := New(4)
	w.Height = 1_000
	w.Fund(EUR, 1_000_000*Coin, "eve", "dave")
	w.Fund(BTC, 10*Coin, "alice", "bob")
	w.Block(w.Command("alice", limit(market.Sell, 50_000e8, Coin, "")))
	stop := limit(market.Buy, 49_000e8, Coin, "")
	stop.Order, stop.Trigger = market.StopLimitOrder, 50_000e8
	w.Block(w.Command("dave", stop))

	w = refound(t, w)
	clone(t, w.State)
	w.Block(w.Command("bob", limit(market.Sell, 50_000e8, Coin, "")))
	twin := clone(t, w.State)
	buy := block(w, []exchange.Command{w.Command("eve", limit(market.Buy, 50_000e8, Coin, ""))})
	root := w.State.Apply(buy).Root
	if twin.Apply(buy).Root != root {
		t.Error("a server that was started anew goes another way")
	}
	if got := w.Held("alice", BTC); got != 0 {
		t.Errorf("alice, whose order is older, still holds %d", got)
	}
	w.Height, w.Time = w.Height+1, w.Time+10
	w.Block() // the stop triggers and rests, at a height below the one at which it was placed
	clone(t, w.State)
}

// TestRefoundFee: the command fee is in an asset that the origin has.
func TestRefoundFee(t *testing.T) {
	w := New(1)
	f := Founding(1)
	f.Assets, f.Markets, f.Reserved = nil, nil, nil
	f.Params.FeeAsset, f.Params.Fee = 99, 1
	f.Origin = &exchange.Origin{Server: w.State.ID(), Height: 1, Root: w.State.Root()}
	if _, err := exchange.Refound(f, w.State.Leaves); err == nil {
		t.Error("a fee in an asset that there is not was taken")
	}
}
