package node_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/exchange/market"
	"souk/identity"
	"souk/node"
	"souk/store/sealed"
)

// federation is a running federation of a test.
type federation struct {
	*node.Local
	nodes  []*node.Node
	client *api.Client
	log    *slog.Logger
}

func start(t *testing.T, servers int) *federation {
	t.Helper()
	return startSetup(t, node.LocalSetup{Servers: servers})
}

// startSetup starts a federation that is made as a setup says.
func startSetup(t *testing.T, s node.LocalSetup) *federation {
	t.Helper()
	s.Dir, s.Name, s.Work, s.Now = filepath.Join(t.TempDir(), "fed"), "test", sealed.TestWork, time.Now().Add(-time.Second)
	local, err := node.FoundLocal(s)
	if err != nil {
		t.Fatal(err)
	}
	f := &federation{Local: local, nodes: make([]*node.Node, s.Servers), log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	t.Cleanup(func() {
		for _, n := range f.nodes {
			if n != nil {
				if err := n.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for i := range s.Servers {
		f.open(t, i)
	}
	f.client, err = api.NewClient(api.Config{Servers: local.URLs, ID: local.Founding.ID()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.client.Close)
	return f
}

func (f *federation) open(t *testing.T, i int) {
	t.Helper()
	h := f.Homes[i]
	n, err := node.Open(h, node.Options{
		Pass: sealed.FromFile(h.PassphraseFile()), Log: f.log.With(slog.Int("server", i+1)), Software: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	f.nodes[i] = n
}

func (f *federation) close(t *testing.T, i int) {
	t.Helper()
	if err := f.nodes[i].Close(); err != nil {
		t.Error(err)
	}
	f.nodes[i] = nil
}

func signer(key identity.PrivateKey) *api.Signer {
	return &api.Signer{Account: identity.AddressOf(key.Public()), Key: key}
}

func must(t *testing.T, r []exchange.Receipt, err error) []exchange.Receipt {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r {
		if x.Code != exchange.OK {
			t.Fatalf("%s: %+v", x.Code, x)
		}
	}
	return r
}

// TestFederation trades on four servers, goes on without one, and takes it back.
func TestFederation(t *testing.T) {
	f := start(t, 4)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	issuer := f.client.As(signer(f.Issuer))
	alice, bob := identity.NewKey([32]byte{1}), identity.NewKey([32]byte{2})
	r, err := issuer.Do(ctx,
		&exchange.Mint{Asset: 2, Amount: 100_000e8, To: identity.AddressOf(alice.Public())},
		&exchange.Mint{Asset: 1, Amount: 10e8, To: identity.AddressOf(bob.Public())})
	must(t, r, err)
	a, b := f.client.As(signer(alice)), f.client.As(signer(bob))
	trade := func() {
		t.Helper()
		r, err := b.Do(ctx, &exchange.Place{Market: 1, Side: market.Sell, Order: market.LimitOrder, TIF: market.GTC, Price: 50_000e8, Quantity: 1e6})
		must(t, r, err)
		begin := time.Now()
		r, err = a.Do(ctx, &exchange.Place{Market: 1, Side: market.Buy, Order: market.MarketOrder, TIF: market.IOC, Price: 51_000e8, Quantity: 1e6})
		if r := must(t, r, err); r[0].Filled != 1e6 {
			t.Fatalf("not filled: %+v", r[0])
		}
		t.Logf("committed after %v", time.Since(begin))
	}
	var told sync.WaitGroup
	told.Go(func() { follow(ctx, t, f.client, 15) })
	for range 5 {
		trade()
	}
	f.close(t, 2)
	for range 5 {
		trade()
	}
	f.open(t, 2)
	for range 5 {
		trade()
	}
	audit, err := f.client.Audit(ctx)
	if err != nil || !audit.Balanced {
		t.Fatalf("%+v, %v", audit, err)
	}
	told.Wait()
	for {
		k, err := f.client.Tickers(ctx, "1")
		if err != nil {
			t.Fatal(err)
		}
		if k.Tickers[0].Trades == 15 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// follow reads the events of market 1 from the beginning, until it was told of so many
// trades, each once.
func follow(ctx context.Context, t *testing.T, c *api.Client, trades uint64) {
	last := uint64(0)
	for m, err := range c.Events(ctx, api.EventsRequest{Markets: []string{"1"}, After: "0"}) {
		if err != nil {
			t.Errorf("after trade %d: %v", last, err)
			return
		}
		for _, x := range m.Markets[0].Trades {
			if x.ID != last+1 {
				t.Errorf("trade %d stands behind trade %d", x.ID, last)
			}
			if last = x.ID; last == trades {
				return
			}
		}
	}
}
