package gate_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/gate"
	"souk/identity"
	"souk/node"
	"souk/store"
	"souk/store/memstore"
	"souk/store/sealed"
	"souk/web/binance"
)

// Of the practice terms.
const (
	eur    asset.ID  = 2
	btc    asset.ID  = 1
	btcEUR market.ID = 1
)

// world is a virtual server of one member, in this process, and two traders.
type world struct {
	*testing.T
	local      *node.Local
	node       *node.Node
	client     *api.Client
	alice, bob *api.Signer
	delegate   identity.PrivateKey // of alice
	transport  http.RoundTripper   // of sessions; nil: an ordinary one
}

func newWorld(t *testing.T) *world {
	t.Helper()
	local, err := node.FoundLocal(node.LocalSetup{Dir: t.TempDir() + "/fed", Name: "gate", Servers: 1, Now: time.Now().Add(-time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, local: local, alice: api.OwnerOf(identity.NewKey([32]byte{1})), bob: api.OwnerOf(identity.NewKey([32]byte{2})), delegate: identity.NewKey([32]byte{3})}
	if w.node, err = node.Open(local.Homes[0], node.Options{Pass: sealed.FromFile(local.Homes[0].PassphraseFile())}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.node.Close() })
	w.client = w.connect()
	w.must(api.OwnerOf(local.Issuer),
		&exchange.Mint{Asset: eur, Amount: 100_000e8, To: w.alice.Account}, &exchange.Mint{Asset: btc, Amount: 10e8, To: w.alice.Account},
		&exchange.Mint{Asset: eur, Amount: 100_000e8, To: w.bob.Account}, &exchange.Mint{Asset: btc, Amount: 10e8, To: w.bob.Account})
	w.must(w.alice, &exchange.AddDelegate{Key: w.delegate.Public(), Scopes: ledger.Read | ledger.Trade})
	return w
}

func (w *world) connect() *api.Client {
	w.Helper()
	c, err := api.NewClient(api.Config{Servers: w.local.URLs, ID: w.local.Founding.ID()})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(c.Close)
	return c
}

func (w *world) must(who *api.Signer, bodies ...exchange.Body) []exchange.Receipt {
	w.Helper()
	r, err := w.client.As(who).Do(w.Context(), bodies...)
	if err != nil {
		w.Fatal(err)
	}
	for i := range r {
		if r[i].Code != exchange.OK {
			w.Fatalf("%s: %+v", r[i].Code, r[i])
		}
	}
	return r
}

// J-1, J-23: a key that has no power any more is named as the reason, with what helps.
func TestKeyWithoutPower(t *testing.T) {
	w := newWorld(t)
	s, stop := w.session(memstore.New())
	defer stop()
	select {
	case <-s.Opened():
	default:
		t.Error("a session that is ready does not say that it is open")
	}
	w.must(w.alice, &exchange.RemoveDelegate{Key: w.delegate.Public()})
	again, end := w.begin(memstore.New())
	defer end()
	for stop := time.Now().Add(10 * time.Second); !strings.Contains(again.Ready().Error(), "run souk gate init again"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(stop) {
			t.Fatal(again.Ready())
		}
	}
}

// N-60: a gate whose key is limited to other markets says so of a market, and not that its key
// is of no use.
func TestKeyOfOtherMarkets(t *testing.T) {
	w := newWorld(t)
	s, stop := w.session(memstore.New())
	defer stop()
	ctx := t.Context()
	resting, err := s.Place(ctx, buy(40_000, 100, "rest"), false)
	if err != nil {
		t.Fatal(err)
	}
	w.must(w.alice, &exchange.AddDelegate{Key: w.delegate.Public(), Scopes: ledger.Read | ledger.Trade, Markets: []uint32{uint32(btcEUR) + 1}})
	refused := func(what string, err error, want exchange.Code) {
		t.Helper()
		var refusal *binance.Refusal
		if !errors.As(err, &refusal) || refusal.Code != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = s.Place(ctx, buy(40_000, 100, "other"), false)
	refused("an order in a market that is not the key's", err, exchange.OutOfScope)
	_, err = s.Cancel(ctx, exchange.Target{Order: resting.ID})
	refused("a cancel there", err, exchange.OutOfScope)
	_, err = s.CancelAll(ctx, btcEUR)
	refused("a cancel of all there", err, exchange.OutOfScope)
	w.must(w.alice, &exchange.AddDelegate{Key: w.delegate.Public(), Scopes: ledger.Read})
	_, err = s.Place(ctx, buy(40_000, 100, "none"), false)
	refused("an order by a key that may only read", err, exchange.NotEntitled)
}

// session opens a session of alice's delegate and waits until it can be used. What it
// answers ends it.
func (w *world) session(st store.Store) (*gate.Session, func()) {
	w.Helper()
	s, stop := w.begin(st)
	for end := time.Now().Add(30 * time.Second); s.Ready() != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatal(s.Ready())
		}
	}
	return s, stop
}

// begin opens a session, and does not wait.
func (w *world) begin(st store.Store) (*gate.Session, func()) {
	w.Helper()
	client, err := api.NewClient(api.Config{Servers: w.local.URLs, ID: w.local.Founding.ID(), Transport: w.transport})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(client.Close)
	proofs := sync.OnceValues(func() (*api.Verifier, error) {
		light, err := node.NewLight(w.Context(), client, node.LightOptions{})
		return api.NewVerifier(light), err
	})
	verifier := func(context.Context) (*api.Verifier, error) { return proofs() }
	catalog, err := api.NewCatalog(client, nil, verifier)
	if err != nil {
		w.Fatal(err)
	}
	s, err := gate.Open(w.Context(), gate.Config{
		Client: client, Signer: &api.Signer{Account: w.alice.Account, Key: w.delegate}, Catalog: catalog, Verifier: verifier, Store: st,
	})
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	}
	return s, stop
}

