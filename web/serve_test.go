package web_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/web"
)

// limit is a limit order on BTC-EUR for a tenth of a bitcoin.
func limit(side market.Side, euros asset.Price, client string) *exchange.Place {
	return &exchange.Place{
		Market: exchangetest.BTCEUR, Side: side, Order: market.LimitOrder, TIF: market.GTC,
		Price: euros * 1e8, Quantity: exchangetest.Coin / 10, Client: client,
	}
}

// must does one thing for somebody and wants it to succeed.
func must(t *testing.T, a *api.Actor, body exchange.Body) exchange.Receipt {
	t.Helper()
	receipts, err := a.Do(within(t, 20*time.Second), body)
	if err != nil {
		t.Fatal(err)
	}
	if receipts[0].Code != exchange.OK || receipts[0].Height == 0 {
		t.Fatalf("%s: %+v", body.Kind(), receipts[0])
	}
	return receipts[0]
}

// What is public can be read by anybody (H-32 to H-38).
func TestPublic(t *testing.T) {
	f := newFederation(t, 2, web.Config{Software: "test"})
	f.fund("alice", "bob")
	ctx := within(t, 20*time.Second)
	c := f.client()
	alice, bob := c.As(signer("alice")), c.As(signer("bob"))
	must(t, bob, limit(market.Sell, 50_000, ""))
	must(t, bob, limit(market.Sell, 50_010, ""))
	must(t, alice, limit(market.Buy, 50_000, ""))
	must(t, alice, limit(market.Buy, 49_000, ""))

	s, err := c.Status(ctx)
	if err != nil || s.Name != "test" || s.Software != "test" || s.Protocol != 1 || len(s.Members) != 2 || s.Height < s.Active || s.Orders != 2 ||
		s.Members[0].Power != roster.FullPower || len(s.Peers) != 1 || s.Halted != "" || s.Member == "" {
		t.Errorf("status %+v: %v", s, err)
	}
	if founding, err := c.Founding(ctx); err != nil || founding.ID() != f.id {
		t.Error(err)
	}
	assets, err := c.Assets(ctx)
	if err != nil || len(assets.Assets) != 3 || assets.Assets[1].Symbol != "EUR" || assets.Assets[1].Supply != "10000000.00000000" {
		t.Errorf("assets %+v: %v", assets, err)
	}
	markets, err := c.Markets(ctx)
	if err != nil || len(markets.Markets) != 2 || markets.Markets[0].Last != "50000.00000000" || markets.Markets[0].Symbol != "BTC-EUR" {
		t.Errorf("markets %+v: %v", markets, err)
	}
	book, err := c.Book(ctx, "BTC-EUR", 10)
	if err != nil || len(book.Bids) != 1 || len(book.Asks) != 1 || book.Bids[0].Price != "49000.00000000" || book.Asks[0].Quantity != "0.10000000" {
		t.Errorf("book %+v: %v", book, err)
	}
	if again, err := c.Book(ctx, "1", 1); err != nil || again.Symbol != "BTC-EUR" {
		t.Errorf("book by number %+v: %v", again, err)
	}
	trades, err := c.Trades(ctx, api.Page{Market: "1"})
	if err != nil || len(trades.Trades) != 1 || trades.Trades[0].Price != "50000.00000000" || trades.Trades[0].Side != "buy" {
		t.Errorf("trades %+v: %v", trades, err)
	}
	if empty, err := c.Trades(ctx, api.Page{Market: "LTC-BTC"}); err != nil || empty.Trades == nil {
		t.Errorf("trades of a market without any: %+v, %v", empty, err)
	}
	audit, err := c.Audit(ctx)
	if err != nil || !audit.Balanced || len(audit.Assets) != 3 || audit.Assets[1].Held != "4900.00000000" {
		t.Errorf("audit %+v: %v", audit, err)
	}
	if b, err := c.LightBlock(ctx, 1); err != nil || string(b) != "header 1" {
		t.Errorf("light block %q: %v", b, err)
	}
	if _, err := c.LightBlock(ctx, 1<<40); !api.IsNotFound(err) {
		t.Errorf("a header of the future: %v", err)
	}
	votes, err := c.Votes(ctx)
	if err != nil || votes.Votes == nil || len(votes.Votes) != 0 {
		t.Errorf("votes %+v: %v", votes, err)
	}
	action := roster.AppendAction(nil, roster.PauseMarket{Market: 1}, 0)
	must(t, c.As(signer(s.Members[0].Name)), &exchange.Vote{Approve: true, Action: action})
	if votes, err = c.Votes(ctx); err != nil || len(votes.Votes) != 1 || votes.Votes[0].Kind != "pause-market" || len(votes.Votes[0].Approved) != 1 {
		t.Errorf("votes %+v: %v", votes, err)
	}
	if _, err := c.Book(ctx, "BTC-ZZZ", 10); !api.IsNotFound(err) {
		t.Errorf("a market that is not there: %v", err)
	}
}

