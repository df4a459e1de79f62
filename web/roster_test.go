package web_test

import (
	"encoding/json"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/merkle"
	"souk/web"
)

// Members and rules are told to everybody, with proofs of their leaves (H-60), and the leaves of
// clock, markets, roster and counters can be asked for by their keys (H-65).
func TestRosterAndRules(t *testing.T) {
	f := newFederation(t, 2, web.Config{})
	f.fund("alice")
	ctx := within(t, 30*time.Second)
	c := f.client()
	list, err := c.Members(ctx)
	if err != nil || len(list.Members) != 2 || list.Members[1].Name != f.founding.Members[1].Name {
		t.Fatalf("%+v, %v", list, err)
	}
	verifier := api.NewVerifier(f)
	for _, name := range []string{"2", list.Members[1].Name} {
		a := call(t, f.nodes[0], "GET", "/v1/members/"+name+"?proof=1", nil, nil)
		var m api.MemberPage
		if err := json.Unmarshal(a.body, &m); err != nil || m.Name != list.Members[1].Name || m.Proof == nil {
			t.Fatalf("%d %s: %v", a.status, a.body, err)
		}
		if err := verifier.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		leaf, _, err := verifier.Leaf(ctx, exchange.MemberKey(2), m.Proof)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := roster.ParseMember(exchange.MemberKey(2), leaf); err != nil || got.Name != m.Name {
			t.Errorf("%+v, %v", got, err)
		}
	}
	p, err := c.Params(ctx)
	if want := f.founding.Params; err != nil || p.MarketOrders != want.MarketOrders || p.VoteBlocks != want.VoteBlocks || p.FeeAsset != "" || p.Proof != nil {
		t.Errorf("%+v, %v", p, err)
	}
	var proven api.Params
	a := call(t, f.nodes[0], "GET", "/v1/params?proof=1", nil, nil)
	if err := json.Unmarshal(a.body, &proven); err != nil || proven.Proof == nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	leaf, _, err := verifier.Leaf(ctx, exchange.ClockKey(), proven.Proof)
	if err != nil {
		t.Fatal(err)
	}
	if clock, err := exchange.ParseClock(leaf); err != nil || clock.Params != f.founding.Params {
		t.Errorf("%+v, %v", clock, err)
	}
	keys := []merkle.Key{exchange.ClockKey(), exchange.MarketKey(exchangetest.BTCEUR), exchange.MemberKey(1), {roster.LeafRoster}, {market.LeafCounters}}
	leaves, err := c.VerifiedLeaves(ctx, verifier, keys)
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range leaves.Values {
		if value == nil {
			t.Errorf("there is no leaf %s", keys[i])
		}
	}
}
