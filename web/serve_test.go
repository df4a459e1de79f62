package web_test

import (
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/web"
)

func TestFederation(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob")
	ctx := within(t, 20*time.Second)
	c := f.client()
	alice := c.As(signer("alice"))
	receipts, err := alice.Do(ctx, &exchange.Place{
		Market: exchangetest.BTCEUR, Side: market.Buy, Order: market.LimitOrder, TIF: market.GTC, Price: 50_000e8, Quantity: exchangetest.Coin / 10,
	})
	if err != nil || receipts[0].Code != exchange.OK {
		t.Fatal(receipts, err)
	}
	a, err := c.Account(ctx, signer("alice"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", a)
	v := api.NewVerifier(f)
	acc, at, err := c.VerifiedAccount(ctx, v, signer("alice"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v %+v", acc, at)
}
