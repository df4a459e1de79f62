package web_test

import (
	"crypto/sha256"
	"net/http"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/web"
)

// The parties of escrows list those that are locked (H-34), and nobody else's.
func TestEscrows(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob", "carol")
	ctx := within(t, 20*time.Second)
	c := f.client()
	lock := func(who, payee, secret string) exchange.Receipt {
		return must(t, c.As(signer(who)), &exchange.Lock{
			Payee: exchangetest.Address(payee), Asset: exchangetest.EUR, Amount: 5, Hash: sha256.Sum256([]byte(secret)),
			Deadline: uint64(time.Now().Add(time.Hour).UnixMilli()),
		})
	}
	first := lock("alice", "bob", "one")
	lock("bob", "carol", "two")
	third := lock("bob", "alice", "three")
	list, err := c.Escrows(ctx, signer("alice"), 0)
	if err != nil || len(list.Escrows) != 2 || list.Escrows[0].ID != third.Number || list.Escrows[1].ID != first.Number || list.Next != 0 {
		t.Errorf("alice's escrows: %+v, %v", list, err)
	}
	list, err = c.Escrows(ctx, signer("alice"), third.Number)
	if err != nil || len(list.Escrows) != 1 || list.Escrows[0].ID != first.Number {
		t.Errorf("alice's older escrows: %+v, %v", list, err)
	}
	must(t, c.As(signer("bob")), &exchange.Refund{Escrow: first.Number})
	if list, err = c.Escrows(ctx, signer("alice"), 0); err != nil || len(list.Escrows) != 1 || list.Escrows[0].ID != third.Number {
		t.Errorf("alice's escrows after one went back: %+v, %v", list, err)
	}
	if list, err = c.Escrows(ctx, signer("issuer"), 0); err != nil || len(list.Escrows) != 0 || list.Escrows == nil {
		t.Errorf("escrows of somebody without a part in any: %+v, %v", list, err)
	}
}

// What an order traded is found when it is gone (H-34).
func TestFillsOfOrder(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob")
	ctx := within(t, 20*time.Second)
	c := f.client()
	for range 3 {
		must(t, c.As(signer("bob")), limit(market.Sell, 50_000, ""))
		must(t, c.As(signer("alice")), limit(market.Buy, 50_000, ""))
	}
	all, err := c.Fills(ctx, signer("alice"), api.Page{})
	if err != nil || len(all.Fills) != 3 {
		t.Fatalf("fills %+v: %v", all, err)
	}
	one, err := c.Fills(ctx, signer("alice"), api.Page{Order: all.Fills[1].Order})
	if err != nil || len(one.Fills) != 1 || one.Fills[0].Trade != all.Fills[1].Trade || one.Next != "" {
		t.Errorf("fills of order %d: %+v, %v", all.Fills[1].Order, one, err)
	}
}

// Who was told of a block by one server is not shown an older state by another (H-33).
func TestAfter(t *testing.T) {
	f := newFederation(t, 2, web.Config{})
	f.fund("alice", "bob")
	ctx := within(t, 60*time.Second)
	only := func(url string, after uint64) *api.Client {
		c, err := api.NewClient(api.Config{Servers: []string{url}, ID: f.id, After: after})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	one, two := only(f.urls()[0], 0), f.urls()[1]
	pay := func() uint64 {
		r := must(t, one.As(signer("alice")), &exchange.Transfer{To: exchangetest.Address("bob"), Asset: exchangetest.EUR, Amount: 1})
		if r.Height != one.After() {
			t.Fatalf("after a receipt of block %d the client has heard of %d", r.Height, one.After())
		}
		return r.Height
	}
	want := pay()
	for range 5 {
		if audit, err := only(two, want).Audit(ctx); err != nil || audit.Height < want {
			t.Fatalf("block %d after block %d: %v", audit.Height, want, err)
		}
		want = pay()
	}
	// A read waits for a block that is about to come.
	time.Sleep(100 * time.Millisecond) // an empty block for proofs is made by then
	status, err := one.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan uint64, 1)
	go func() {
		audit, err := only(two, status.Height+1).Audit(ctx)
		if err != nil {
			t.Error(err)
			audit = &api.Audit{}
		}
		answered <- audit.Height
	}()
	select {
	case height := <-answered:
		t.Fatalf("it did not wait for block %d: %d", status.Height+1, height)
	case <-time.After(100 * time.Millisecond):
	}
	want = pay()
	if height := <-answered; height < want {
		t.Errorf("block %d after block %d", height, want)
	}
	// A height that will not come costs a moment, no answer.
	began := time.Now()
	if _, err := only(two, want+1_000_000).Audit(ctx); err != nil || time.Since(began) < 500*time.Millisecond || time.Since(began) > 20*time.Second {
		t.Errorf("a block of the future: %v after %v", err, time.Since(began))
	}
	// Nonsense is nothing.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, two+"/v1/audit", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(api.AfterHeader, "soon")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("status %d, %v", resp.StatusCode, err)
	}
}
