package api_test

import (
	"testing"

	"souk/api"
	"souk/exchange"
	"souk/exchange/market"
)

// A receipt says that an order is gone; why follows from the order.
func TestOutcome(t *testing.T) {
	limit := func(tif market.TIF, post bool) exchange.Place {
		return exchange.Place{Order: market.LimitOrder, TIF: tif, PostOnly: post, Quantity: 10}
	}
	quote := exchange.Place{Order: market.MarketOrder, TIF: market.IOC, Quote: 100}
	for name, c := range map[string]struct {
		placed  exchange.Place
		receipt exchange.Receipt
		status  market.Status
		want    market.Reason
	}{
		"rests":            {limit(market.GTC, false), exchange.Receipt{Status: market.Resting, Filled: 3}, market.Resting, 0},
		"filled":           {limit(market.GTC, false), exchange.Receipt{Filled: 10}, market.Gone, market.Filled},
		"filled fok":       {limit(market.FOK, false), exchange.Receipt{Filled: 10}, market.Gone, market.Filled},
		"killed":           {limit(market.FOK, false), exchange.Receipt{}, market.Gone, market.Killed},
		"would take":       {limit(market.GTC, true), exchange.Receipt{}, market.Gone, market.WouldTake},
		"remainder":        {limit(market.IOC, false), exchange.Receipt{Filled: 3}, market.Gone, market.Remainder},
		"self cross":       {limit(market.GTC, false), exchange.Receipt{}, market.Gone, market.SelfCross},
		"quote spent":      {quote, exchange.Receipt{Filled: 1, Cost: 100}, market.Gone, market.Filled},
		"quote left":       {quote, exchange.Receipt{Filled: 1, Cost: 99}, market.Gone, market.Remainder},
		"refused has none": {limit(market.FOK, false), exchange.Receipt{Code: exchange.Insufficient}, market.Gone, 0},
	} {
		if status, why := api.Outcome(&c.placed, &c.receipt); status != c.status || why != c.want {
			t.Errorf("%s: %d %s", name, status, api.ReasonName(why))
		}
	}
}

// All reasons have names, and those differ.
func TestReasonNames(t *testing.T) {
	seen := map[string]bool{}
	for r := market.Filled; r <= market.Linked; r++ {
		n := api.ReasonName(r)
		if n == "" || n[0] >= '0' && n[0] <= '9' || seen[n] {
			t.Errorf("reason %d is called %q", r, n)
		}
		seen[n] = true
	}
}