// An account's keys read what is its own (H-20 to H-24, H-36).
func TestPrivate(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob")
	ctx := within(t, 20*time.Second)
	c := f.client()
	alice, bob := c.As(signer("alice")), c.As(signer("bob"))
	ask := must(t, bob, limit(market.Sell, 50_000, "mine"))
	must(t, alice, limit(market.Buy, 50_000, ""))
	bid := must(t, alice, limit(market.Buy, 40_000, "low"))

	a, err := c.Account(ctx, alice.Signer)
	if err != nil || a.Owner == "" || len(a.Balances) != 2 || a.Balances[1].Held != "4000.00000000" || a.Delegates == nil {
		t.Errorf("account %+v: %v", a, err)
	}
	orders, err := c.Orders(ctx, alice.Signer, "")
	if err != nil || len(orders.Orders) != 1 || orders.Orders[0].ID != bid.Number || orders.Orders[0].Hold != "4000.00000000" || orders.Orders[0].Kind != "limit" {
		t.Errorf("orders %+v: %v", orders, err)
	}
	if elsewhere, err := c.Orders(ctx, alice.Signer, "LTC-BTC"); err != nil || elsewhere.Orders == nil || len(elsewhere.Orders) != 0 {
		t.Errorf("orders in another market: %+v, %v", elsewhere, err)
	}
	if o, err := c.Order(ctx, alice.Signer, bid.Number); err != nil || o.Client != "low" || o.Status != "resting" {
		t.Errorf("order %+v: %v", o, err)
	}
	if o, err := c.OrderByClient(ctx, alice.Signer, "low"); err != nil || o == nil || o.ID != bid.Number {
		t.Errorf("order by client id %+v: %v", o, err)
	}
	if o, err := c.OrderByClient(ctx, alice.Signer, "mine"); err != nil || o != nil {
		t.Errorf("somebody else's client id gave %+v: %v", o, err)
	}
	for name, id := range map[string]uint64{"filled": ask.Number, "never placed": 1 << 40} {
		if _, err := c.Order(ctx, bob.Signer, id); !api.IsNotFound(err) {
			t.Errorf("an order that was %s: %v", name, err)
		}
	}
	if _, err := c.Order(ctx, bob.Signer, bid.Number); !api.IsNotFound(err) {
		t.Errorf("somebody else's order: %v", err)
	}
	fills, err := c.Fills(ctx, alice.Signer, api.Page{})
	if err != nil || len(fills.Fills) != 1 || fills.Fills[0].Role != "taker" || fills.Fills[0].Fee != "0.00020000" || fills.Fills[0].Value != "5000.00000000" {
		t.Errorf("fills %+v: %v", fills, err)
	}
	if n, err := c.Nonce(ctx, alice.Signer); err != nil || n.Top == 0 || n.Time == 0 {
		t.Errorf("nonce %+v: %v", n, err)
	}
	hash := sha256.Sum256([]byte("secret"))
	lock := must(t, alice, &exchange.Lock{
		Payee: exchangetest.Address("bob"), Asset: exchangetest.EUR, Amount: 5, Hash: hash, Deadline: uint64(time.Now().Add(time.Hour).UnixMilli()), Memo: "for tea",
	})
	for _, who := range []*api.Actor{alice, bob} {
		if e, err := c.Escrow(ctx, who.Signer, lock.Number); err != nil || e.Amount != "0.00000005" || e.Memo != "for tea" || e.Arbiter != "" {
			t.Errorf("escrow %+v: %v", e, err)
		}
	}
	if _, err := c.Escrow(ctx, signer("issuer"), lock.Number); !api.IsNotFound(err) {
		t.Errorf("somebody else's escrow: %v", err)
	}
}

