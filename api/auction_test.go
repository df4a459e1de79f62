package api_test

import (
	"testing"

	"souk/api"
	"souk/exchange"
	"souk/exchange/market"
)

// What new orders wanted together may be more than an amount can be (M-9, M-90).
func TestAuctionTexts(t *testing.T) {
	p := api.Pair{BaseSymbol: "BTC", QuoteSymbol: "EUR", QuoteDecimals: 2}
	p.ID, p.BaseDecimals, p.Lot = 1, 8, 10_000
	a := exchange.Auction{Height: 7, Time: 9, Auction: market.Auction{
		Market: 1, Reference: 50_000_00, Bid: 49_900_00, Price: 50_000_00, Volume: 4, Demand: 1<<62 - 1, Supply: 4,
	}}
	got := p.Auction(&a)
	if got.Bid != "49900.00" || got.Ask != "" || got.Reference != "50000.00" {
		t.Errorf("%+v", got)
	}
	// (2^62 - 1) x 0.0001
	want := api.Cross{Price: "50000.00", Volume: "0.00040000", Demand: "461168601842738.79030000", Supply: "0.00040000", Surplus: "461168601842738.78990000"}
	if *got.Cross != want {
		t.Errorf("got %+v, want %+v", *got.Cross, want)
	}
	p.BaseDecimals, p.Lot = 0, 1_000
	if got := p.Auction(&a); got.Cross.Demand != "4611686018427387903000" {
		t.Errorf("got %+v", *got.Cross)
	}
	a.Price, a.Volume, a.Demand, a.Supply = 0, 0, 0, 0
	if got := p.Auction(&a); got.Cross != nil {
		t.Errorf("a cross: %+v", *got.Cross)
	}
}
