package browser_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	_ "souk/cli" // what the program is made of: a remembered result is forgotten when it changes
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/identity"
	"souk/internal/chainnode"
	"souk/internal/cluster"
	"souk/internal/outside"
	"souk/node"
	"souk/store/sealed"
)

// Of the practice terms.
const (
	btc    asset.ID  = 1
	eur    asset.ID  = 2
	ltc    asset.ID  = 3
	btcEUR market.ID = 1
	ltcBTC market.ID = 2
	coin             = 100_000_000
)

// world is a federation of four servers with a bank of bitcoins, play money for who asks, and
// somebody who makes prices.
type world struct {
	*testing.T
	*cluster.Cluster
	coins  *outside.Chain
	client *api.Client
	maker  *api.Signer
	liars  []*liar
	beside string // where the steps tell what is to be done beside the page

	mu      sync.Mutex
	wallets map[string][]byte // outputs of wallets outside, by address
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, wallets: map[string][]byte{}, maker: api.OwnerOf(identity.NewKey([32]byte{7}))}
	dir := t.TempDir()
	var built sync.WaitGroup
	var failed error
	binary := filepath.Join(dir, "souk")
	built.Go(func() { failed = buildSouk(t.Context(), binary) })
	var err error
	if w.coins, err = outside.Start(w.within(5*time.Minute), "BTC", chainnode.Btcd, dir, os.Stderr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.coins.Stop() })
	built.Wait()
	if failed != nil {
		t.Fatal(failed)
	}
	w.found(binary, filepath.Join(dir, "federation"))
	w.liquidity()
	w.serveBeside()
	return w
}

func buildSouk(ctx context.Context, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, "souk/cmd/souk")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

// within is a context for something that takes far less.
func (w *world) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(w.Context(), d)
	w.Cleanup(cancel)
	return ctx
}

// found founds the federation and waits until it works. Pages of the liars may use it.
func (w *world) found(binary, dir string) {
	w.Helper()
	network := w.coins.Network().Name
	c, err := cluster.Found(binary, node.LocalSetup{
		Dir: dir, Name: "bazaar", Servers: 4, Work: sealed.TestWork, Now: time.Now().Add(-time.Second),
		Give:   []string{"0.1 BTC", "1 LTC", "10000 EUR"},
		Banks:  []node.BankTerms{{Asset: "BTC", Network: network}},
		Chains: map[string]node.ChainConfig{network: w.coins.Config(w.coins.Inside())},
	})
	if err != nil {
		w.Fatal(err)
	}
	w.Cluster = c
	var origins []string
	for name, lie := range lies() {
		l := newLiar(w.T, name, c.URLs[0], lie)
		w.liars = append(w.liars, l)
		origins = append(origins, strconv.Quote(l.url))
	}
	for i, home := range c.Homes {
		file := filepath.Join(string(home), "config.toml")
		data, err := os.ReadFile(file)
		if err != nil {
			w.Fatal(err)
		}
		text := strings.Replace(string(data), "origins = []", "origins = ["+strings.Join(origins, ", ")+"]", 1)
		if text == string(data) {
			w.Fatalf("no origins in\n%s", data)
		}
		if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), c.Restart(i)); err != nil {
			w.Fatal(errors.Join(err, c.Close()))
		}
	}
	w.Cleanup(func() {
		if err := c.Close(); err != nil {
			w.Error(err)
		}
		for i := range c.Homes {
			if log, err := os.ReadFile(c.LogFile(i)); w.Failed() && err == nil {
				w.Logf("server %d said:\n%s", i+1, log[max(0, len(log)-3000):])
			}
		}
	})
	if err := c.Ready(w.within(time.Minute)); err != nil {
		w.Fatal(err)
	}
	if w.client, err = c.Client(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(w.client.Close)
}

func (w *world) must(who *api.Actor, bodies ...exchange.Body) {
	w.Helper()
	if err := cluster.MustOK(who.Do(w.within(time.Minute), bodies...)); err != nil {
		w.Fatal(err)
	}
}

// Whoever makes prices has this much.
const (
	makerCoins  = 40 * coin
	practiceBTC = 8 * coin
)

