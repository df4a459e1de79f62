package replica_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/archive"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/internal/bulk"
	"souk/replica"
)

// mirror is what a reader of the log makes of it: books and balances.
type mirror struct {
	books    map[archive.Level]asset.Amount // by all but the quantity
	balances map[archive.Balance][2]asset.Amount
	wallets  map[archive.Wallet]asset.Amount
	assets   int
	markets  int
}

func newMirror() *mirror {
	return &mirror{books: map[archive.Level]asset.Amount{}, balances: map[archive.Balance][2]asset.Amount{}, wallets: map[archive.Wallet]asset.Amount{}}
}

func (m *mirror) apply(t testing.TB, b *archive.Block) {
	t.Helper()
	last := archive.Level{}
	for _, l := range b.Levels {
		key := archive.Level{Market: l.Market, Side: l.Side, Price: l.Price}
		if key == last {
			t.Fatalf("block %d has a price twice: %+v", b.Height, l)
		}
		last = key
		if m.books[key] = l.Quantity; l.Quantity == 0 {
			delete(m.books, key)
		}
	}
	for _, x := range b.Balances {
		key := archive.Balance{Account: x.Account, Asset: x.Asset}
		if m.balances[key] = [2]asset.Amount{x.Available, x.Held}; x.Available|x.Held == 0 {
			delete(m.balances, key)
		}
	}
	for _, x := range b.Wallets {
		m.wallets[archive.Wallet{Bank: x.Bank, Wallet: x.Wallet}] = x.Total
	}
	m.assets += len(b.Assets)
	m.markets += len(b.Markets)
}

// take makes the mirror what a state is.
func (m *mirror) take(s *exchange.State) {
	*m = *newMirror()
	in := archive.Take(s, 0, 0)
	for _, x := range in.Balances {
		m.balances[archive.Balance{Account: x.Account, Asset: x.Asset}] = [2]asset.Amount{x.Available, x.Held}
	}
	for _, x := range in.Wallets {
		m.wallets[archive.Wallet{Bank: x.Bank, Wallet: x.Wallet}] = x.Total
	}
	for _, x := range in.Markets {
		for _, side := range []market.Side{market.Buy, market.Sell} {
			for _, l := range s.Markets().Depth(nil, x.ID, side, 1<<30) {
				m.books[archive.Level{Market: x.ID, Side: side, Price: l.Price}] = l.Quantity
			}
		}
	}
	m.assets, m.markets = len(in.Assets), len(in.Markets)
}

// TestLogMirrors is G-1 to G-6: who knows the first state and reads the log knows every
// book and balance after each block, and the fate of every command.
func TestLogMirrors(t *testing.T) {
	for seed := range uint64(bulk.Count(8)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			c := newChain(t, 1, replica.Config{Inline: true, Persist: replica.Persist{Blocks: 1 + rng.IntN(4)}, Keep: replica.Keep{Events: -1}})
			var got, want mirror
			got.take(c.world.State)
			random := c.random(8, seed)
			var results []*exchange.Result
			for range 25 {
				results = append(results, c.commands(0, 100, random.Block(1+rng.IntN(60))))
			}
			n := c.nodes[0]
			read := 0
			for b, err := range n.Logged(t.Context(), 1) {
				if err != nil {
					t.Fatal(err)
				}
				got.apply(t, b)
				if read++; read <= len(c.blocks)-len(results) {
					continue // of random
				}
				res := results[read-1-(len(c.blocks)-len(results))]
				if diff := cmp.Diff(res.Events, b.Events); diff != "" || b.Height != res.Height || b.Time != res.Time {
					t.Fatalf("block %d at %d is not that of the model, at %d:\n%s", b.Height, b.Time, res.Time, diff)
				}
				for i, rc := range res.Receipts {
					if b.Commands[i].Receipt != rc {
						t.Fatalf("command %d of block %d", i, b.Height)
					}
				}
			}
			want.take(c.world.State)
			if diff := cmp.Diff(want.books, got.books); diff != "" {
				t.Errorf("books:\n%s", diff)
			}
			if diff := cmp.Diff(want.balances, got.balances); diff != "" {
				t.Errorf("balances:\n%s", diff)
			}
			if got.assets != want.assets || got.markets != want.markets {
				t.Errorf("%d assets and %d markets, not %d and %d", got.assets, got.markets, want.assets, want.markets)
			}
			if read != len(c.blocks) {
				t.Errorf("%d blocks of %d", read, len(c.blocks))
			}
		})
	}
}

// TestLogMirrorsBanks is TestLogMirrors for what banks do to balances and wallets.
func TestLogMirrorsBanks(t *testing.T) {
	for seed := range uint64(bulk.Count(6)) {
		w := exchangetest.From(exchangetest.BankFounding(4))
		see := replica.Witness(w.State)
		var got, want mirror
		got.take(w.State)
		w.Applied = func(b *exchange.Block) *exchange.Result {
			res := w.State.Apply(b)
			if res.Active {
				got.apply(t, see(b, res))
			}
			return res
		}
		random := exchangetest.NewBankRandom(w, 12, seed)
		for i := range 60 {
			w.Block(random.Block(12)...)
			if want.take(w.State); i%10 > 0 {
				continue
			}
			for what, diff := range map[string]string{
				"books": cmp.Diff(want.books, got.books), "balances": cmp.Diff(want.balances, got.balances), "wallets": cmp.Diff(want.wallets, got.wallets),
			} {
				if diff != "" {
					t.Fatalf("seed %d, block %d, %s:\n%s", seed, i, what, diff)
				}
			}
		}
	}
}