// Lists are read page by page, each item once (H-34).
func TestPages(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob")
	ctx := within(t, 20*time.Second)
	c := f.client()
	for range 5 {
		must(t, c.As(signer("bob")), limit(market.Sell, 50_000, ""))
		must(t, c.As(signer("alice")), limit(market.Buy, 50_000, ""))
	}
	seen := map[uint64]bool{}
	page := api.Page{Market: "1", Limit: 2}
	for range 10 {
		list, err := c.Trades(ctx, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, trade := range list.Trades {
			if seen[trade.ID] {
				t.Errorf("trade %d comes twice", trade.ID)
			}
			seen[trade.ID] = true
		}
		if page.Before = list.Next; list.Next == "" {
			break
		}
	}
	mine := map[uint64]bool{}
	page = api.Page{Limit: 2}
	for range 10 {
		list, err := c.Fills(ctx, signer("alice"), page)
		if err != nil {
			t.Fatal(err)
		}
		for _, fill := range list.Fills {
			mine[fill.Trade] = true
		}
		if page.Before = list.Next; list.Next == "" {
			break
		}
	}
	if len(seen) != 5 || len(mine) != 5 {
		t.Errorf("%d trades and %d fills of 5", len(seen), len(mine))
	}
	all, err := c.Trades(ctx, api.Page{Market: "1"})
	if err != nil || len(all.Trades) != 5 {
		t.Fatalf("%d trades of 5: %v", len(all.Trades), err)
	}
	third := all.Trades[2]
	block, err := c.Trades(ctx, api.Page{Market: "1", Before: fmt.Sprintf("%d-%d-%d", third.Height, third.Time, uint64(1)<<53-1)})
	if err != nil || len(block.Trades) != 3 || block.Trades[0].ID != third.ID {
		t.Errorf("a block's trades and those before: %+v, %v", block.Trades, err)
	}
	if _, err := c.Trades(ctx, api.Page{Market: "1", Before: "x"}); code(err) != api.BadRequest {
		t.Errorf("a cursor that is none: %v", err)
	}
}

// code is the problem's code of an error.
func code(err error) api.Code {
	var e *api.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Who may read an account: its owner and delegates with the scope read; the refusal
// does not tell whether the account exists (H-22).
func TestWhoMayRead(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob")
	ctx := within(t, 20*time.Second)
	c := f.client()
	alice := c.As(signer("alice"))
	reader, trader, gone := exchangetest.Key("alice/reader"), exchangetest.Key("alice/trader"), exchangetest.Key("alice/gone")
	must(t, alice, &exchange.AddDelegate{Key: reader.Public(), Scopes: ledger.Read})
	must(t, alice, &exchange.AddDelegate{Key: trader.Public(), Scopes: ledger.Trade})
	must(t, alice, &exchange.AddDelegate{Key: gone.Public(), Scopes: ledger.Read, Expiry: uint64(time.Now().Add(300 * time.Millisecond).UnixMilli())})
	address := exchangetest.Address("alice")

	by := func(s *api.Signer) error {
		_, err := c.Account(ctx, s)
		return err
	}
	if err := by(&api.Signer{Account: address, Key: reader}); err != nil {
		t.Errorf("a delegate with read: %v", err)
	}
	time.Sleep(400 * time.Millisecond) // the delegate's expiry is judged by the server's clock
	refusals := map[string]error{
		"a delegate without read":       by(&api.Signer{Account: address, Key: trader}),
		"an expired delegate":           by(&api.Signer{Account: address, Key: gone}),
		"another owner":                 by(&api.Signer{Account: address, Key: exchangetest.Key("bob")}),
		"a stranger":                    by(&api.Signer{Account: address, Key: exchangetest.Key("stranger")}),
		"an account that is not there":  by(&api.Signer{Account: exchangetest.Address("nobody"), Key: exchangetest.Key("bob")}),
		"an issuer, of another account": by(&api.Signer{Account: address, Key: exchangetest.Key("issuer")}),
	}
	for name, err := range refusals {
		if code(err) != api.NotAllowed || err.Error() != refusals["a stranger"].Error() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := by(signer("nobody")); !api.IsNotFound(err) {
		t.Errorf("the owner of an account that nobody has paid: %v", err)
	}
	if n, err := c.Nonce(ctx, &api.Signer{Account: address, Key: trader}); err != nil || n.Top != 0 {
		t.Errorf("a key may always ask for its own nonce: %+v, %v", n, err)
	}
	must(t, alice, &exchange.RemoveDelegate{Key: reader.Public()})
	if err := by(&api.Signer{Account: address, Key: reader}); code(err) != api.NotAllowed {
		t.Errorf("a removed delegate: %v", err)
	}
}

// With proof=1 everything comes with a proof that a verifier believes (H-60 to H-63).
func TestProofs(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob")
	ctx := within(t, 20*time.Second)
	c := f.client()
	v := api.NewVerifier(f)
	alice := c.As(signer("alice"))
	must(t, c.As(signer("bob")), limit(market.Sell, 50_000, ""))
	buy := must(t, alice, limit(market.Buy, 50_000, ""))
	bid := must(t, alice, limit(market.Buy, 40_000, ""))

	if a, at, err := c.VerifiedAccount(ctx, v, alice.Signer); err != nil || a.Address != exchangetest.Address("alice") || at.Height <= bid.Height {
		t.Errorf("account %+v at %+v: %v", a, at, err)
	}
	if _, _, err := c.VerifiedAccount(ctx, v, signer("nobody")); !errors.Is(err, api.ErrAbsent) {
		t.Errorf("an account that is not there: %v", err)
	}
	if o, _, err := c.VerifiedOrder(ctx, v, alice.Signer, market.OrderID(bid.Number)); err != nil || o.Quantity != exchangetest.Coin/10 {
		t.Errorf("order %+v: %v", o, err)
	}
	if m, _, err := c.VerifiedMarket(ctx, v, 1); err != nil || m.Last != 50_000e8 {
		t.Errorf("market %+v: %v", m, err)
	}
	if a, _, err := c.VerifiedAsset(ctx, v, 2); err != nil || a.Symbol != "EUR" {
		t.Errorf("asset %+v: %v", a, err)
	}
	got, _, err := c.VerifiedReceipt(ctx, v, buy.ID)
	if err != nil || got != buy {
		t.Errorf("receipt %+v, not %+v: %v", got, buy, err)
	}
	trades, err := c.Trades(ctx, api.Page{Market: "1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, known := range []*api.Trade{&trades.Trades[0], {ID: trades.Trades[0].ID}} {
		if trade, _, err := c.VerifiedTrade(ctx, v, known); err != nil || uint64(trade.Taker) != buy.Number {
			t.Errorf("trade %+v: %v", trade, err)
		}
	}
	at := trades.Trades[0].Height
	if a, _, err := c.VerifiedAuction(ctx, v, 1, at); err != nil || a.Height != at || a.Price != 0 || a.Bid == 0 && a.Ask == 0 {
		t.Errorf("auction %+v: %v", a, err)
	}
	for _, wrong := range []struct {
		id     market.ID
		height uint64
	}{{1, 1 << 40}, {2, at}} {
		if a, _, err := c.VerifiedAuction(ctx, v, wrong.id, wrong.height); !api.IsNotFound(err) {
			t.Errorf("auction where nothing was traded: %+v, %v", a, err)
		}
	}
	auction := call(t, f.nodes[0], "GET", fmt.Sprintf("/v1/auctions/BTC-EUR/%d?proof=1", at), nil, nil)
	var told api.Auction
	if err := json.Unmarshal(auction.body, &told); err != nil || told.Cross != nil || told.Reference == "" || told.Symbol != "BTC-EUR" {
		t.Fatalf("auction %s: %v", auction.body, err)
	}
	if a, _, err := v.Auction(ctx, 2, at, told.Proof); !errors.Is(err, api.ErrProof) {
		t.Errorf("the proof of another market's auction: %+v, %v", a, err)
	}
	if a, _, err := v.Auction(ctx, 1, at+1, told.Proof); !errors.Is(err, api.ErrProof) {
		t.Errorf("the proof of another block's auction: %+v, %v", a, err)
	}
	if tr, _, err := v.Trade(ctx, 1, told.Proof); !errors.Is(err, api.ErrProof) {
		t.Errorf("the proof of an auction for a trade: %+v, %v", tr, err)
	}
	raw := call(t, f.nodes[0], "GET", "/v1/fills?proof=1&limit=5", nil, signed(f, "alice", "GET", "/v1/fills?proof=1&limit=5"))
	var fills api.Fills
	if err := json.Unmarshal(raw.body, &fills); err != nil || len(fills.Fills) != 1 {
		t.Fatalf("fills %s: %v", raw.body, err)
	}
	if trade, _, err := v.Trade(ctx, market.TradeID(fills.Fills[0].Trade), fills.Fills[0].Proof); err != nil || uint64(trade.Taker) != fills.Fills[0].Order {
		t.Errorf("fill %+v: %v", trade, err)
	}
}

// A command's fate is open to who knows its id; sending it again gives its first receipt (H-15, H-16).
func TestFate(t *testing.T) {
	f := newFederation(t, 2, web.Config{})
	f.fund("alice", "bob")
	ctx := within(t, 20*time.Second)
	c := f.client()
	alice := c.As(signer("alice"))
	commands, err := alice.Sign(ctx, &exchange.Transfer{To: exchangetest.Address("bob"), Asset: exchangetest.EUR, Amount: 7})
	if err != nil {
		t.Fatal(err)
	}
	if fate, err := c.Fate(ctx, commands[0].ID); err != nil || fate.Fate != api.FateUnknown || fate.Receipt != nil {
		t.Errorf("before: %+v, %v", fate, err)
	}
	first, err := c.Submit(ctx, commands...)
	if err != nil || first[0].Code != exchange.OK {
		t.Fatal(first, err)
	}
	for _, n := range f.nodes {
		other, err := api.NewClient(api.Config{Servers: []string{n.url}, ID: f.id})
		if err != nil {
			t.Fatal(err)
		}
		again, err := other.Submit(ctx, commands...)
		if err != nil || again[0] != first[0] {
			t.Errorf("sent again: %+v, not %+v: %v", again, first, err)
		}
		fate, err := other.Fate(ctx, commands[0].ID)
		if err != nil || fate.Fate != api.FateCommitted || fate.Receipt.Height != first[0].Height {
			t.Errorf("after: %+v, %v", fate, err)
		}
	}
	a, err := c.Account(ctx, signer("bob"))
	if err != nil || a.Balances[1].Available != "5000000.00000007" {
		t.Errorf("bob has %+v: %v", a, err)
	}
}

// Two virtual servers in one process answer below their ids, and stopping one leaves
// the other alone (H-1).
func TestVirtualServers(t *testing.T) {
	t.Parallel()
	f, g := newFederation(t, 1, web.Config{}), newFederation(t, 2, web.Config{})
	both := f.nodes[0]
	if err := both.server.Add(web.Virtual{Founding: g.founding, Replica: adapter{g.nodes[0].replica}, Engine: g.nodes[0]}); err != nil {
		t.Fatal(err)
	}
	if err := both.server.Add(web.Virtual{Founding: g.founding, Replica: adapter{g.nodes[0].replica}, Engine: g.nodes[0]}); err == nil {
		t.Error("it was added twice")
	}
	ask := func(id exchange.ID) (*api.Status, error) {
		c, err := api.NewClient(api.Config{Servers: []string{both.url}, ID: id})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return c.Status(ctx)
	}
	for _, of := range []*federation{f, g} {
		if s, err := ask(of.id); err != nil || len(s.Members) != len(of.nodes) {
			t.Errorf("status %+v: %v", s, err)
		}
	}
	if _, err := ask(exchange.ID{1}); err == nil {
		t.Error("a virtual server that is not there answered")
	}
	// One of them stops: the process lives, is not ready, and says which one it is.
	stopped, alive := fmt.Sprintf("%x", f.id), fmt.Sprintf("%x", g.id)
	both.server.Stop(f.id)
	if _, err := ask(f.id); err == nil {
		t.Error("a stopped virtual server answered")
	}
	if _, err := ask(g.id); err != nil {
		t.Errorf("the other one: %v", err)
	}
	get := func(path string) answered { return call(t, both, "GET", path, nil, nil) }
	for _, path := range []string{"/v1/status", "/vs/" + stopped + "/v1/status"} {
		if r := get(path); r.status != 503 || r.problem.Code != api.Halted {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	if r := get("/readyz"); r.status != 503 || !strings.Contains(string(r.body), stopped) || strings.Contains(string(r.body), alive) {
		t.Errorf("ready: %d %s", r.status, r.body)
	}
	if r := get("/vs/" + stopped + "/readyz"); r.status != 503 || !strings.Contains(string(r.body), stopped) {
		t.Errorf("the stopped one is ready: %d %s", r.status, r.body)
	}
	for _, path := range []string{"/livez", "/vs/" + alive + "/readyz"} {
		if r := get(path); r.status != 200 {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	// It comes back, and is the one at the root again.
	if err := both.server.Add(web.Virtual{Founding: f.founding, Replica: adapter{both.replica}, Engine: both}); err != nil {
		t.Fatal(err)
	}
	if r := get("/readyz"); r.status != 200 {
		t.Errorf("ready again: %d %s", r.status, r.body)
	}
	if r := get("/v1/status"); r.header.Get(api.ServerHeader) != stopped {
		t.Errorf("at the root: %d %s", r.status, r.body)
	}
	both.server.Remove(f.id)
	if r := get("/readyz"); r.status != 200 {
		t.Errorf("ready without the one that was removed: %d %s", r.status, r.body)
	}
	if r := get("/vs/" + stopped + "/v1/status"); r.problem.Code != api.NotFound {
		t.Errorf("a removed virtual server: %d %s", r.status, r.body)
	}
}