// liquidity brings coins in, fills the books and what play money is given from.
func (w *world) liquidity() {
	w.Helper()
	w.deposit(makerCoins)
	issuer, maker := w.IssuerActor(w.client), w.client.As(w.maker)
	practice := api.OwnerOf(w.Practice)
	w.must(issuer,
		&exchange.Mint{Asset: eur, Amount: 10_000_000 * coin, To: w.maker.Account}, &exchange.Mint{Asset: ltc, Amount: 10_000 * coin, To: w.maker.Account},
		&exchange.Mint{Asset: eur, Amount: 800_000 * coin, To: practice.Account}, &exchange.Mint{Asset: ltc, Amount: 80 * coin, To: practice.Account})
	orders := []exchange.Body{&exchange.Transfer{To: practice.Account, Asset: btc, Amount: practiceBTC}}
	for i := range 12 {
		away, size := asset.Price(10+10*i), asset.Amount(i+1)
		orders = append(orders,
			limit(btcEUR, market.Sell, (50_000+away)*coin, size*coin/20), limit(btcEUR, market.Buy, (50_000-away)*coin, size*coin/20),
			limit(ltcBTC, market.Sell, 150_000+100*away, size*coin), limit(ltcBTC, market.Buy, 150_000-100*away, size*coin))
	}
	w.must(maker, orders...)
	var grants []exchange.Body
	for _, key := range w.PracticeKeys {
		grants = append(grants, &exchange.AddDelegate{Key: key, Scopes: ledger.Transfer})
	}
	w.must(w.client.As(practice), grants...)
}

func limit(of market.ID, side market.Side, price asset.Price, quantity asset.Amount) *exchange.Place {
	return &exchange.Place{Market: of, Side: side, Order: market.LimitOrder, TIF: market.GTC, Price: price, Quantity: quantity}
}

// deposit brings coins from outside to the maker.
func (w *world) deposit(amount asset.Amount) {
	w.Helper()
	ctx := w.within(time.Minute)
	if _, err := w.client.Admit(ctx, w.maker, "BTC", custody.Salt{1}); err != nil {
		w.Fatal(err)
	}
	own, err := w.client.Addresses(ctx, w.maker, api.BankedPage{Bank: "BTC"})
	if err != nil || len(own.Addresses) != 1 {
		w.Fatal(own, err)
	}
	out, err := w.coins.Network().ParseAddress(own.Addresses[0].Address)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.coins.Pay(ctx, out, amount); err != nil {
		w.Fatal(err)
	}
	if err := w.mine(ctx, int(w.coins.Network().Depth(amount))); err != nil {
		w.Fatal(err)
	}
	for {
		a, err := w.client.Account(ctx, w.maker)
		if err == nil && slices.ContainsFunc(a.Balances, func(b api.Balance) bool { return b.Symbol == "BTC" && b.Available == asset.Format(amount, 8) }) {
			return
		}
		select {
		case <-ctx.Done():
			w.Fatal("the maker's coins are not credited")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// mine makes blocks, and waits until the servers' node has them.
func (w *world) mine(ctx context.Context, blocks int) error {
	if err := w.coins.Mine(ctx, blocks); err != nil {
		return err
	}
	return w.coins.Same(ctx)
}

// wallet is a new address of somebody outside.
func (w *world) wallet() (string, error) {
	out := chainnode.NewWallet(rand.Text()).Script()
	text, err := w.coins.Network().Address(out)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wallets[text] = out
	return text, err
}

// facts are what the steps know of the world.
func (w *world) facts() map[string]any {
	liars := map[string]string{}
	for _, l := range w.liars {
		liars[l.name] = l.url
	}
	names := []string{}
	for _, h := range w.Homes {
		card, err := h.Card()
		if err != nil {
			w.Fatal(err)
		}
		names = append(names, card.Name)
	}
	id := w.Founding.ID()
	return map[string]any{
		"id": fmt.Sprintf("%x", id[:]), "urls": w.URLs, "names": names, "liars": liars, "beside": w.beside,
		"maker": w.maker.Account.String(), "network": w.coins.Network().Name,
	}
}