func buy(price, quantity uint64, client string) *exchange.Place {
	return &exchange.Place{
		Market: btcEUR, Side: market.Buy, Order: market.LimitOrder, TIF: market.GTC, Price: asset.Price(price * 1e8),
		Quantity: asset.Amount(quantity * 1e4), Client: client,
	}
}

func sell(price, quantity uint64, client string) *exchange.Place {
	p := buy(price, quantity, client)
	p.Side = market.Sell
	return p
}

// J-12, J-14, J-21: orders, their fills and client order ids survive a restart.
func TestSession(t *testing.T) {
	w := newWorld(t)
	st := memstore.New()
	s, stop := w.session(st)
	ctx := t.Context()
	resting, err := s.Place(ctx, buy(40_000, 100, "rest"), false)
	if err != nil {
		t.Fatal(err)
	}
	if !resting.Live() || resting.Status != market.Resting || resting.Client != "rest" || resting.Filled != 0 {
		t.Errorf("resting order %+v", resting)
	}
	w.must(w.bob, sell(50_000, 100, ""))
	filled, err := s.Place(ctx, buy(50_000, 100, "full"), true)
	if err != nil {
		t.Fatal(err)
	}
	if filled.Live() || filled.Reason != market.Filled || filled.Filled != 100e4 || len(filled.Fills) != 1 || filled.Fills[0].Maker {
		t.Errorf("filled order %+v", filled)
	}
	if _, err := s.Place(ctx, buy(40_001, 100, "rest"), false); !errors.Is(err, binance.ErrDuplicate) {
		t.Errorf("an order with a client order id that is taken: %v", err)
	}
	if _, err := s.Place(ctx, buy(50_001, 100, "full"), false); !errors.Is(err, binance.ErrDuplicate) {
		t.Errorf("an order with the client order id of one that is closed: %v", err)
	}
	var refusal *binance.Refusal
	if _, err := s.Place(ctx, buy(40_000, 100_000_000, "much"), false); !errors.As(err, &refusal) || refusal.Code != exchange.Insufficient {
		t.Errorf("an order that lacks funds: %v", err)
	}
	if _, err := s.Order(ctx, exchange.Target{Client: "much"}); !errors.Is(err, binance.ErrNoOrder) {
		t.Errorf("an order that was refused: %v", err)
	}
	cancelled, err := s.Cancel(ctx, exchange.Target{Client: "rest"})
	if err != nil || cancelled.Reason != market.Cancelled || cancelled.ID != resting.ID {
		t.Errorf("cancelled order %+v, %v", cancelled, err)
	}
	if _, err := s.Cancel(ctx, exchange.Target{Order: resting.ID}); !errors.Is(err, binance.ErrNotLive) {
		t.Errorf("an order that is cancelled twice: %v", err)
	}
	stop()
	w.must(w.bob, sell(51_000, 50, ""))
	w.must(w.alice, buy(51_000, 50, "other")) // meanwhile, by another key

	s, stop = w.session(st)
	defer stop()
	orders, err := s.Orders(ctx, &binance.OrderQuery{})
	if err != nil || len(orders) != 3 {
		t.Fatalf("orders after a restart: %+v, %v", orders, err)
	}
	if o := orders[0]; o.Client != "rest" || o.Reason != market.Cancelled {
		t.Errorf("the cancelled order after a restart: %+v", o)
	}
	if o := orders[2]; o.Filled != 50e4 || o.Live() {
		t.Errorf("the order of meanwhile: %+v", o)
	}
	fills, err := s.Fills(ctx, &binance.FillQuery{})
	if err != nil || len(fills) != 2 || fills[0].Order != filled.ID {
		t.Errorf("fills after a restart: %+v, %v", fills, err)
	}
	if _, err := s.Place(ctx, buy(50_001, 100, "full"), false); !errors.Is(err, binance.ErrDuplicate) {
		t.Errorf("a client order id after a restart: %v", err)
	}
	balances, _, err := s.Balances(ctx)
	if err != nil || len(balances) != 2 || balances[0].Symbol != "BTC" || balances[0].Held != 0 {
		t.Errorf("balances %+v, %v", balances, err)
	}
}

// J-13: a retry that comes while the first is on its way waits for it, and is a duplicate
// of it; many orders at once go through one key.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	s, stop := w.session(memstore.New())
	defer stop()
	const n = 24
	answers := make(chan error, 2*n)
	for i := range n {
		client := "c" + strings.Repeat("x", i)
		for range 2 {
			go func() {
				_, err := s.Place(t.Context(), buy(40_000+uint64(i), 10, client), false)
				answers <- err
			}()
		}
	}
	placed, duplicates := 0, 0
	for range 2 * n {
		switch err := <-answers; {
		case err == nil:
			placed++
		case errors.Is(err, binance.ErrDuplicate):
			duplicates++
		default:
			t.Error(err)
		}
	}
	if placed != n || duplicates != n {
		t.Errorf("%d placed and %d duplicates, want %d of each", placed, duplicates, n)
	}
	list, err := s.CancelAll(t.Context(), btcEUR)
	if err != nil || len(list) != n {
		t.Errorf("%d cancelled, %v", len(list), err)
	}
	live, err := s.Orders(t.Context(), &binance.OrderQuery{Live: true})
	if err != nil || len(live) != 0 {
		t.Errorf("%d live, %v", len(live), err)
	}
}
